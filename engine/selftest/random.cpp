#include "engine/selftest/random.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <optional>
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

// Where a block has its halves, and of what size they are for values of about +-1. (Of the types of
// engine/block_format.h, in its order; no second half: none.)
struct Halves {
    uint32_t d;
    int d_exponent;
    std::optional<uint32_t> m = {};
    int m_exponent = 0;
};
constexpr Halves kHalves[] = {
    {0, -3, 2, 0}, {0, -3}, {0, -4, 2, 0}, {80, -5, 82, -3}, {108, -6},
    {0, -9, 2, -5}, {0, -10, 2, -5}, {208, -11}, {0, -6}, {0, -11},
};

// A block of random bits, and its values as ggml's own loops (ggml-quants.c, dequantize_row_*) go
// through it, which is another way than engine/block_format.cpp has.
void add_block(FileRows& matrix, std::mt19937& generator) {
    const DataType type = matrix.type;
    std::vector<uint8_t> b(block_bytes(type));
    for (uint8_t& one : b)
        one = static_cast<uint8_t>(generator() >> 13);
    const Halves& at = kHalves[static_cast<uint32_t>(type) - static_cast<uint32_t>(DataType::q4_1)];
    const Half d_half = half_from(static_cast<uint32_t>(generator()), at.d_exponent);
    std::memcpy(&b[at.d], &d_half.bits, 2);
    double m = 0;
    if (at.m) {
        const Half half = half_from(static_cast<uint32_t>(generator()), at.m_exponent);
        std::memcpy(&b[*at.m], &half.bits, 2);
        m = half.value;
    }
    const double d = d_half.value;
    for (const uint8_t one : b)
        append(matrix.bytes, one);

    constexpr int kTable[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    std::vector<double> y(block_elements(type));
    size_t out = 0;
    const auto low_then_high = [&](const uint8_t* qs, const uint8_t* qh, double scale, double add, int less) {
        for (uint32_t j = 0; j < 16; ++j) {
            const int x0 = (qs[j] & 15) | (qh ? (qh[j / 8] >> (j % 8) & 1) << 4 : 0);
            const int x1 = (qs[j] >> 4) | (qh ? (qh[2 + j / 8] >> (j % 8) & 1) << 4 : 0);
            y[j] = scale * (x0 - less) + add;
            y[j + 16] = scale * (x1 - less) + add;
        }
    };
    switch (type) {
    case DataType::q4_1: low_then_high(&b[4], nullptr, d, m, 0); break;
    case DataType::q5_0: low_then_high(&b[6], &b[2], d, 0, 16); break;
    case DataType::q5_1: low_then_high(&b[8], &b[4], d, m, 0); break;
    case DataType::q2_k:
        for (uint32_t n = 0, is = 0; n < 2; ++n)
            for (int shift = 0; shift < 8; shift += 2)
                for (uint32_t part = 0; part < 2; ++part, ++is)
                    for (uint32_t l = 0; l < 16; ++l)
                        y[out++] = d * (b[is] & 15) * (b[16 + n * 32 + part * 16 + l] >> shift & 3) -
                                   m * (b[is] >> 4);
        break;
    case DataType::q3_k: {
        uint32_t aux[4];
        std::memcpy(aux, &b[96], 12);
        const uint32_t tmp = aux[2];
        aux[2] = (aux[0] >> 4 & 0x0f0f0f0f) | (tmp >> 4 & 0x03030303) << 4;
        aux[3] = (aux[1] >> 4 & 0x0f0f0f0f) | (tmp >> 6 & 0x03030303) << 4;
        aux[0] = (aux[0] & 0x0f0f0f0f) | (tmp & 0x03030303) << 4;
        aux[1] = (aux[1] & 0x0f0f0f0f) | (tmp >> 2 & 0x03030303) << 4;
        int8_t scales[16];
        std::memcpy(scales, aux, 16);
        for (uint32_t n = 0, is = 0, bit = 1; n < 2; ++n)
            for (int shift = 0; shift < 8; shift += 2, bit <<= 1)
                for (uint32_t part = 0; part < 2; ++part, ++is)
                    for (uint32_t l = part * 16; l < part * 16 + 16; ++l)
                        y[out++] = d * (scales[is] - 32) *
                                   ((b[32 + n * 32 + l] >> shift & 3) - (b[l] & bit ? 0 : 4));
        break;
    }
    case DataType::q4_k:
    case DataType::q5_k: {
        const uint8_t *q = &b[4], *qh = &b[16], *ql = &b[type == DataType::q5_k ? 48 : 16];
        for (uint32_t is = 0; is < 8; ++is) {
            const int s = is < 4 ? q[is] & 63 : (q[is + 4] & 15) | (q[is - 4] >> 6) << 4;
            const int t = is < 4 ? q[is + 4] & 63 : (q[is + 4] >> 4) | (q[is] >> 6) << 4;
            for (uint32_t l = 0; l < 32; ++l) {
                const int low = is % 2 ? ql[is / 2 * 32 + l] >> 4 : ql[is / 2 * 32 + l] & 15;
                const int high = type == DataType::q5_k && (qh[l] & 1 << is) ? 16 : 0;
                y[out++] = d * s * (low + high) - m * t;
            }
        }
        break;
    }
    case DataType::q6_k:
        for (uint32_t n = 0; n < 2; ++n)
            for (uint32_t l = 0; l < 32; ++l) {
                const uint8_t *ql = &b[n * 64], *qh = &b[128 + n * 32];
                const int8_t* sc = reinterpret_cast<const int8_t*>(&b[192 + n * 8]) + l / 16;
                double* to = &y[n * 128 + l];
                to[0] = d * sc[0] * (((ql[l] & 15) | (qh[l] & 3) << 4) - 32);
                to[32] = d * sc[2] * (((ql[l + 32] & 15) | (qh[l] >> 2 & 3) << 4) - 32);
                to[64] = d * sc[4] * ((ql[l] >> 4 | (qh[l] >> 4 & 3) << 4) - 32);
                to[96] = d * sc[6] * ((ql[l + 32] >> 4 | (qh[l] >> 6 & 3) << 4) - 32);
            }
        break;
    case DataType::iq4_nl:
        for (uint32_t j = 0; j < 16; ++j) {
            y[j] = d * kTable[b[2 + j] & 15];
            y[j + 16] = d * kTable[b[2 + j] >> 4];
        }
        break;
    case DataType::iq4_xs:
        for (uint32_t ib = 0; ib < 8; ++ib) {
            const int high = (b[2] | b[3] << 8) >> (2 * ib) & 3;
            const double scale = d * (((b[4 + ib / 2] >> (4 * (ib % 2)) & 15) | high << 4) - 32);
            for (uint32_t j = 0; j < 16; ++j) {
                y[ib * 32 + j] = scale * kTable[b[8 + ib * 16 + j] & 15];
                y[ib * 32 + j + 16] = scale * kTable[b[8 + ib * 16 + j] >> 4];
            }
        }
        break;
    default: assert(false);
    }
    matrix.values.insert(matrix.values.end(), y.begin(), y.end());
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
    default:
        assert(cols % block_elements(type) == 0);
        for (size_t block = 0; block < count / block_elements(type); ++block)
            add_block(matrix, generator);
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
