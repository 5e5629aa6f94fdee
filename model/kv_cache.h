// Keys and values of all layers and sequences: rings for local layers, pages for global ones.
#pragma once

#include <vector>

#include "engine/ops/kv_layer.h"
#include "model/config.h"
#include "model/sizes.h"

namespace olivine {

// Which layers' keys and values are meant.
enum class KvPart : uint8_t {
    rings,  // what the next position sees of local layers, and one position more: the last `window`
    all,    // that, and every position of global layers
};

// A global layer's pages are dealt out to sequences as they grow, the same ones in each such layer, so
// that sequences that begin alike can share them. Buffers grow with what is dealt out.
class KvCache {
public:
    // Of seats(options) sequences. Allocates the rings. Throws out_of_memory; unsupported, where the device cannot bind one.
    KvCache(Device& device, const Config& config, const ContextOptions& options);

    const KvLayer& layer(uint32_t index) const { return layers_[index]; }
    HeadShape shape() const { return shape_; }
    // True when global layers may come to have several pieces.
    bool in_pieces() const { return pools_.size() > 1; }
    KvType type() const { return type_; }
    uint32_t context() const { return context_; }
    uint32_t max_chunk() const { return max_chunk_; }

    // Gives a sequence pages of its own for positions [begin, end), end <= context(); those before `begin`
    // stay as they are, shared or not. When it changes generation(), plans recorded before are void. The
    // caller has waited for them. Throws out_of_memory, in which case nothing is lost.
    void reserve(uint32_t sequence, uint32_t begin, uint32_t end);
    uint32_t generation() const { return generation_; }

    // Lets go of what a sequence has from position `length` on.
    void trim(uint32_t sequence, uint32_t length);
    // Makes `to` hold the first `length` positions of `from`, whose rings hold what position `length` sees.
    // Their pages are shared from then on. Throws out_of_memory, device_lost.
    void share(uint32_t from, uint32_t to, uint32_t length);

    // True when a sequence of which positions up to `written` have been stored can go on from
    // `kept` <= written: the rings still hold every key that position `kept` sees.
    bool can_rewind(uint32_t written, uint32_t kept) const;

    // Where the first `length` positions of a sequence lie, layer by layer, keys before values, by
    // position: to copy them elsewhere or back. Independent of how long rings are.
    std::vector<Slice> stored(uint32_t sequence, uint32_t length, KvPart part) const;
    uint64_t stored_bytes(uint32_t length, KvPart part) const;

    // Positions of global layers whose pages are dealt out together, and what buffers grow by at least.
    static constexpr uint32_t kGrowth = 1024;

private:
    // Pages of positions [first, end) of every sequence.
    struct Pool {
        uint32_t first = 0, end = 0;
        uint32_t capacity = 0;                     // pages that the buffers have
        std::vector<uint32_t> users;               // [capacity] sequences that a page is of
        std::vector<std::vector<uint32_t>> table;  // [sequences][pages dealt out]
        std::vector<Buffer> keys, values;          // [layers]; none for local ones
        uint64_t table_at = 0;                     // bytes, in tables_
    };
    uint32_t pages_each(const Pool& pool) const;  // of a sequence, at most
    uint64_t slots(const Pool& pool, uint32_t pages) const;
    void add_pools();
    void grow(Buffer& buffer, uint64_t kept, uint64_t bytes);
    void grow(Pool& pool, uint32_t pages);
    void copy_pages(const Pool& pool, const std::vector<std::pair<uint32_t, uint32_t>>& from_to);
    void write_table(const Pool& pool, uint32_t sequence, const std::vector<uint32_t>& own);
    void make_pieces();

    Device& device_;
    const Config& config_;
    HeadShape shape_;
    KvType type_;
    uint32_t sequences_;
    uint32_t context_;
    uint32_t max_chunk_;
    uint32_t ring_slots_;
    uint64_t slot_bytes_;  // of keys, or values
    uint32_t generation_ = 0;
    std::vector<Buffer> ring_keys_, ring_values_;  // [layers]; none for global ones
    std::vector<Pool> pools_;
    Buffer tables_;
    std::vector<KvLayer> layers_;
};

}  // namespace olivine
