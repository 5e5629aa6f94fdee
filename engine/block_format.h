// How ggml's quantised types code a block of weights, in one form (ggml-common.h, ggml-quants.c):
//
//   value = d * s * q + m * t
//
// d and m are halves of the block, s and t small integers of a group of 16 or 32 weights within it, and
// q a code of 2 to 8 bits, less an offset or looked up in a table. Types have a part of these.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/data_type.h"

namespace olivine {

struct BlockFormat {
    uint32_t low_bits = 4;   // of a code, 4 or 2,
    uint32_t high_bits = 0;  // and above them, 0 to 2
    int32_t offset = 0;      // q = code - offset
    bool table = false;      // q = kCodebook[code]
    bool minimum = false;    // there are m and t
    uint32_t group = 0;      // weights that share s and t; 0: both are 1
};

// Q4_1 and those after it in DataType: the types that shaders read as WEIGHT_BLOCKS.
bool is_blocks(DataType type);
const BlockFormat& block_format(DataType type);

constexpr std::array<int8_t, 16> kCodebook = {-127, -104, -83, -65, -49, -35, -22, -10,
                                              1,    13,   25,  38,  53,  69,  89,  113};

// A block taken apart: block_elements(type) codes, and s and t of each group.
struct Block {
    std::array<uint8_t, 256> codes;
    uint16_t d = 0, m = 0;  // f16; m with the sign that adds
    std::array<int8_t, 16> s, t;
};
// `from`: block_bytes(type) bytes. For the types of is_blocks.
void decode_block(DataType type, const std::byte* from, Block& block);

}  // namespace olivine
