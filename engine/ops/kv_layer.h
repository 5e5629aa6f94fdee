// Keys and values of one layer on the device.
#pragma once

#include <vector>

#include "engine/buffer.h"

namespace olivine {

enum class KvType : uint8_t { f32, f16, q8_0 };

// Positions [first, end) of every sequence. keys, values: [slots][kv_heads][a head].
struct KvPiece {
    Slice keys;
    Slice values;
    Slice pages;  // [sequences][KvLayer::pages] uint32: a page of slots for every page of positions
    uint32_t first = 0, end = UINT32_MAX;
};

// shaders/include/kv.glsl says how it lies in memory.
struct KvLayer {
    static constexpr uint32_t kPage = 64;  // slots

    // One, unless what a layer holds is more than the device binds.
    std::vector<KvPiece> pieces;
    KvType type = KvType::f16;
    uint32_t capacity = 0;  // slots a sequence, of a ring: slot = position % capacity
    uint32_t window = 0;    // keys that a row sees, itself included; 0 = all
    uint32_t pages = 0;     // entries of a piece's table a sequence; 0 = it is a ring

    // A ring, or as many slots as there are positions.
    static KvLayer ring(const Slice& keys, const Slice& values, KvType type, uint32_t capacity,
                        uint32_t window) {
        return {.pieces = {{.keys = keys, .values = values}}, .type = type, .capacity = capacity,
                .window = window};
    }
    // What to bind where a ring has no table, which the shader then does not read.
    static const Slice& table_of(const KvPiece& piece) {
        return piece.pages.buffer ? piece.pages : piece.keys;
    }
};

// Sizes of the heads that attention works on.
struct HeadShape {
    uint32_t heads = 0;
    uint32_t kv_heads = 0;  // divides heads
    uint32_t head_dim = 0;  // even
    constexpr uint32_t padded_dim() const { return (head_dim + 7) / 8 * 8; }
};

// Bytes of the key, or the value, of one position and head. q8_0: blocks of 32 int8, each with a half as its
// scale (ggml's block_q8_0, taken apart), an even number of them.
constexpr uint32_t kv_head_bytes(KvType type, const HeadShape& shape) {
    const uint32_t blocks = (shape.padded_dim() + 31) / 32;
    switch (type) {
    case KvType::f32: return shape.padded_dim() * 4;
    case KvType::f16: return shape.padded_dim() * 2;
    case KvType::q8_0: return blocks * 32 + (blocks + 1) / 2 * 4;
    }
    return 0;
}

const char* name(KvType type);  // "f16"

}  // namespace olivine
