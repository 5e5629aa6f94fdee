#include "model/weight_loader.h"

#include <utility>

namespace olivine {

WeightLoader::WeightLoader(Device& device, const Checkpoint& checkpoint, const Residency& residency,
                           Weights& weights, Progress progress)
    : checkpoint_(checkpoint),
      residency_(residency),
      weights_(weights),
      loader_(device, checkpoint, std::move(progress), checkpoint.weight_bytes()) {
    make_room();
    weights_.norms = std::make_unique<VectorArena>(device, norm_bytes(checkpoint.config()));
    read_norms();
}

void WeightLoader::make_room() {
    const Config& config = checkpoint_.config();
    const uint64_t hidden = config.hidden_size, inter = config.intermediate_size;
    const uint64_t q_rows = uint64_t{config.num_heads} * config.head_dim;
    const uint64_t kv_rows = uint64_t{config.num_kv_heads} * config.head_dim;
    using Tensors = std::vector<const TensorInfo*>;
    // parts: one type or several parts.
    const auto add = [&](Matrix& matrix, Tensors tensors, const auto& parts,
                         RowOrder order = RowOrder::stacked) {
        matrix = loader_.room(tensors, parts);
        tasks_.back().push_back({&matrix, std::move(tensors), order});
    };
    const auto add_table = [&](Matrix& matrix, const char* name) {
        const TensorInfo& table = checkpoint_.tensor(name, {config.vocab_size, hidden});
        if (residency_.streams)
            loader_.keep_in(Home::host, residency_.group_rows);
        else
            loader_.keep_in(Home::device);
        tasks_.emplace_back();
        add(matrix, {&table}, table.type);
    };

    add_table(weights_.embed_tokens, "embed_tokens.weight");
    weights_.layers.resize(config.num_layers);
    for (uint32_t i = 0; i < config.num_layers; ++i) {
        loader_.keep_in(i < residency_.layers ? Home::device : Home::host);
        const auto tensor = [&](const char* name, uint64_t rows, uint64_t cols) {
            return &checkpoint_.tensor(layer_name(i, name), {rows, cols});
        };
        const LayerTypes types = layer_types(checkpoint_, i);
        LayerWeights& layer = weights_.layers[i];
        tasks_.emplace_back();
        add(layer.qkv_proj,
            {tensor("self_attn.q_proj", q_rows, hidden), tensor("self_attn.k_proj", kv_rows, hidden),
             tensor("self_attn.v_proj", kv_rows, hidden)},
            types.qkv_proj);
        add(layer.o_proj, {tensor("self_attn.o_proj", hidden, q_rows)}, types.o_proj);
        add(layer.gate_up_proj,
            {tensor("mlp.gate_proj", inter, hidden), tensor("mlp.up_proj", inter, hidden)},
            types.gate_up_proj, RowOrder::interleaved);
        add(layer.down_proj, {tensor("mlp.down_proj", hidden, inter)}, types.down_proj);
    }
    if (!config.tied_head)
        add_table(weights_.lm_head, "lm_head.weight");

    groups_.reserve(tasks_.size());
    for (const std::vector<Task>& tasks : tasks_) {
        groups_.push_back({this, static_cast<uint32_t>(groups_.size())});
        for (const Task& task : tasks)
            task.matrix->await(&groups_.back());
    }
}

void WeightLoader::read_norms() {
    const Config& config = checkpoint_.config();
    const auto norm = [&](const std::string& name, uint64_t size) {
        return loader_.norm(checkpoint_.tensor(name, {size}));
    };
    const auto put = [&](std::vector<float> first, const std::vector<float>& second) {
        first.insert(first.end(), second.begin(), second.end());
        return weights_.norms->put(first);
    };
    const uint64_t hidden = config.hidden_size;
    weights_.first_norm = weights_.norms->put(norm(layer_name(0, "input_layernorm"), hidden));
    for (uint32_t i = 0; i < config.num_layers; ++i) {
        LayerWeights& layer = weights_.layers[i];
        layer.attention_norms = put(norm(layer_name(i, "post_attention_layernorm"), hidden),
                                    norm(layer_name(i, "pre_feedforward_layernorm"), hidden));
        layer.feedforward_norms = put(
            norm(layer_name(i, "post_feedforward_layernorm"), hidden),
            norm(i + 1 < config.num_layers ? layer_name(i + 1, "input_layernorm") : "norm.weight",
                 hidden));
        if (config.qk_norm)
            layer.qk_norms = put(norm(layer_name(i, "self_attn.q_norm"), config.head_dim),
                                 norm(layer_name(i, "self_attn.k_norm"), config.head_dim));
    }
}

void WeightLoader::read_next() {
    const uint64_t before = loader_.done();
    try {
        for (const Task& task : tasks_[next_])
            loader_.fill(*task.matrix, task.tensors, task.order);
    } catch (...) {
        loader_.set_done(before);
        throw;
    }
    groups_[next_].copy = loader_.uploader().submit();
    ++next_;
}

bool WeightLoader::fetch(const WeightGroup& group) {
    const bool missing = next_ <= group.index;
    while (next_ <= group.index)
        read_next();
    return missing;
}

bool WeightLoader::prefetch(const WeightGroup& group, const WeightGroup*) { return fetch(group); }

uint64_t WeightLoader::staging_bytes() const {
    const bool mapped = weights_.embed_tokens.pieces().front().quants.buffer->mapped();
    return mapped ? 0 : Uploader::kMostBytes;
}

void WeightLoader::reserve_staging() { loader_.uploader().reserve(staging_bytes() / 2); }

void WeightLoader::finish() {
    while (unread() > 0)
        read_next();
    loader_.flush();
    for (const std::vector<Task>& tasks : tasks_)
        for (const Task& task : tasks)
            task.matrix->await(nullptr);
    if (residency_.streams)
        weights_.enter_head(loader_.uploader(), residency_);
}

}  // namespace olivine
