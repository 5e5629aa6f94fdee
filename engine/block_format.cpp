#include "engine/block_format.h"

#include <cassert>
#include <cstring>

namespace olivine {
namespace {

constexpr uint32_t kSuper = 256;  // weights of a K-quant's block

// One after the other, as DataType has them from q4_1 on.
constexpr BlockFormat kFormats[] = {
    {.minimum = true},                                             // Q4_1
    {.high_bits = 1, .offset = 16},                                // Q5_0
    {.high_bits = 1, .minimum = true},                             // Q5_1
    {.low_bits = 2, .minimum = true, .group = 16},                 // Q2_K
    {.low_bits = 2, .high_bits = 1, .offset = 4, .group = 16},     // Q3_K
    {.minimum = true, .group = 32},                                // Q4_K
    {.high_bits = 1, .minimum = true, .group = 32},                // Q5_K
    {.high_bits = 2, .offset = 32, .group = 16},                   // Q6_K
    {.table = true},                                               // IQ4_NL
    {.table = true, .group = 32},                                  // IQ4_XS
};

uint8_t byte(const std::byte* from, uint32_t i) { return std::to_integer<uint8_t>(from[i]); }

uint16_t half(const std::byte* from) {
    uint16_t bits = 0;
    std::memcpy(&bits, from, sizeof bits);
    return bits;
}

// Blocks of 32: 16 bytes of nibbles, the low ones first; their fifth bits in a word of their own.
void decode_nibbles(const std::byte* nibbles, const std::byte* high, Block& block) {
    for (uint32_t i = 0; i < 32; ++i) {
        const uint32_t low = i < 16 ? byte(nibbles, i) & 15 : byte(nibbles, i - 16) >> 4;
        const uint32_t bit = high ? byte(high, i / 8) >> (i % 8) & 1 : 0;
        block.codes[i] = static_cast<uint8_t>(low | bit << 4);
    }
}

// Six bits for each of eight s and eight t: the first four of both in the low bits of bytes 0 to 7, the
// others' low nibbles in bytes 8 to 11 and their high bits at the top of the first eight.
void decode_six_bits(const std::byte* from, Block& block) {
    for (uint32_t i = 0; i < 8; ++i) {
        if (i < 4) {
            block.s[i] = static_cast<int8_t>(byte(from, i) & 63);
            block.t[i] = static_cast<int8_t>(byte(from, i + 4) & 63);
        } else {
            block.s[i] = static_cast<int8_t>((byte(from, i + 4) & 15) | byte(from, i - 4) >> 6 << 4);
            block.t[i] = static_cast<int8_t>(byte(from, i + 4) >> 4 | byte(from, i) >> 6 << 4);
        }
    }
}

// f16 that is subtracted in files.
uint16_t negated(uint16_t bits) { return bits ^ 0x8000; }

void decode_q2_k(const std::byte* from, Block& block) {
    const std::byte *scales = from, *codes = from + 16;
    for (uint32_t i = 0; i < 16; ++i) {
        block.s[i] = static_cast<int8_t>(byte(scales, i) & 15);
        block.t[i] = static_cast<int8_t>(byte(scales, i) >> 4);
    }
    for (uint32_t i = 0; i < kSuper; ++i)
        block.codes[i] = byte(codes, i / 128 * 32 + i % 32) >> (i / 32 % 4 * 2) & 3;
    block.d = half(from + 80);
    block.m = negated(half(from + 82));
}

void decode_q3_k(const std::byte* from, Block& block) {
    const std::byte *high = from, *codes = from + 32, *scales = from + 96;
    for (uint32_t i = 0; i < 16; ++i) {
        const uint32_t low = i < 8 ? byte(scales, i) & 15 : byte(scales, i - 8) >> 4;
        const uint32_t top = byte(scales, 8 + i % 4) >> (i / 4 * 2) & 3;
        block.s[i] = static_cast<int8_t>(static_cast<int>(low | top << 4) - 32);
    }
    for (uint32_t i = 0; i < kSuper; ++i) {
        const uint32_t low = byte(codes, i / 128 * 32 + i % 32) >> (i / 32 % 4 * 2) & 3;
        block.codes[i] = static_cast<uint8_t>(low | (byte(high, i % 32) >> (i / 32) & 1) << 2);
    }
    block.d = half(from + 108);
}

// Q4_K, and Q5_K with `high`: 64 weights in 32 bytes, the low nibbles first.
void decode_q45_k(const std::byte* from, bool fifth, Block& block) {
    block.d = half(from);
    block.m = negated(half(from + 2));
    decode_six_bits(from + 4, block);
    const std::byte *high = from + 16, *codes = from + (fifth ? 48 : 16);
    for (uint32_t i = 0; i < kSuper; ++i) {
        const uint32_t pair = byte(codes, i / 64 * 32 + i % 32);
        const uint32_t low = i / 32 % 2 ? pair >> 4 : pair & 15;
        const uint32_t bit = fifth ? byte(high, i % 32) >> (i / 32) & 1 : 0;
        block.codes[i] = static_cast<uint8_t>(low | bit << 4);
    }
}

void decode_q6_k(const std::byte* from, Block& block) {
    const std::byte *low = from, *high = from + 128;
    for (uint32_t i = 0; i < kSuper; ++i) {
        const uint32_t half_at = i / 128, in = i % 128;
        const uint32_t pair = byte(low, half_at * 64 + in % 64);
        const uint32_t top = byte(high, half_at * 32 + in % 32) >> (in / 32 * 2) & 3;
        block.codes[i] = static_cast<uint8_t>((in < 64 ? pair & 15 : pair >> 4) | top << 4);
    }
    std::memcpy(block.s.data(), from + 192, 16);
    block.d = half(from + 208);
}

void decode_iq4_xs(const std::byte* from, Block& block) {
    block.d = half(from);
    const uint32_t high = half(from + 2);
    const std::byte *low = from + 4, *codes = from + 8;
    for (uint32_t i = 0; i < 8; ++i) {
        const uint32_t scale = (byte(low, i / 2) >> (i % 2 * 4) & 15) | (high >> (i * 2) & 3) << 4;
        block.s[i] = static_cast<int8_t>(static_cast<int>(scale) - 32);
    }
    for (uint32_t i = 0; i < kSuper; ++i) {
        const uint32_t pair = byte(codes, i / 32 * 16 + i % 16);
        block.codes[i] = static_cast<uint8_t>(i % 32 < 16 ? pair & 15 : pair >> 4);
    }
}

}  // namespace

bool is_blocks(DataType type) { return type >= DataType::q4_1; }

const BlockFormat& block_format(DataType type) {
    assert(is_blocks(type));
    return kFormats[static_cast<uint32_t>(type) - static_cast<uint32_t>(DataType::q4_1)];
}

void decode_block(DataType type, const std::byte* from, Block& block) {
    block.d = half(from);
    block.m = 0;
    block.s.fill(1);
    block.t.fill(1);
    switch (type) {
    case DataType::q4_1:
        block.m = half(from + 2);
        return decode_nibbles(from + 4, nullptr, block);
    case DataType::q5_0: return decode_nibbles(from + 6, from + 2, block);
    case DataType::q5_1:
        block.m = half(from + 2);
        return decode_nibbles(from + 8, from + 4, block);
    case DataType::q2_k: return decode_q2_k(from, block);
    case DataType::q3_k: return decode_q3_k(from, block);
    case DataType::q4_k: return decode_q45_k(from, false, block);
    case DataType::q5_k: return decode_q45_k(from, true, block);
    case DataType::q6_k: return decode_q6_k(from, block);
    case DataType::iq4_nl: return decode_nibbles(from + 2, nullptr, block);
    case DataType::iq4_xs: return decode_iq4_xs(from, block);
    default: assert(false);
    }
}

}  // namespace olivine
