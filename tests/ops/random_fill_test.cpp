#include <algorithm>
#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <cmath>

#include "tests/support/device.h"

namespace olivine::test {
namespace {

// Quants and scales of a matrix after RandomFill with this seed.
std::vector<std::byte> filled(OpTest& test, const Matrix& matrix, uint32_t seed, float scale) {
    run(test.device, [&](Recorder& recorder) {
        test.ops.random_fill.record(recorder, matrix, seed, scale);
    });
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
    const DataType type = GENERATE(DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0,
                                   DataType::q4_0);
    CAPTURE(variant, name(type));
    OpTest test(variant);
    constexpr float kScale = 0.25f;
    const Matrix matrix(test.device, type, 37, 96);
    const std::vector<std::byte> first = filled(test, matrix, 5, kScale);
    CHECK(filled(test, matrix, 6, kScale) != first);
    CHECK(filled(test, matrix, 5, kScale) == first);

    // Multiplied with the identity, every weight shows.
    std::vector<float> identity(96 * 96, 0.0f);
    for (uint32_t i = 0; i < 96; ++i)
        identity[i * 96 + i] = 1;
    const Buffer x(test.device, Arena::activations, identity.size() * 4);
    const Buffer y(test.device, Arena::activations, 96 * 40 * 4);
    write(test.device, x.slice(), std::as_bytes(std::span(identity)));
    run(test.device, [&](Recorder& recorder) {
        test.ops.linear.record(recorder, matrix, {x.slice(), 96, 96, 96}, {y.slice(), 96, 37, 40});
    });
    std::vector<float> rows(96 * 40);
    read(test.device, y.slice(), std::as_writable_bytes(std::span(rows)));
    double sum = 0, squares = 0, largest = 0;
    for (uint32_t c = 0; c < 96; ++c) {
        for (uint32_t r = 0; r < 37; ++r) {
            const double value = rows[c * 40 + r];
            sum += value;
            squares += value * value;
            largest = std::max(largest, std::abs(value));
        }
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
