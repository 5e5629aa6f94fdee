#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>

#include "tests/support/device.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/reference.h"

namespace olivine::test {

TEST_CASE("pool averages square cells", "[op][pool]") {
    struct Case {
        uint32_t pictures, out_side, cell, cols;
    };
    const std::string variant = GENERATE(from_range(variants()));
    // One element; cells of one row, which are copied; one cell a picture; the real cell and width.
    const Case c = GENERATE(Case{1, 1, 1, 1}, Case{2, 3, 1, 7}, Case{3, 1, 5, 33}, Case{1, 4, 2, 3},
                            Case{2, 3, 2, 255}, Case{3, 5, 3, 36}, Case{2, 4, 4, 1152});
    CAPTURE(variant, c.pictures, c.out_side, c.cell, c.cols);  // the seed is 1
    OpTest test(variant);
    const uint32_t to = c.pictures * c.out_side * c.out_side, from = to * c.cell * c.cell;
    const std::vector<float> src = random_floats(size_t{from} * c.cols, -300, 300, 1);
    GuardedRows s(test.device, from, c.cols, src), d(test.device, to, c.cols);

    run(test.device, [&](Recorder& recorder) {
        test.ops.pool.record(recorder, s.activation(), c.cell, c.out_side, d.activation());
    });

    // Measured 9e-15 at most.
    CHECK(nmse(pool(src, c.cell, c.out_side, c.cols), d.read()) < 1e-12);
    CHECK(d.intact());
    CHECK(s.intact());
    const bool kept = s.read() == src;
    CHECK(kept);
}

}  // namespace olivine::test
