#include "model/residency.h"

#include <algorithm>
#include <cinttypes>

#include "engine/error.h"
#include "engine/ops/activation.h"
#include "engine/weight_stream.h"
#include "model/context.h"

namespace olivine {
namespace {

// Rows of the head's groups: not above a layer's bytes, so that they don't enlarge the slots.
uint32_t head_group_rows(const Config& config, DataType type, uint64_t layer) {
    constexpr uint32_t kStep = 64;
    const uint64_t step_bytes = Matrix::bytes(type, kStep, config.hidden_size);
    return static_cast<uint32_t>(std::max<uint64_t>(1, layer / step_bytes)) * kStep;
}

}  // namespace

Residency residency(const Config& config, const ModelBytes& bytes, const ContextOptions& options,
                    uint64_t budget, uint64_t others) {
    Residency result;
    const uint64_t whole = bytes.total() + others;
    const auto head_bytes = [&](uint32_t rows) {
        return Matrix::bytes(bytes.head, rows, config.hidden_size);
    };

    // Four pieces of a layer, each on its own boundary.
    const uint64_t layer = *std::ranges::max_element(bytes.layers) + 4 * 256;
    const uint32_t group_rows =
        std::min(head_group_rows(config, bytes.head, layer), config.vocab_size);
    const uint32_t rows =
        std::max(chunk_length(config, options), step_rows(options));
    const uint64_t group = std::max(layer, head_bytes(group_rows) + 256);
    // Besides the slots: looked-up rows, which of them a token has, and room to read images and logits back.
    const uint64_t extra =
        WeightStream::device_bytes(group) + Context::lookup_bytes(rows, bytes.table, config.hidden_size) +
        std::min(kCopyBytes, std::max(group, Activation::bytes_of(Context::kHeadRows, config.vocab_size)));
    uint64_t tables = head_bytes(config.vocab_size);
    if (!config.tied_head)
        tables += Matrix::bytes(bytes.table, config.vocab_size, config.hidden_size);
    uint64_t matrices = tables;
    for (const uint64_t each : bytes.layers)
        matrices += each;
    const uint64_t least = whole - matrices + extra;

    result.least_bytes = std::min(whole, least);
    result.fits = budget >= result.least_bytes;
    result.streams = budget < whole;
    if (!result.streams) {
        result.layers = config.num_layers;
        result.head_rows = config.vocab_size;
        result.resident_bytes = bytes.weights;
        return result;
    }
    result.extra_bytes = extra;
    result.group_rows = group_rows;
    uint64_t left = budget > least ? budget - least : 0;
    const uint64_t room = left;
    while (result.layers < config.num_layers && bytes.layers[result.layers] <= left)
        left -= bytes.layers[result.layers++];
    // The last rows are left out: if all fitted, so would the whole without streaming.
    if (result.layers == config.num_layers)
        while (result.head_rows + group_rows < config.vocab_size &&
               head_bytes(group_rows) <= left) {
            left -= head_bytes(group_rows);
            result.head_rows += group_rows;
        }
    result.resident_bytes = bytes.weights - matrices + room - left;
    result.streamed_bytes = bytes.weights - result.resident_bytes;
    return result;
}

std::string needs_text(const ModelBytes& bytes, uint64_t others) {
    return format_text("weights %" PRIu64 ", keys and values %" PRIu64 ", scratch %" PRIu64 "%s",
                       bytes.weights, bytes.kv, bytes.scratch,
                       others > 0 ? format_text(", others %" PRIu64, others).c_str() : "");
}

void require_fit(const Residency& residency, const ModelBytes& bytes, uint64_t budget,
                 uint64_t others) {
    if (!residency.fits)
        fail(Fault::out_of_memory,
             "The model needs %" PRIu64 " bytes of device memory (%s), or %" PRIu64
             " with streamed weights, and %" PRIu64 " are available.",
             bytes.total() + others, needs_text(bytes, others).c_str(), residency.least_bytes,
             budget);
}

uint32_t longest_context(const Config& config, const ModelBytes& bytes,
                         const ContextOptions& options, uint64_t budget,
                         const std::function<uint64_t(uint32_t)>& others) {
    const auto fits = [&](uint32_t context) {
        ContextOptions trial = options;
        trial.context = context;
        return residency(config, model_bytes(bytes, config, trial), trial, budget,
                         others ? others(context) : 0)
            .fits;
    };
    uint32_t low = 0, high = config.max_positions;  // low fits or is 0
    while (low < high) {
        const uint32_t middle = low + (high - low + 1) / 2;
        if (fits(middle))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

}  // namespace olivine
