// Keys and values of one layer, with canaries, as the host sees them.
#pragma once

#include <vector>

#include "engine/ops/kv_layer.h"
#include "engine/selftest/guarded.h"

namespace olivine::test {

using selftest::Guarded;

class GuardedKv {
public:
    // paged: in pages, in no order, instead of a ring.
    GuardedKv(Device& device, const HeadShape& shape, KvType type, uint32_t sequences,
              uint32_t capacity, uint32_t window, bool paged = false);

    KvLayer layer() const;
    bool intact() const { return keys_.intact() && values_.intact(); }

    // [sequences][capacity][kv_heads][padded_dim], as the numbers that the cache holds.
    std::vector<float> read_keys() const { return read(keys_); }
    std::vector<float> read_values() const { return read(values_); }
    void write_keys(const std::vector<float>& all) { write(keys_, all); }
    void write_values(const std::vector<float>& all) { write(values_, all); }

    // Where a position's head begins in those.
    size_t index(uint32_t sequence, uint32_t position, uint32_t kv_head) const {
        const size_t slot =
            pages_ > 0 ? table_[sequence * pages_ + position / KvLayer::kPage] * KvLayer::kPage +
                             position % KvLayer::kPage
                       : size_t{sequence} * capacity_ + position % capacity_;
        return (slot * shape_.kv_heads + kv_head) * shape_.padded_dim();
    }
    size_t count() const { return count_; }

private:
    std::vector<float> read(const Guarded& plane) const;
    void write(Guarded& plane, const std::vector<float>& all);

    HeadShape shape_;
    KvType type_;
    uint32_t capacity_, window_;
    uint32_t pages_;  // of a sequence; 0 = a ring
    std::vector<uint32_t> table_;
    size_t count_;
    Guarded keys_, values_, pages_table_;
};

}  // namespace olivine::test
