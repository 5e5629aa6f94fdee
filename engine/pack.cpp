#include "engine/pack.h"

#include <bit>
#include <cassert>
#include <cstring>
#include <vector>

namespace olivine {
namespace {

constexpr uint32_t kBlock = 32;

uint16_t load16(const std::byte* from) {
    uint16_t value = 0;
    std::memcpy(&value, from, sizeof value);
    return value;
}

// Element i of a Q4_0 block's 16 bytes: low nibbles are elements 0-15, high nibbles 16-31.
uint32_t q4_nibble(const std::byte* quants, uint32_t i) {
    const uint32_t byte = std::to_integer<uint32_t>(quants[i % 16]);
    return i < 16 ? byte & 15 : byte >> 4;
}

void pack_q8(const RowLayout& layout, DataType from, const std::byte* row, std::byte* quants,
             std::byte* scales) {
    for (uint32_t block = 0; block < layout.cols / kBlock; ++block) {
        const std::byte* source = row + uint64_t{block} * block_bytes(from);
        std::memcpy(scales + block * 2, source, 2);
        std::byte* target = quants + block * kBlock;
        if (from == DataType::q8_0) {
            std::memcpy(target, source + 2, kBlock);
            continue;
        }
        for (uint32_t i = 0; i < kBlock; ++i)
            target[i] = static_cast<std::byte>(static_cast<int8_t>(q4_nibble(source + 2, i)) - 8);
    }
}

void pack_q4(const RowLayout& layout, const std::byte* row, std::byte* quants, std::byte* scales) {
    for (uint32_t block = 0; block < layout.cols / kBlock; ++block) {
        const std::byte* source = row + uint64_t{block} * block_bytes(DataType::q4_0);
        std::memcpy(scales + block * 2, source, 2);
        uint32_t words[4];
        for (uint32_t w = 0; w < 4; ++w) {
            words[w] = 0;
            for (uint32_t i = 0; i < 8; ++i)
                words[w] |= q4_nibble(source + 2, w * 8 + i) << (4 * i);
        }
        std::memcpy(quants + block * 16, words, sizeof words);
    }
}

}  // namespace

RowLayout row_layout(DataType type, uint32_t cols) {
    RowLayout layout;
    layout.type = type;
    layout.cols = cols;
    const uint32_t blocks = (cols + kBlock - 1) / kBlock;
    layout.units = blocks * 2;
    switch (type) {
    case DataType::f32: layout.unit_bytes = 64; break;
    case DataType::f16:
    case DataType::bf16: layout.unit_bytes = 32; break;
    case DataType::q8_0: layout.unit_bytes = 16; break;
    case DataType::q4_0: layout.unit_bytes = 8; break;
    }
    if (block_elements(type) > 1)
        layout.scale_words = (blocks + 1) / 2;
    return layout;
}

DataType common_type(DataType a, DataType b) {
    if (a == b)
        return a;
    const bool quantised = block_elements(a) > 1 && block_elements(b) > 1;
    return quantised ? DataType::q8_0 : DataType::f32;
}

void pack_row(const RowLayout& layout, DataType from, const std::byte* row, std::byte* quants,
              std::byte* scales) {
    if (layout.scale_words > 0)
        std::memset(scales, 0, layout.scale_bytes());
    if (layout.type == DataType::q8_0)
        return pack_q8(layout, from, row, quants, scales);
    if (layout.type == DataType::q4_0)
        return pack_q4(layout, row, quants, scales);
    const uint64_t element = block_bytes(layout.type);
    const uint64_t used = layout.cols * element;
    if (from == layout.type)
        std::memcpy(quants, row, used);
    else
        unpack_row(from, row, {reinterpret_cast<float*>(quants), layout.cols});
    std::memset(quants + used, 0, layout.quant_bytes() - used);
}

void unpack_row(DataType from, const std::byte* row, std::span<float> values) {
    const size_t n = values.size();
    switch (from) {
    case DataType::f32: std::memcpy(values.data(), row, n * 4); return;
    case DataType::f16:
        for (size_t i = 0; i < n; ++i)
            values[i] = f32_from_f16(load16(row + i * 2));
        return;
    case DataType::bf16:
        for (size_t i = 0; i < n; ++i)
            values[i] = std::bit_cast<float>(uint32_t{load16(row + i * 2)} << 16);
        return;
    case DataType::q8_0:
    case DataType::q4_0:
        for (size_t i = 0; i < n; ++i) {
            const std::byte* block = row + i / kBlock * block_bytes(from);
            const uint32_t at = static_cast<uint32_t>(i % kBlock);
            const int quant = from == DataType::q8_0
                                  ? std::to_integer<int8_t>(block[2 + at])
                                  : static_cast<int>(q4_nibble(block + 2, at)) - 8;
            values[i] = f32_from_f16(load16(block)) * static_cast<float>(quant);
        }
        return;
    }
}

float f32_from_f16(uint16_t half) {
    const uint32_t sign = uint32_t{half & 0x8000u} << 16;
    const uint32_t exponent = half >> 10 & 31, mantissa = half & 1023;
    if (exponent == 31)
        return std::bit_cast<float>(sign | 0x7f800000u | mantissa << 13);
    if (exponent > 0)
        return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
    const float subnormal = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -subnormal : subnormal;
}

uint16_t f16_from_f32(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t sign = bits >> 16 & 0x8000;
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return static_cast<uint16_t>(sign | 0x7e00);
    if (magnitude >= 0x477ff000)  // rounds to 65536 or beyond
        return static_cast<uint16_t>(sign | 0x7c00);
    if (magnitude < 0x38800000) {  // subnormal: adding 0.5 aligns the bits and rounds
        const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
        return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000));
    }
    const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return static_cast<uint16_t>(sign | (rounded - 0x38000000) >> 13);
}

}  // namespace olivine
