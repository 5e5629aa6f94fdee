// Turns rows as files store them into the planes that shaders read (shaders/include/weights.glsl).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/data_type.h"

namespace olivine {

// Shape of one packed row. A unit is 16 elements; rows are padded with zeros to blocks of 32.
struct RowLayout {
    DataType type = DataType::f32;
    uint32_t cols = 0;
    uint32_t units = 0;        // 2 * ceil(cols / 32)
    uint32_t unit_bytes = 0;   // 64 F32, 32 F16 and BF16, 16 Q8_0, 8 four bits each, 4 two bits each
    uint32_t scale_words = 0;  // 32-bit words of scales and what else a row has; 0 for plain types
    uint32_t interleave = 1;   // rows whose words alternate

    uint64_t quant_bytes() const { return uint64_t{units} * unit_bytes; }
    uint64_t scale_bytes() const { return uint64_t{scale_words} * 4; }
};
RowLayout row_layout(DataType type, uint32_t cols);

// The type that holds every value of both exactly: itself for one type, Q8_0 for two of Q8_0, Q4_0,
// Q5_0 and IQ4_NL (the same block scale fits), else F32.
DataType common_type(DataType a, DataType b);

// Packs one row of `layout.cols` values, stored in a file as `from`, into quants and scales.
// `from` is layout.type, or a type whose common_type with it is layout.type.
// `row` has file_bytes(from, cols) bytes; quants and scales have the layout's sizes.
void pack_row(const RowLayout& layout, DataType from, const std::byte* row, std::byte* quants,
              std::byte* scales);

// The values of one row as files store it, `cols` of them. Quantised: scale * quant (ggml's
// block_q8_0 and block_q4_0; Q4_0's quants are nibble - 8), others by engine/block_format.h.
void unpack_row(DataType from, const std::byte* row, std::span<float> values);

float f32_from_f16(uint16_t half);
// Nearest, ties to even.
uint16_t f16_from_f32(float value);

}  // namespace olivine
