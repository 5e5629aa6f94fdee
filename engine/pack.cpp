#include "engine/pack.h"

#include <bit>
#include <cassert>
#include <cstring>
#include <vector>

#include "engine/block_format.h"

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

int8_t quant(DataType type, uint8_t code) {
    const BlockFormat& format = block_format(type);
    return format.table ? kCodebook[code] : static_cast<int8_t>(code - format.offset);
}

void pack_q8(const RowLayout& layout, DataType from, const std::byte* row, std::byte* quants,
             std::byte* scales) {
    for (uint32_t block = 0; block < layout.cols / kBlock; ++block) {
        const std::byte* source = row + uint64_t{block} * block_bytes(from);
        std::memcpy(scales + block * 2, source, 2);  // which all of them begin with
        std::byte* target = quants + block * kBlock;
        if (is_blocks(from)) {
            Block decoded;
            decode_block(from, source, decoded);
            for (uint32_t i = 0; i < kBlock; ++i)
                target[i] = static_cast<std::byte>(quant(from, decoded.codes[i]));
            continue;
        }
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

void unpack_blocks(DataType from, const std::byte* row, std::span<float> values) {
    const BlockFormat& format = block_format(from);
    const uint32_t elements = block_elements(from);
    Block block;
    for (size_t i = 0; i < values.size(); ++i) {
        const uint32_t at = static_cast<uint32_t>(i % elements);
        if (at == 0)
            decode_block(from, row + i / elements * block_bytes(from), block);
        const uint32_t group = format.group > 0 ? at / format.group : 0;
        const float d = f32_from_f16(block.d) * static_cast<float>(block.s[group]);
        const float m = f32_from_f16(block.m) * static_cast<float>(block.t[group]);
        values[i] = d * static_cast<float>(quant(from, block.codes[at])) + m;
    }
}

// Words of a row's parts in the plane of scales, in this order.
struct Parts {
    uint32_t high;    // the codes' high bits: a word for 32 weights, or for 16 where there are two
    uint32_t halves;  // d, two a word, or d and m
    uint32_t groups;  // s and t: bytes s, t; with groups of 16 one byte, s or s | t << 4
};

Parts parts_of(DataType type, uint32_t cols) {
    const BlockFormat& format = block_format(type);
    const uint32_t blocks = cols / block_elements(type);
    Parts parts{};
    parts.high = format.high_bits == 0 ? 0 : cols / 32 * format.high_bits;
    parts.halves = format.minimum ? blocks : (blocks + 1) / 2;
    if (format.group > 0)
        parts.groups = cols / format.group * (format.minimum && format.group == 32 ? 2 : 1) / 4;
    return parts;
}

void pack_blocks(const RowLayout& layout, const std::byte* row, std::byte* quants,
                 std::byte* scales) {
    const DataType type = layout.type;
    const BlockFormat& format = block_format(type);
    const Parts parts = parts_of(type, layout.cols);
    const uint32_t elements = block_elements(type);
    std::byte* halves = scales + parts.high * 4ull;
    std::byte* groups = halves + parts.halves * 4ull;
    const auto put_bits = [](std::byte* to, uint64_t at, uint32_t bits, uint32_t count) {
        to[at * count / 8] |= static_cast<std::byte>(bits << (at * count % 8));
    };
    std::memset(quants, 0, layout.quant_bytes());
    Block block;
    for (uint32_t b = 0; b < layout.cols / elements; ++b) {
        decode_block(type, row + uint64_t{b} * block_bytes(type), block);
        for (uint32_t i = 0; i < elements; ++i) {
            const uint64_t at = uint64_t{b} * elements + i;
            const uint32_t code = block.codes[i];
            put_bits(quants, at, code & ((1u << format.low_bits) - 1), format.low_bits);
            if (format.high_bits > 0)
                put_bits(scales, at, code >> format.low_bits, format.high_bits);
        }
        if (format.minimum) {
            std::memcpy(halves + b * 4ull, &block.d, 2);
            std::memcpy(halves + b * 4ull + 2, &block.m, 2);
        } else {
            std::memcpy(halves + b * 2ull, &block.d, 2);
        }
        const uint32_t count = format.group > 0 ? elements / format.group : 0;
        for (uint32_t g = 0; g < count; ++g) {
            const uint64_t at = uint64_t{b} * count + g;
            if (!format.minimum) {
                groups[at] = static_cast<std::byte>(block.s[g]);
            } else if (format.group == 16) {
                groups[at] = static_cast<std::byte>(block.s[g] | block.t[g] << 4);
            } else {
                groups[at * 2] = static_cast<std::byte>(block.s[g]);
                groups[at * 2 + 1] = static_cast<std::byte>(block.t[g]);
            }
        }
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
    default: {
        const Parts parts = parts_of(type, cols);
        layout.unit_bytes = block_format(type).low_bits * 2;
        layout.scale_words = parts.high + parts.halves + parts.groups;
        return layout;
    }
    }
    if (block_elements(type) > 1)
        layout.scale_words = (blocks + 1) / 2;
    return layout;
}

DataType common_type(DataType a, DataType b) {
    if (a == b)
        return a;
    const auto fits_q8 = [](DataType type) {
        return type == DataType::q8_0 || type == DataType::q4_0 || type == DataType::q5_0 ||
               type == DataType::iq4_nl;
    };
    return fits_q8(a) && fits_q8(b) ? DataType::q8_0 : DataType::f32;
}

void pack_row(const RowLayout& layout, DataType from, const std::byte* row, std::byte* quants,
              std::byte* scales) {
    if (layout.scale_words > 0)
        std::memset(scales, 0, layout.scale_bytes());
    if (layout.type == DataType::q8_0)
        return pack_q8(layout, from, row, quants, scales);
    if (layout.type == DataType::q4_0)
        return pack_q4(layout, row, quants, scales);
    if (is_blocks(layout.type))
        return pack_blocks(layout, row, quants, scales);
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
    default: unpack_blocks(from, row, values);
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
