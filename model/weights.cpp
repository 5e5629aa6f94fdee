#include "model/weights.h"

#include <array>
#include <cassert>
#include <cmath>

#include "engine/error.h"

namespace olivine {
namespace {

constexpr uint64_t kAlignment = 256;  // of slices in the buffer of norms; every device's divides it

uint64_t aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::string layer_name(uint32_t layer, const char* tensor) {
    return "layers." + std::to_string(layer) + "." + tensor + ".weight";
}

// Fills Weights::norms from front to back.
class NormWriter {
public:
    NormWriter(Device& device, const Config& config, Buffer& buffer)
        : device_(device), buffer_(buffer) {
        buffer_ = Buffer(device, Arena::weights, norm_bytes(config));
    }

    Slice put(std::span<const float> values) {
        const Slice slice = buffer_.slice(used_, values.size_bytes());
        write(device_, slice, std::as_bytes(values));
        used_ += aligned(values.size_bytes());
        return slice;
    }

private:
    Device& device_;
    Buffer& buffer_;
    uint64_t used_ = 0;
};

class Loader {
public:
    Loader(Device& device, const Checkpoint& checkpoint, const Progress& progress)
        : device_(device), checkpoint_(checkpoint), config_(checkpoint.config()),
          progress_(progress), uploader_(device), total_(checkpoint.weight_bytes()) {}

    void load(Weights& weights);

private:
    RowSource source(const TensorInfo& tensor) {
        RowSource rows;
        rows.type = tensor.type;
        rows.rows = static_cast<uint32_t>(tensor.shape[0]);
        const uint64_t row_bytes = tensor.bytes / tensor.shape[0];
        rows.read = [this, &tensor, row_bytes](uint32_t first, uint32_t, std::span<std::byte> out) {
            checkpoint_.read(tensor, first * row_bytes, out);
            report(out.size());
        };
        return rows;
    }

    Matrix matrix(std::initializer_list<const TensorInfo*> tensors, DataType type, RowOrder order) {
        std::vector<RowSource> sources;
        uint32_t rows = 0;
        for (const TensorInfo* tensor : tensors) {
            sources.push_back(source(*tensor));
            rows += sources.back().rows;
        }
        Matrix result(device_, type, rows, static_cast<uint32_t>((*tensors.begin())->shape[1]));
        result.upload(uploader_, sources, order);
        return result;
    }

    std::vector<float> vector(const std::string& name, uint32_t size) {
        const TensorInfo& tensor = checkpoint_.tensor(name, {size});
        std::vector<std::byte> bytes(tensor.bytes);
        checkpoint_.read(tensor, 0, bytes);
        report(bytes.size());
        std::vector<float> values(size);
        unpack_row(tensor.type, bytes.data(), values);
        // Shaders add the one; GGUF files have it in the weight already.
        for (float& value : values) {
            if (checkpoint_.norm_weights_include_one())
                value -= 1.0f;
            if (!std::isfinite(value))
                fail(Fault::bad_file, "%s: tensor '%s' holds a value that is not finite.",
                     checkpoint_.path().c_str(), tensor.name.c_str());
        }
        return values;
    }

    const TensorInfo& projection(uint32_t layer, const char* name, uint64_t rows, uint64_t cols) {
        return checkpoint_.tensor(layer_name(layer, name), {rows, cols});
    }

    void report(uint64_t bytes) {
        done_ += bytes;
        if (progress_ && !progress_(done_, total_))
            fail(Fault::cancelled, "Loading %s is stopped on request.", checkpoint_.path().c_str());
    }

