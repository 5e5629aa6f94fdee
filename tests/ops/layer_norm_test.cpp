#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>

#include "tests/support/device.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/reference.h"

namespace olivine::test {
namespace {

constexpr float kEps = 1e-6f;

// Rows of src with random weights and biases: what the operation makes of them, and what it should.
struct Normed {
    std::vector<float> got, bias;
    std::vector<double> want;
};

Normed normed(OpTest& test, uint32_t rows, uint32_t cols, const std::vector<float>& src) {
    const std::vector<float> weight = random_floats(cols, -2, 2, 2);
    const std::vector<float> bias = random_floats(cols, -1, 1, 3);
    GuardedRows s(test.device, rows, cols, src), d(test.device, rows, cols);
    Guarded w = guarded(test.device, weight), b = guarded(test.device, bias);

    run(test.device, [&](Recorder& recorder) {
        test.ops.layer_norm.record(recorder, s.activation(), w.slice(), b.slice(), d.activation(),
                                   kEps);
    });

    CHECK(d.intact());
    CHECK(s.intact());
    CHECK(w.intact());
    CHECK(b.intact());
    const bool kept = s.read() == src;
    CHECK(kept);
    return {d.read(), bias, layer_norm(src, weight, bias, kEps)};
}

}  // namespace

TEST_CASE("layer_norm matches the formula", "[op][layer_norm]") {
    const std::string variant = GENERATE(from_range(variants()));
    const auto [rows, cols] = GENERATE(table<uint32_t, uint32_t>(
        {{1, 2}, {3, 7}, {2, 255}, {70, 33}, {2, 640}, {5, 1152}, {1, 4304}}));
    CAPTURE(variant, rows, cols);  // the seeds are 1 to 3
    OpTest test(variant);
    const Normed n = normed(test, rows, cols, random_floats(size_t{rows} * cols, -200, 300, 1));
    CHECK(nmse(n.want, n.got) < 1e-12);  // measured 1.2e-14 at most
}

TEST_CASE("layer_norm keeps its digits where the mean is large", "[op][layer_norm]") {
    const std::string variant = GENERATE(from_range(variants()));
    const uint32_t cols = GENERATE(33u, 1152u);
    CAPTURE(variant, cols);
    OpTest test(variant);
    // The squares are 10^8 with 8 from one float to the next, and the variance is a third.
    const Normed n = normed(test, 3, cols, random_floats(size_t{3} * cols, 9999, 10001, 4));
    // The mean itself is off by 1e-3 (measured 5e-6, of few threads with long sums).
    CHECK(nmse(n.want, n.got) < 1e-4);
}

TEST_CASE("layer_norm at both ends of the range", "[op][layer_norm]") {
    const std::string variant = GENERATE(from_range(variants()));
    const float size = GENERATE(1e-4f, 1e5f, 1e15f);  // the squares pass fp16's range
    CAPTURE(variant, size);
    OpTest test(variant);
    // Of 1e-4, the variance is of the size of eps.
    const Normed n = normed(test, 2, 640, random_floats(1280, -size, size, 5));
    CHECK(nmse(n.want, n.got) < 1e-12);
}

TEST_CASE("layer_norm of equal values is the bias", "[op][layer_norm]") {
    const std::string variant = GENERATE(from_range(variants()));
    const uint32_t cols = GENERATE(1u, 7u, 1152u);
    CAPTURE(variant, cols);
    OpTest test(variant);
    // Rows of one value each: the variance is nothing, and eps keeps the scale finite.
    std::vector<float> src;
    for (const float value : {0.0f, 3.0f, -0.1f})
        src.insert(src.end(), cols, value);
    const Normed n = normed(test, 3, cols, src);
    const size_t exact = size_t{2} * cols;  // rows whose sums have no rounding
    CHECK(max_abs_error(std::span(n.want).first(exact), std::span(n.got).first(exact)) < 1e-6);
    // Sums of one value round to one side: the mean is off by some 1e-7, and one over the deviation
    // is 1000. Measured 5e-4.
    CHECK(max_abs_error(n.want, n.got) < 5e-3);
}

}  // namespace olivine::test
