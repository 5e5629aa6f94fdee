#include "engine/pack.h"

#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <cmath>
#include <cstring>

#include "engine/selftest/random.h"

namespace olivine::test {
using namespace selftest;
namespace {

const std::vector<DataType> kTypes = {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0,
                                      DataType::q4_0};

// What IEEE 754 says that a half is.
double half_value(uint32_t bits) {
    const uint32_t exponent = bits >> 10 & 31, mantissa = bits & 1023;
    const double magnitude = exponent == 0
                                 ? std::ldexp(mantissa, -24)
                                 : std::ldexp(1024 + mantissa, static_cast<int>(exponent) - 25);
    return bits & 0x8000 ? -magnitude : magnitude;
}

// Element i of a packed row, by the comment of shaders/include/weights.glsl.
double unpacked(const RowLayout& layout, const std::vector<std::byte>& quants,
                const std::vector<std::byte>& scales, uint32_t i) {
    const auto half_at = [](const std::byte* from) {
        uint16_t bits = 0;
        std::memcpy(&bits, from, 2);
        return bits;
    };
    switch (layout.type) {
    case DataType::f32: {
        float value = 0;
        std::memcpy(&value, &quants[i * 4], 4);
        return value;
    }
    case DataType::f16: return half_value(half_at(&quants[i * 2]));
    case DataType::bf16: return std::bit_cast<float>(uint32_t{half_at(&quants[i * 2])} << 16);
    case DataType::q8_0:
        return half_value(half_at(&scales[i / 32 * 2])) * static_cast<int8_t>(quants[i]);
    case DataType::q4_0: {
        const int byte = std::to_integer<int>(quants[i / 2]);
        return half_value(half_at(&scales[i / 32 * 2])) * ((i % 2 ? byte >> 4 : byte & 15) - 8);
    }
    default: return NAN;  // tests/ops/embed_test.cpp looks at those, unpacked by the shader
    }
}

// Those of engine/block_format.h.
const std::vector<DataType> kBlockTypes = {DataType::q4_1, DataType::q5_0, DataType::q5_1, DataType::q2_k,
                                           DataType::q3_k, DataType::q4_k, DataType::q5_k, DataType::q6_k,
                                           DataType::iq4_nl, DataType::iq4_xs};

}  // namespace

TEST_CASE("every half converts to its value and back", "[cpu][pack]") {
    uint32_t wrong = 0;
    for (uint32_t bits = 0; bits < 65536; ++bits) {
        const uint16_t half = static_cast<uint16_t>(bits);
        const float value = f32_from_f16(half);
        const bool nan = (bits & 0x7fff) > 0x7c00, infinite = (bits & 0x7fff) == 0x7c00;
        if (nan) {
            wrong += !std::isnan(value) || !std::isnan(f32_from_f16(f16_from_f32(value)));
            continue;
        }
        wrong += infinite ? !std::isinf(value) : value != half_value(bits);
        wrong += std::signbit(value) != (bits >= 0x8000);
        wrong += f16_from_f32(value) != half;
    }
    CHECK(wrong == 0);
}

TEST_CASE("floats convert to the nearest half, ties to even", "[cpu][pack]") {
    uint32_t wrong = 0;
    for (uint32_t bits = 0; bits < 0x7bff; ++bits) {  // between each two neighbours
        const double low = half_value(bits), high = half_value(bits + 1);
        const float middle = static_cast<float>((low + high) / 2);  // exact
        const uint16_t even = static_cast<uint16_t>(bits % 2 ? bits + 1 : bits);
        wrong += f16_from_f32(middle) != even;
        wrong += f16_from_f32(-middle) != (even | 0x8000);
        wrong += f16_from_f32(std::nextafter(middle, 0.0f)) != bits;
        wrong += f16_from_f32(std::nextafter(middle, 1e9f)) != bits + 1;
    }
    CHECK(wrong == 0);
    CHECK(f16_from_f32(65504) == 0x7bff);
    CHECK(f16_from_f32(65519.99f) == 0x7bff);
    CHECK(f16_from_f32(65520) == 0x7c00);  // infinity
    CHECK(f16_from_f32(-1e30f) == 0xfc00);
    CHECK(f16_from_f32(1e-9f) == 0);
}

TEST_CASE("packed rows hold the file's values and zeros behind them", "[cpu][pack]") {
    const DataType type = GENERATE(from_range(kTypes));
    const uint32_t cols = GENERATE(1u, 15u, 17u, 32u, 96u, 255u, 640u);
    if (cols % block_elements(type) != 0)
        return;
    CAPTURE(name(type), cols);
    const FileRows row = random_rows(type, 1, cols, 1);
    const RowLayout layout = row_layout(type, cols);
    CHECK(layout.units * 16 >= cols);
    CHECK(layout.units % 2 == 0);
    std::vector<std::byte> quants(layout.quant_bytes(), std::byte{0xee});
    std::vector<std::byte> scales(layout.scale_bytes(), std::byte{0xee});
    pack_row(layout, type, row.bytes.data(), quants.data(), scales.data());
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < layout.units * 16; ++i)
        wrong += unpacked(layout, quants, scales, i) != (i < cols ? row.values[i] : 0);
    CHECK(wrong == 0);

