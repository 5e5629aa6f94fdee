#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <cmath>

#include "tests/support/device.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/reference.h"

namespace olivine::test {
namespace {

// Sums of up to 3072 products in f32, as in tests/ops/linear_test.cpp. Measured 2.2e-13 at most.
constexpr double kBar = 1e-10;

void check(Device& device, PatchEmbed& op, const FileRows& weight, const Matrix& kernel,
           const PatchGrid& grid, uint32_t pictures) {
    const uint32_t out = weight.rows, side = grid.side;
    CAPTURE(name(weight.type), out, side, grid.patch_size, pictures);  // the seeds are 1 to 3
    std::vector<float> pixels = random_floats(size_t{pictures} * 3 * side * side, -1, 1, 1);
    const uint32_t used = grid.per_side() * grid.patch_size;
    for (size_t i = 0; i < pixels.size(); ++i)
        if (i % side >= used || i / side % side >= used)
            pixels[i] = NAN;  // at the right and at the bottom, what fills no patch
    const std::vector<float> bias = random_floats(out, -1, 1, 2);
    const std::vector<float> positions = random_floats(size_t{grid.patches()} * out, -1, 1, 3);
    Guarded p = guarded(device, pixels), b = guarded(device, bias);
    Guarded at = guarded(device, positions);
    GuardedRows d(device, pictures * grid.patches(), out);

    run(device, [&](Recorder& recorder) {
        op.record(recorder, kernel, p.slice(), b.slice(), at.slice(), grid, d.activation());
    });

    const std::vector<double> want =
        patch_embed(pixels, weight.values, bias, positions, side, grid.patch_size);
    CHECK(nmse(want, d.read()) < kBar);
    CHECK(d.intact());
    CHECK(p.intact());
    CHECK(b.intact());
    CHECK(at.intact());
}

void check(OpTest& test, DataType type, uint32_t out, const PatchGrid& grid, uint32_t pictures) {
    const FileRows weight = random_rows(type, out, 3 * grid.patch_size * grid.patch_size, out);
    check(test.device, test.ops.patch_embed, weight, upload(test.device, weight), grid, pictures);
}

}  // namespace

TEST_CASE("patch_embed cuts pictures into rows", "[op][patch_embed]") {
    const std::string variant = GENERATE(from_range(variants()));
    const DataType type = GENERATE(DataType::f32, DataType::f16, DataType::bf16);
    CAPTURE(variant);
    OpTest test(variant);
    check(test, type, 1, {.side = 1, .patch_size = 1}, 1);
    check(test, type, 7, {.side = 5, .patch_size = 1}, 2);
    check(test, type, 5, {.side = 7, .patch_size = 2}, 3);   // a pixel left at each end
    check(test, type, 33, {.side = 9, .patch_size = 3}, 2);  // 27 columns: no whole vectors
    check(test, type, 6, {.side = 27, .patch_size = 5}, 1);
    check(test, type, 64, {.side = 42, .patch_size = 14}, 2);
}

TEST_CASE("patch_embed with the real patch and width", "[op][patch_embed]") {
    const std::string variant = GENERATE(from_range(variants()));
    CAPTURE(variant);
    OpTest test(variant);
    check(test, DataType::f16, 1152, {.side = 57, .patch_size = 14}, 1);
}

TEST_CASE("patch_embed with a quantised kernel", "[op][patch_embed]") {
    const std::string variant = GENERATE(from_range(variants()));
    const DataType type = GENERATE(DataType::q8_0, DataType::q4_0);
    CAPTURE(variant);
    OpTest test(variant);
    check(test, type, 35, {.side = 25, .patch_size = 8}, 2);
    check(test, type, 6, {.side = 70, .patch_size = 32}, 1);
}

TEST_CASE("patch_embed writes every piece of a split kernel to its place", "[op][patch_embed]") {
    DeviceOptions options;
    options.max_range_bytes = 16 * 1024;
    Device device(options);
    PatchEmbed op(device);
    const FileRows weight = random_rows(DataType::f32, 135, 48, 4);
    const Matrix kernel = upload(device, weight);
    REQUIRE(kernel.pieces().size() > 1);
    check(device, op, weight, kernel, {.side = 13, .patch_size = 4}, 2);
    CHECK(device.validation_messages() == 0);
}

}  // namespace olivine::test
