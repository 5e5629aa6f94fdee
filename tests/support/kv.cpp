#include "tests/support/kv.h"

#include "engine/pack.h"

namespace olivine::test {

GuardedKv::GuardedKv(Device& device, const HeadShape& shape, KvType type, uint32_t sequences,
                     uint32_t capacity, uint32_t window)
    : shape_(shape),
      type_(type),
      capacity_(capacity),
      window_(window),
      count_(size_t{sequences} * capacity * shape.kv_heads * shape.padded_dim()),
      keys_(device, count_ * kv_element_bytes(type)),
      values_(device, count_ * kv_element_bytes(type)) {}

std::vector<float> GuardedKv::read(const Guarded& plane) const {
    if (type_ == KvType::f32)
        return plane.read<float>();
    std::vector<float> all;
    for (const uint16_t half : plane.read<uint16_t>())
        all.push_back(f32_from_f16(half));
    return all;
}

void GuardedKv::write(Guarded& plane, const std::vector<float>& all) {
    if (type_ == KvType::f32) {
        plane.write(all);
        return;
    }
    std::vector<uint16_t> halves;
    for (const float value : all)
        halves.push_back(f16_from_f32(value));
    plane.write(halves);
}

}  // namespace olivine::test