    std::vector<float> values(cols);
    unpack_row(type, row.bytes.data(), values);
    for (uint32_t i = 0; i < cols; ++i)
        wrong += values[i] != row.values[i];
    CHECK(wrong == 0);
}

TEST_CASE("rows of two types fit exactly in their common type", "[cpu][pack]") {
    const DataType a = GENERATE(from_range(kTypes)), b = GENERATE(from_range(kTypes));
    CAPTURE(name(a), name(b));
    const DataType common = common_type(a, b);
    CHECK(common == common_type(b, a));
    constexpr uint32_t kCols = 160;
    for (const DataType from : {a, b}) {
        const FileRows row = random_rows(from, 1, kCols, 2);
        const RowLayout layout = row_layout(common, kCols);
        std::vector<std::byte> quants(layout.quant_bytes()), scales(layout.scale_bytes());
        pack_row(layout, from, row.bytes.data(), quants.data(), scales.data());
        uint32_t wrong = 0;
        for (uint32_t i = 0; i < kCols; ++i)
            wrong += unpacked(layout, quants, scales, i) != row.values[i];
        CHECK(wrong == 0);
    }
}

TEST_CASE("blocks of every type have the values of ggml's loops", "[cpu][pack]") {
    const DataType type = GENERATE(from_range(kBlockTypes));
    CAPTURE(name(type));
    const FileRows rows = random_rows(type, 50, 512, 3);
    for (uint32_t r = 0; r < rows.rows; ++r) {
        std::vector<float> values(rows.cols);
        unpack_row(type, rows.bytes.data() + r * rows.row_bytes(), values);
        uint32_t wrong = 0;
        for (uint32_t i = 0; i < rows.cols; ++i) {
            const double want = rows.values[size_t{r} * rows.cols + i];
            // Where a minimum is added, two products in f32 may cancel.
            wrong += !(std::abs(values[i] - want) <= 4e-7 * std::max(1.0, std::abs(want)));
        }
        REQUIRE(wrong == 0);
    }
}

TEST_CASE("sizes in files", "[cpu][pack]") {
    CHECK(file_bytes(DataType::bf16, 7) == 14);
    CHECK(file_bytes(DataType::q8_0, 64) == 68);
    CHECK(file_bytes(DataType::q4_0, 64) == 36);
    CHECK(!file_bytes(DataType::q4_0, 33));         // no whole blocks
    CHECK(!file_bytes(DataType::f32, UINT64_MAX));  // overflows
    CHECK(!file_bytes(DataType::q8_0, ~uint64_t{31}));  // 34 bytes for 32 elements
}

}  // namespace olivine::test