    Device& device_;
    const Checkpoint& checkpoint_;
    const Config& config_;
    const Progress& progress_;
    Uploader uploader_;
    uint64_t total_ = 0, done_ = 0;
};

void Loader::load(Weights& weights) {
    const uint64_t hidden = config_.hidden_size, inter = config_.intermediate_size;
    const uint64_t q_rows = uint64_t{config_.num_heads} * config_.head_dim;
    const uint64_t kv_rows = uint64_t{config_.num_kv_heads} * config_.head_dim;

    NormWriter norms(device_, config_, weights.norms);
    const auto norm = [&](const std::string& name) {
        return norms.put(vector(name, config_.hidden_size));
    };

    const TensorInfo& table = checkpoint_.tensor("embed_tokens.weight", {config_.vocab_size, hidden});
    weights.embed_tokens = matrix({&table}, table.type, RowOrder::stacked);
    if (!config_.tied_head) {
        const TensorInfo& head = checkpoint_.tensor("lm_head.weight", {config_.vocab_size, hidden});
        weights.lm_head = matrix({&head}, head.type, RowOrder::stacked);
    }
    for (uint32_t i = 0; i < config_.num_layers; ++i) {
        const LayerTypes types = layer_types(checkpoint_, i);
        LayerWeights layer;
        layer.qkv_proj = matrix({&projection(i, "self_attn.q_proj", q_rows, hidden),
                                 &projection(i, "self_attn.k_proj", kv_rows, hidden),
                                 &projection(i, "self_attn.v_proj", kv_rows, hidden)},
                                types.qkv_proj, RowOrder::stacked);
        layer.o_proj = matrix({&projection(i, "self_attn.o_proj", hidden, q_rows)}, types.o_proj,
                              RowOrder::stacked);
        layer.gate_up_proj = matrix({&projection(i, "mlp.gate_proj", inter, hidden),
                                     &projection(i, "mlp.up_proj", inter, hidden)},
                                    types.gate_up_proj, RowOrder::interleaved);
        layer.down_proj = matrix({&projection(i, "mlp.down_proj", hidden, inter)}, types.down_proj,
                                 RowOrder::stacked);
        layer.input_layernorm = norm(layer_name(i, "input_layernorm"));
        layer.post_attention_layernorm = norm(layer_name(i, "post_attention_layernorm"));
        layer.pre_feedforward_layernorm = norm(layer_name(i, "pre_feedforward_layernorm"));
        layer.post_feedforward_layernorm = norm(layer_name(i, "post_feedforward_layernorm"));
        if (config_.qk_norm) {
            std::vector<float> both = vector(layer_name(i, "self_attn.q_norm"), config_.head_dim);
            const std::vector<float> k = vector(layer_name(i, "self_attn.k_norm"), config_.head_dim);
            both.insert(both.end(), k.begin(), k.end());
            layer.qk_norms = norms.put(both);
        }
        weights.layers.push_back(std::move(layer));
    }
    weights.norm = norm("norm.weight");
    uploader_.flush();
}

}  // namespace

LayerTypes layer_types(const Checkpoint& checkpoint, uint32_t layer) {
    const auto type = [&](std::initializer_list<const char*> tensors) {
        std::optional<DataType> common;
        for (const char* tensor : tensors) {
            const TensorInfo* info = checkpoint.find(layer_name(layer, tensor));
            assert(info);  // Checkpoint::open has checked that it is there
            common = common ? common_type(*common, info->type) : info->type;
        }
        return *common;
    };
    return {.qkv_proj = type({"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}),
            .o_proj = type({"self_attn.o_proj"}),
            .gate_up_proj = type({"mlp.gate_proj", "mlp.up_proj"}),
            .down_proj = type({"mlp.down_proj"})};
}

Weights load_weights(Device& device, const Checkpoint& checkpoint, const Progress& progress) {
    Weights weights;
    Loader(device, checkpoint, progress).load(weights);
    return weights;
}

Weights random_weights(Device& device, Ops& ops, const Config& config, DataType type) {
    const uint32_t q_rows = config.num_heads * config.head_dim;
    const uint32_t kv_rows = config.num_kv_heads * config.head_dim;
    Weights weights;
    NormWriter norms(device, config, weights.norms);
    const std::vector<float> zeros(config.hidden_size, 0.0f);
    const std::vector<float> head_zeros(config.head_dim * 2, 0.0f);
    uint32_t seed = 1;
    // Uniform in +-sqrt(3 / cols) has the variance 1 / cols, which keeps the size of its input.
    const auto matrix = [&](uint32_t rows, uint32_t cols) {
        Matrix result(device, type, rows, cols);
        Recorder recorder(device, "random weights");
        ops.random_fill.record(recorder, result, seed,
                               std::sqrt(3.0f / static_cast<float>(cols)));
        recorder.finish().run();
        seed += 64;
        return result;
    };
    weights.embed_tokens = matrix(config.vocab_size, config.hidden_size);
    for (uint32_t i = 0; i < config.num_layers; ++i) {
        LayerWeights layer;
        layer.qkv_proj = matrix(q_rows + 2 * kv_rows, config.hidden_size);
        layer.o_proj = matrix(config.hidden_size, q_rows);
        layer.gate_up_proj = matrix(2 * config.intermediate_size, config.hidden_size);
        layer.down_proj = matrix(config.hidden_size, config.intermediate_size);
        layer.input_layernorm = norms.put(zeros);
        layer.post_attention_layernorm = norms.put(zeros);
        layer.pre_feedforward_layernorm = norms.put(zeros);
        layer.post_feedforward_layernorm = norms.put(zeros);
        if (config.qk_norm)
            layer.qk_norms = norms.put(head_zeros);
        weights.layers.push_back(std::move(layer));
    }
    weights.norm = norms.put(zeros);
    return weights;
}

uint64_t norm_bytes(const Config& config) {
    const uint64_t hidden = aligned(config.hidden_size * 4ull);
    const uint64_t heads = config.qk_norm ? aligned(config.head_dim * 8ull) : 0;
    return (4 * hidden + heads) * config.num_layers + hidden;
}

}  // namespace olivine
