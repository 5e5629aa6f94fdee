#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>

#include "tests/support/device.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/reference.h"

namespace olivine::test {

TEST_CASE("residual_norm adds the normed branch and norms the sum", "[op][residual_norm]") {
    const std::string variant = GENERATE(from_range(variants()));
    const auto [rows, cols] = GENERATE(table<uint32_t, uint32_t>(
        {{1, 1}, {3, 7}, {2, 255}, {70, 33}, {2, 640}, {3, 1152}, {1, 2560}, {2, 5376}}));
    CAPTURE(variant, rows, cols);  // the seeds are 1 to 4
    OpTest test(variant);
    const size_t count = size_t{rows} * cols;
    const std::vector<float> branch = random_floats(count, -30, 30, 1);
    const std::vector<float> stream = random_floats(count, -1e5f, 1e5f, 2);  // beyond fp16
    const std::vector<float> post = random_floats(cols, -1, 1e4f, 3);
    const std::vector<float> next = random_floats(cols, -1, 1, 4);
    GuardedRows b(test.device, rows, cols, branch), d(test.device, rows, cols);
    GuardedRows s(test.device, rows, cols, stream);
    std::vector<float> both = post;
    both.insert(both.end(), next.begin(), next.end());
    Guarded n = guarded(test.device, both);

    run(test.device, [&](Recorder& recorder) {
        test.ops.residual_norm.record(recorder, b.activation(), n.slice(), s.activation(),
                                      d.activation(), 1e-6f);
    });

    std::vector<double> sum = rms_norm(branch, post, 1e-6);
    for (size_t i = 0; i < count; ++i)
        sum[i] += stream[i];
    // Measured 2e-14 at most, for both.
    CHECK(nmse(sum, s.read()) < 1e-12);
    CHECK(nmse(rms_norm(sum, next, 1e-6), d.read()) < 1e-12);
    CHECK(s.intact());
    CHECK(d.intact());
    CHECK(b.intact());
}

}  // namespace olivine::test
