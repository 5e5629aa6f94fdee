#include "model/kv_cache.h"

#include <algorithm>
#include <cassert>
#include <cinttypes>

#include "engine/error.h"
#include "engine/recorder.h"

namespace olivine {

KvCache::KvCache(Device& device, const Config& config, const ContextOptions& options)
    : device_(device), config_(config),
      shape_{config.num_heads, config.num_kv_heads, config.head_dim}, type_(options.kv),
      sequences_(options.sequences), context_(context_length(config, options.context)),
      max_chunk_(chunk_length(context_)) {
    keys_.resize(config.num_layers);
    values_.resize(config.num_layers);
    layers_.resize(config.num_layers);
    global_capacity_ = std::min(kPage, context_);
    for (uint32_t i = 0; i < config.num_layers; ++i) {
        const bool global = config.global_layers[i];
        KvLayer& layer = layers_[i];
        layer.type = type_;
        layer.window = global ? 0 : config.sliding_window;
        layer.capacity = global ? global_capacity_ : kv_slots(config, i, context_);
        allocate(i, layer.capacity, keys_[i], values_[i]);
        layer.keys = keys_[i].slice();
        layer.values = values_[i].slice();
    }
}

void KvCache::allocate(uint32_t layer, uint32_t capacity, Buffer& keys, Buffer& values) const {
    const uint64_t bytes = uint64_t{sequences_} * capacity * shape_.kv_heads * shape_.padded_dim() *
                           kv_element_bytes(type_);
    if (bytes > device_.capabilities().max_range_bytes)
        fail(Fault::unsupported,
             "The keys of layer %u take %" PRIu64 " bytes at a context of %u (the device binds %" PRIu64
             " at most).",
             layer, bytes, context_, device_.capabilities().max_range_bytes);
    keys = Buffer(device_, Arena::kv, bytes);
    values = Buffer(device_, Arena::kv, bytes);
}

void KvCache::reserve(uint32_t length) {
    assert(length <= context_);
    if (length <= global_capacity_)
        return;
    const uint32_t wanted = std::max(length, std::min(global_capacity_ * 2, context_));
    const uint32_t capacity = std::min((wanted + kPage - 1) / kPage * kPage, context_);
    std::vector<Buffer> keys(layers_.size()), values(layers_.size());
    Recorder recorder(device_, "grow");
    const uint64_t slot = uint64_t{shape_.kv_heads} * shape_.padded_dim() * kv_element_bytes(type_);
    for (uint32_t i = 0; i < layers_.size(); ++i) {
        if (!config_.global_layers[i])
            continue;
        allocate(i, capacity, keys[i], values[i]);
        for (uint32_t s = 0; s < sequences_; ++s) {
            const uint64_t from = s * global_capacity_ * slot, to = s * capacity * slot;
            const uint64_t bytes = global_capacity_ * slot;
            recorder.copy(keys_[i].slice(from, bytes), keys[i].slice(to, bytes));
            recorder.copy(values_[i].slice(from, bytes), values[i].slice(to, bytes));
        }
    }
    recorder.finish().run();
    for (uint32_t i = 0; i < layers_.size(); ++i) {
        if (!config_.global_layers[i])
            continue;
        keys_[i] = std::move(keys[i]);
        values_[i] = std::move(values[i]);
        layers_[i].keys = keys_[i].slice();
        layers_[i].values = values_[i].slice();
        layers_[i].capacity = capacity;
    }
    global_capacity_ = capacity;
    ++generation_;
}

bool KvCache::can_rewind(uint32_t written, uint32_t kept) const {
    assert(kept <= written);
    // A ring holds the last window + max_chunk - 1 positions before `written`; position `kept` sees
    // the window - 1 before it.
    return written - kept <= max_chunk_;
}

}  // namespace olivine
