#include "engine/selftest/random.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <random>

namespace olivine::selftest {
namespace {

template <typename T>
void append(std::vector<std::byte>& bytes, T value) {
    const size_t at = bytes.size();
    bytes.resize(at + sizeof value);
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

struct Half {
    uint16_t bits;
    double value;
};

// A normal half of magnitude 2^(exponent - 1) to 2^exponent, from random bits.
Half half_from(uint32_t random, int exponent) {
    const uint32_t mantissa = random & 1023, sign = random >> 10 & 1;
    const uint32_t field = static_cast<uint32_t>(exponent - 1 + 15);
    return {static_cast<uint16_t>(sign << 15 | field << 10 | mantissa),
            (sign ? -1 : 1) * std::ldexp(1 + mantissa / 1024.0, exponent - 1)};
}

}  // namespace

std::vector<uint32_t> random_words(size_t count, uint32_t seed) {
    std::mt19937 generator(seed);
    std::vector<uint32_t> words(count);
    for (uint32_t& word : words)
        word = static_cast<uint32_t>(generator());
    return words;
}

std::vector<float> random_floats(size_t count, float low, float high, uint32_t seed) {
    std::vector<float> values;
    values.reserve(count);
    for (const uint32_t word : random_words(count, seed))
        values.push_back(low + (high - low) * static_cast<float>(word >> 8) * 0x1p-24f);
    return values;
}

FileRows random_rows(DataType type, uint32_t rows, uint32_t cols, uint32_t seed) {
    FileRows matrix{type, rows, cols, {}, {}};
    std::mt19937 generator(seed);
    const size_t count = size_t{rows} * cols;
    switch (type) {
    case DataType::f32:
        for (const float value : random_floats(count, -1, 1, seed)) {
            append(matrix.bytes, value);
            matrix.values.push_back(value);
        }
        break;
    case DataType::f16:
        for (size_t i = 0; i < count; ++i) {
            const uint32_t random = static_cast<uint32_t>(generator());
            const Half half = half_from(random, -static_cast<int>((random >> 16) % 14));
            append(matrix.bytes, half.bits);
            matrix.values.push_back(half.value);
        }
        break;
    case DataType::bf16:
        for (const float value : random_floats(count, -1, 1, seed)) {
            const uint32_t bits = std::bit_cast<uint32_t>(value) & 0xffff0000u;
            append(matrix.bytes, static_cast<uint16_t>(bits >> 16));
            matrix.values.push_back(std::bit_cast<float>(bits));
        }
        break;
    case DataType::q8_0:
    case DataType::q4_0:
        assert(cols % 32 == 0);
        for (size_t block = 0; block < count / 32; ++block) {
            const bool q8 = type == DataType::q8_0;
            const Half scale = half_from(static_cast<uint32_t>(generator()), q8 ? -7 : -3);
            append(matrix.bytes, scale.bits);
            std::vector<uint8_t> quants(q8 ? 32 : 16);
            for (uint8_t& quant : quants) {
                quant = static_cast<uint8_t>(generator() >> 13);
                append(matrix.bytes, quant);
            }
            for (uint32_t i = 0; i < 32; ++i) {
                const int quant = q8 ? static_cast<int8_t>(quants[i])
                                     : (i < 16 ? quants[i] & 15 : quants[i - 16] >> 4) - 8;
                matrix.values.push_back(scale.value * quant);
            }
        }
        break;
    }
    return matrix;
}

FileRows stacked(const std::vector<FileRows>& parts) {
    FileRows all{parts[0].type, 0, parts[0].cols, {}, {}};
    for (const FileRows& part : parts) {
        all.rows += part.rows;
        all.values.insert(all.values.end(), part.values.begin(), part.values.end());
    }
    return all;
}

FileRows interleaved(const std::vector<FileRows>& parts) {
    FileRows all{parts[0].type, 0, parts[0].cols, {}, {}};
    for (uint32_t r = 0; r < parts[0].rows; ++r) {
        for (const FileRows& part : parts) {
            const auto row = part.values.begin() + size_t{r} * part.cols;
            all.values.insert(all.values.end(), row, row + part.cols);
            ++all.rows;
        }
    }
    return all;
}

RowSource source_of(const FileRows& rows) {
    return {
        rows.type, rows.rows, [&rows](uint32_t first, uint32_t count, std::span<std::byte> out) {
            const auto from = rows.bytes.begin() + static_cast<ptrdiff_t>(first * rows.row_bytes());
            assert(out.size() == count * rows.row_bytes());
            std::copy_n(from, out.size(), out.begin());
        }};
}

Matrix upload(Device& device, const FileRows& rows) {
    Matrix matrix(device, rows.type, rows.rows, rows.cols);
    Uploader uploader(device);
    const RowSource source = source_of(rows);
    matrix.upload(uploader, {&source, 1}, RowOrder::stacked);
    uploader.flush();
    return matrix;
}

}  // namespace olivine::selftest
