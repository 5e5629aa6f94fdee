// Keys and values of one layer on the device.
#pragma once

#include "engine/buffer.h"

namespace olivine {

enum class KvType : uint8_t { f32, f16 };

// keys, values: [sequences][capacity][kv_heads][padded_dim]; slot = position % capacity.
struct KvLayer {
    Slice keys;
    Slice values;
    KvType type = KvType::f16;
    uint32_t capacity = 0;  // slots a sequence
    uint32_t window = 0;    // keys that a row sees, itself included; 0 = all
};

// Sizes of the heads that attention works on.
struct HeadShape {
    uint32_t heads = 0;
    uint32_t kv_heads = 0;  // divides heads
    uint32_t head_dim = 0;  // even
    uint32_t padded_dim() const { return (head_dim + 7) / 8 * 8; }
};

constexpr uint32_t kv_element_bytes(KvType type) { return type == KvType::f32 ? 4 : 2; }

}  // namespace olivine
