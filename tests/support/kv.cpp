#include "tests/support/kv.h"

#include <algorithm>

#include "engine/selftest/kv_plane.h"

namespace olivine::test {
namespace {

// 0 to count - 1, last first and every other one: no page where one would look first.
std::vector<uint32_t> shuffled(uint32_t count) {
    std::vector<uint32_t> order;
    for (uint32_t i = count; i-- > 0;)
        order.insert(i % 2 ? order.begin() : order.end(), i);
    return order;
}

}  // namespace

using selftest::guarded;

GuardedKv::GuardedKv(Device& device, const HeadShape& shape, KvType type, uint32_t sequences,
                     uint32_t capacity, uint32_t window, bool paged)
    : shape_(shape),
      type_(type),
      capacity_(capacity),
      window_(window),
      pages_(paged ? (capacity + KvLayer::kPage - 1) / KvLayer::kPage : 0),
      table_(shuffled(std::max(1u, pages_ * sequences))),
      count_(size_t{sequences} * (paged ? pages_ * KvLayer::kPage : capacity) * shape.kv_heads *
             shape.padded_dim()),
      keys_(device, count_ / shape.padded_dim() * kv_head_bytes(type, shape)),
      values_(device, count_ / shape.padded_dim() * kv_head_bytes(type, shape)),
      pages_table_(guarded(device, table_)) {}

KvLayer GuardedKv::layer() const {
    KvLayer layer = KvLayer::ring(keys_.slice(), values_.slice(), type_, capacity_, window_);
    layer.pages = pages_;
    layer.pieces.front().pages = pages_table_.slice();
    return layer;
}

std::vector<float> GuardedKv::read(const Guarded& plane) const {
    return selftest::kv_values(type_, shape_, plane.read<uint32_t>());
}

void GuardedKv::write(Guarded& plane, const std::vector<float>& all) {
    plane.write(selftest::kv_words(type_, shape_, all));
}

}  // namespace olivine::test
