#include "engine/selftest/kv_plane.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/pack.h"

namespace olivine::selftest {
namespace {

constexpr uint32_t kBlock = 32;

uint32_t blocks_of(const HeadShape& shape) { return (shape.padded_dim() + kBlock - 1) / kBlock; }

}  // namespace

std::vector<uint32_t> kv_words(KvType type, const HeadShape& shape, std::span<const float> values) {
    std::vector<uint32_t> words;
    if (type == KvType::f32) {
        for (const float value : values)
            words.push_back(std::bit_cast<uint32_t>(value));
        return words;
    }
    if (type == KvType::f16) {
        for (size_t i = 0; i < values.size(); i += 2)
            words.push_back(f16_from_f32(values[i]) | uint32_t{f16_from_f32(values[i + 1])} << 16);
        return words;
    }
    for (size_t head = 0; head < values.size(); head += shape.padded_dim()) {
        std::vector<float> own(values.begin() + static_cast<ptrdiff_t>(head),
                               values.begin() + static_cast<ptrdiff_t>(head + shape.padded_dim()));
        own.resize(blocks_of(shape) * kBlock);
        std::vector<uint32_t> scales((blocks_of(shape) + 1) / 2);
        for (uint32_t b = 0; b < blocks_of(shape); ++b) {
            float largest = 0;
            for (uint32_t i = 0; i < kBlock; ++i)
                if (!(std::abs(own[b * kBlock + i]) <= largest))  // also of what is not a number
                    largest = std::abs(own[b * kBlock + i]);
            const uint16_t half = f16_from_f32(largest / 127);
            const float scale = f32_from_f16(half);
            for (uint32_t i = 0; i < kBlock; i += 4) {
                uint32_t word = 0;
                for (uint32_t j = 0; j < 4; ++j) {
                    const float quant = scale > 0 ? std::round(own[b * kBlock + i + j] / scale) : 0;
                    word |= uint32_t{static_cast<uint8_t>(
                                static_cast<int8_t>(std::clamp(quant, -127.0f, 127.0f)))}
                            << (8 * j);
                }
                words.push_back(word);
            }
            scales[b / 2] |= uint32_t{half} << (16 * (b % 2));
        }
        words.insert(words.end(), scales.begin(), scales.end());
    }
    return words;
}

std::vector<float> kv_values(KvType type, const HeadShape& shape, std::span<const uint32_t> words) {
    std::vector<float> values;
    if (type == KvType::f32) {
        for (const uint32_t word : words)
            values.push_back(std::bit_cast<float>(word));
        return values;
    }
    if (type == KvType::f16) {
        for (const uint32_t word : words)
            for (const uint32_t half : {word & 0xffff, word >> 16})
                values.push_back(f32_from_f16(static_cast<uint16_t>(half)));
        return values;
    }
    const uint32_t each = kv_head_bytes(type, shape) / 4, quants = blocks_of(shape) * kBlock / 4;
    for (size_t head = 0; head < words.size(); head += each) {
        for (uint32_t i = 0; i < shape.padded_dim(); ++i) {
            const uint32_t block = i / kBlock;
            const uint32_t scale = words[head + quants + block / 2] >> (16 * (block % 2));
            const auto quant = static_cast<int8_t>(words[head + i / 4] >> (8 * (i % 4)));
            values.push_back(f32_from_f16(static_cast<uint16_t>(scale)) * quant);
        }
    }
    return values;
}

std::vector<float> kv_rounded(KvType type, const HeadShape& shape, std::span<const float> values) {
    const uint32_t width = shape.head_dim, padded = shape.padded_dim();
    std::vector<float> heads(values.size() / width * padded), result;
    for (size_t i = 0; i < values.size(); ++i)
        heads[i / width * padded + i % width] = values[i];
    heads = kv_values(type, shape, kv_words(type, shape, heads));
    for (size_t i = 0; i < values.size(); ++i)
        result.push_back(heads[i / width * padded + i % width]);
    return result;
}

}  // namespace olivine::selftest
