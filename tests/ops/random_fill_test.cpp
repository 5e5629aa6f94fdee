#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <cmath>

#include "shaders/params.h"
#include "tests/support/device.h"
#include "engine/selftest/guarded.h"

namespace olivine::test {
namespace {

// Quants and scales of a matrix after RandomFill with this seed.
std::vector<std::byte> filled(OpTest& test, const Matrix& matrix, uint32_t seed, float scale) {
    run(test.device,
        [&](Recorder& recorder) { test.ops.random_fill.record(recorder, matrix, seed, scale); });
    std::vector<std::byte> all;
    for (const MatrixPiece& piece : matrix.pieces()) {
        for (const Slice& slice : {piece.quants, piece.scales}) {
            std::vector<std::byte> part(slice.bytes);
            read(test.device, slice, part);
            all.insert(all.end(), part.begin(), part.end());
        }
    }
    return all;
}

}  // namespace

TEST_CASE("random_fill makes values of the wanted size, the same for the same seed",
          "[op][random_fill]") {
    const std::string variant = GENERATE(from_range(variants()));
    const DataType type =
        GENERATE(DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0, DataType::q4_0);
    CAPTURE(variant, name(type));
    OpTest test(variant);
    constexpr float kScale = 0.25f;
    const Matrix matrix(test.device, type, 37, 96);
    const std::vector<std::byte> first = filled(test, matrix, 5, kScale);
    CHECK(filled(test, matrix, 6, kScale) != first);
    CHECK(filled(test, matrix, 5, kScale) == first);

    // Looked up as embeddings, every weight shows.
    std::vector<shader::Row> row_values(37);
    for (uint32_t r = 0; r < 37; ++r)
        row_values[r].token = r;
    const Guarded rows = guarded(test.device, row_values);
    const GuardedRows values(test.device, 37, 96), normed(test.device, 37, 96);
    const Guarded norm = guarded(test.device, std::vector<float>(96));
    run(test.device, [&](Recorder& recorder) {
        test.ops.embed.record(recorder, matrix, rows.slice(), values.activation(), 1, norm.slice(),
                              normed.activation(), 1e-6f);
    });
    double sum = 0, squares = 0, largest = 0;
    for (const float value : values.read()) {
        sum += value;
        squares += double{value} * value;
        largest = std::max(largest, std::abs(double{value}));
    }
    constexpr double kCount = 96 * 37;
    // Uniform in +-0.25: mean 0 +- 0.0024 (one sigma), deviation 0.144. Nibbles have mean -0.5 / 8.
    const double mean = type == DataType::q4_0 ? -kScale / 16 : 0;
    CHECK(std::abs(sum / kCount - mean) < 0.012);
    CHECK(std::abs(std::sqrt(squares / kCount) - 0.144) < 0.01);
    CHECK(largest <= kScale * 1.01);
    CHECK(largest >= kScale * 0.95);
}

}  // namespace olivine::test
