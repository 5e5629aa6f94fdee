#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>

#include "tests/support/device.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/reference.h"

namespace olivine::test {

TEST_CASE("rms_norm matches the formula", "[op][rms_norm]") {
    const std::string variant = GENERATE(from_range(variants()));
    const auto [rows, cols] = GENERATE(table<uint32_t, uint32_t>(
        {{1, 1}, {3, 7}, {2, 255}, {70, 33}, {2, 640}, {3, 1152}, {1, 2560}, {2, 5376}}));
    CAPTURE(variant, rows, cols);  // the seeds are 1 and 2
    OpTest test(variant);
    const std::vector<float> src = random_floats(size_t{rows} * cols, -300, 300, 1);
    const std::vector<float> weight = random_floats(cols, -1, 1, 2);
    GuardedRows s(test.device, rows, cols, src), d(test.device, rows, cols);
    Guarded w = guarded(test.device, weight);

    run(test.device, [&](Recorder& recorder) {
        test.ops.rms_norm.record(recorder, s.activation(), w.slice(), d.activation(), 1e-6f);
    });

    // Measured 2e-14 at most; 1e-12 leaves room for a fast inversesqrt.
    CHECK(nmse(rms_norm(src, weight, 1e-6), d.read()) < 1e-12);
    CHECK(d.intact());
    CHECK(s.intact());
}

TEST_CASE("rms_norm keeps its precision at both ends of the range", "[op][rms_norm]") {
    const std::string variant = GENERATE(from_range(variants()));
    const float size = GENERATE(1e-4f, 1e5f, 1e15f);  // the squares pass fp16's range
    CAPTURE(variant, size);
    OpTest test(variant);
    const std::vector<float> src = random_floats(640, -size, size, 3);
    const std::vector<float> weight = random_floats(640, -1, 1, 4);
    GuardedRows s(test.device, 1, 640, src), d(test.device, 1, 640);
    Guarded w = guarded(test.device, weight);

    run(test.device, [&](Recorder& recorder) {
        test.ops.rms_norm.record(recorder, s.activation(), w.slice(), d.activation(), 1e-6f);
    });

    CHECK(nmse(rms_norm(src, weight, 1e-6), d.read()) < 1e-12);
    CHECK(d.intact());
}

}  // namespace olivine::test
