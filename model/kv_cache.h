// Keys and values of all layers: rings for local layers, growing buffers for global ones.
#pragma once

#include <vector>

#include "engine/ops/kv_layer.h"
#include "model/config.h"
#include "model/sizes.h"

namespace olivine {

class KvCache {
public:
    // Allocates the rings, and a first page of the global layers. Throws out_of_memory.
    KvCache(Device& device, const Config& config, const ContextOptions& options);

    const KvLayer& layer(uint32_t index) const { return layers_[index]; }
    HeadShape shape() const { return shape_; }
    uint32_t context() const { return context_; }
    uint32_t max_chunk() const { return max_chunk_; }

    // Makes room for positions [0, length) of every sequence; length <= context(). Growing copies
    // what is there and changes generation(): plans recorded before are void, and the caller has
    // waited for them. Grows by at least kPage positions at a time. Throws out_of_memory, in which
    // case nothing has changed.
    void reserve(uint32_t length);
    uint32_t generation() const { return generation_; }

    // True when a sequence of which positions up to `written` have been stored can go on from
    // `kept` <= written: the rings still hold every key that position `kept` sees.
    bool can_rewind(uint32_t written, uint32_t kept) const;

    static constexpr uint32_t kPage = 1024;

private:
    void allocate(uint32_t layer, uint32_t capacity, Buffer& keys, Buffer& values) const;

    Device& device_;
    const Config& config_;
    HeadShape shape_;
    KvType type_;
    uint32_t sequences_;
    uint32_t context_;
    uint32_t max_chunk_;
    uint32_t global_capacity_ = 0;
    uint32_t generation_ = 0;
    std::vector<Buffer> keys_, values_;
    std::vector<KvLayer> layers_;
};

}  // namespace olivine
