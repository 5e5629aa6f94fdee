#include "model/sizes.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/error.h"
#include "engine/ops/ops.h"
#include "model/checkpoint.h"
#include "model/context.h"
#include "model/vision.h"
#include "model/weights.h"

namespace olivine {
namespace {

constexpr uint32_t kDefaultContext = 8192;

uint64_t kv_bytes(const Config& config, const ContextOptions& options) {
    const HeadShape shape{config.num_heads, config.num_kv_heads, config.head_dim};
    const uint64_t slot = 2ull * shape.kv_heads * kv_head_bytes(options.kv, shape);  // key and value
    const uint32_t context = context_length(config, options.context);
    uint64_t slots = 0;
    for (uint32_t i = 0; i < config.num_layers; ++i)
        slots += config.global_layers[i] ? paged_slots(context, seats(options))
                                         : ring_slots(config, options);
    return slots * slot * seats(options);
}

// Tables of pages, and what global layers need where the device cannot bind one whole: any binds 128 MiB.
uint64_t page_bytes(const ContextOptions& options, const HeadShape& shape, uint32_t context, uint32_t rows) {
    constexpr uint64_t kEachBinds = 128u << 20, kMostTables = 1u << 20;
    const uint64_t slots = uint64_t{seats(options)} * paged_slots(context, seats(options));
    const bool whole = slots * shape.kv_heads * kv_head_bytes(options.kv, shape) <= kEachBinds;
    return (slots / KvLayer::kPage + seats(options) + 64) * 4 +
           (whole ? 0 : Attention::carried_bytes(shape, rows) + kMostTables);
}

uint64_t scratch_bytes(const Config& config, const ContextOptions& options) {
    const uint32_t context = context_length(config, options.context);
    const uint32_t steps = step_rows(options);
    const uint32_t rows = std::max(chunk_length(config, options), steps);
    const HeadShape shape{config.num_heads, config.num_kv_heads, config.head_dim};
    const uint32_t qkv = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
    return 3 * Activation::bytes_of(rows, config.hidden_size) + Activation::bytes_of(rows, qkv) +
           Activation::bytes_of(rows, shape.heads * shape.head_dim) +
           Activation::bytes_of(rows, config.intermediate_size) +
           uint64_t{rows} * shape.heads * shape.padded_dim() * 4 +
           Activation::bytes_of(std::max(steps, Context::kHeadRows), config.vocab_size) +
           Activation::bytes_of(Context::kHeadRows, config.hidden_size) +
           Linear::scratch_bytes(rows, widest_linear(config)) +
           Attention::parts_bytes(shape, steps) + Attention::arrivals_bytes(shape, steps) +
           page_bytes(options, shape, context, rows) + Context::step_bytes(rows, steps, config.vocab_size);
}

ModelBytes with_context(ModelBytes bytes, const Config& config, const ContextOptions& options) {
    const auto table = [&](DataType type) {
        return Matrix::bytes(type, config.vocab_size, config.hidden_size);
    };
    bytes.weights = std::accumulate(bytes.layers.begin(), bytes.layers.end(), norm_bytes(config)) +
                    2 * RopeTable::bytes(config.head_dim, rope_positions(config, options)) +
                    table(bytes.table) + (config.tied_head ? 0 : table(bytes.head));
    bytes.kv = kv_bytes(config, options);
    bytes.scratch = scratch_bytes(config, options);
    return bytes;
}

uint64_t layer_bytes(const Config& config, const LayerTypes& types) {
    const uint32_t heads = config.num_heads * config.head_dim;
    uint64_t qkv = 0;
    for (const MatrixPart& part : types.qkv_proj)
        qkv += Matrix::bytes(part.type, part.rows, config.hidden_size);
    return qkv +
           Matrix::bytes(types.o_proj, config.hidden_size, heads) +
           Matrix::bytes(types.gate_up_proj, 2 * config.intermediate_size, config.hidden_size) +
           Matrix::bytes(types.down_proj, config.hidden_size, config.intermediate_size);
}

}  // namespace

uint32_t context_length(const Config& config, uint32_t asked) {
    if (asked > kMostPositions)
        fail(Fault::bad_input, "A context of %u positions is asked for (at most %u work).", asked,
             kMostPositions);
    return asked > 0 ? asked : std::min(config.max_positions, kDefaultContext);
}

uint32_t rope_positions(const Config& config, const ContextOptions& options) {
    // Beyond the model's own positions the table is still right, so a longer context may be asked for.
    constexpr uint32_t kLeast = 32768;
    return std::max({context_length(config, options.context), config.max_positions, kLeast});
}

uint32_t chunk_length(const Config& config, const ContextOptions& options) {
    const uint32_t most = options.lean ? std::max(kLeanChunk, config.mm_tokens_per_image) : kMaxChunk;
    return std::min(most, context_length(config, options.context));
}

uint32_t widest_linear(const Config& config) {
    return std::max({config.hidden_size, config.num_heads * config.head_dim, config.intermediate_size});
}

uint32_t ring_slots(const Config& config, const ContextOptions& options) {
    return config.sliding_window + chunk_length(config, options) - 1;
}

uint32_t paged_slots(uint32_t context, uint32_t sequences) {
    constexpr uint32_t kPage = KvLayer::kPage;
    return sequences == 1 ? context : (context + kPage - 1) / kPage * kPage;
}

ModelBytes model_bytes(const Config& config, DataType type, const ContextOptions& options) {
    const uint32_t qkv = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim;
    const LayerTypes types{{{type, qkv}}, type, type, type};
    ModelBytes bytes;
    bytes.layers.assign(config.num_layers, layer_bytes(config, types));
    bytes.table = bytes.head = type;
    bytes.vision = vision_weight_bytes(config, type) + Vision::scratch_bytes(config);
    return with_context(std::move(bytes), config, options);
}

ModelBytes model_bytes(const Checkpoint& checkpoint, const ContextOptions& options) {
    const Config& config = checkpoint.config();
    ModelBytes bytes;
    for (uint32_t i = 0; i < config.num_layers; ++i)
        bytes.layers.push_back(layer_bytes(config, layer_types(checkpoint, i)));
    bytes.table = checkpoint.find("embed_tokens.weight")->type;
    bytes.head = config.tied_head ? bytes.table : checkpoint.find("lm_head.weight")->type;
    bytes.vision = vision_weight_bytes(checkpoint) + Vision::scratch_bytes(config);
    return with_context(std::move(bytes), config, options);
}

ModelBytes model_bytes(ModelBytes bytes, const Config& config, const ContextOptions& options) {
    return with_context(std::move(bytes), config, options);
}

}  // namespace olivine
