// How chunks of a prompt follow the measured time of a submission: model/pace.h.
#include <catch2/catch_test_macros.hpp>

#include "model/pace.h"

namespace olivine::test {
namespace {

// What a device's submissions take: `fixed` seconds, and `each` a token.
struct Machine {
    double fixed, each;
    double seconds(uint32_t tokens) const { return fixed + each * tokens; }
};

}  // namespace

TEST_CASE("chunks settle at the longest whose submissions stay short", "[model][cpu]") {
    const struct {
        Machine machine;
        uint32_t settled;
    } cases[] = {{{1e-4, 1e-6}, 512},
                 {{1e-3, 3e-4}, 256},
                 {{0.0, 1e-3}, 64},
                 {{0.0, 5e-3}, 16},
                 {{0.0, 1.0}, 8}};
    for (const auto& each : cases) {
        Pace pace(512);
        CHECK(pace.tokens() == 64);
        for (int chunk = 0; chunk < 6; ++chunk)
            pace.measured(pace.tokens(), each.machine.seconds(pace.tokens()), false);
        CHECK(pace.tokens() == each.settled);
    }
}

TEST_CASE("a short chunk, and one that waited for the compiler, leave the pace", "[model][cpu]") {
    Pace pace(512);
    pace.measured(64, 0.001, true);
    CHECK(pace.tokens() == 256);
    pace.measured(256, 3.0, true);
    CHECK(pace.tokens() == 256);
    pace.measured(1, 0.002, false);
    CHECK(pace.tokens() == 256);
    pace.measured(256, 3.0, false);
    CHECK(pace.tokens() == 8);
    CHECK(!pace.too_long());
    pace.measured(8, 0.3, false);
    CHECK(pace.too_long());
    pace.measured(8, 0.2, false);
    CHECK(!pace.too_long());
    CHECK(Pace(16).tokens() == 16);
    CHECK(Pace(4096, 0.1, 1024, 64).tokens() == 1024);
}

TEST_CASE("as many decode steps run together as are short together", "[model][cpu]") {
    ChainLength chain(0.02);
    CHECK(chain.steps() == 1);
    chain.measured(1, 0.3);
    CHECK(chain.steps() == 1);
    chain.measured(1, 0.003);
    CHECK(chain.steps() == 6);
    chain.measured(6, 0.003);
    CHECK(chain.steps() == ChainLength::kMost);
    chain.measured(16, 0.0);
    CHECK(chain.steps() == ChainLength::kMost);
    chain.measured(16, 0.16);
    CHECK(chain.steps() == 2);
}

TEST_CASE("a decode step of long runs in pieces of a tenth of a second", "[model][cpu]") {
    StepSlices slices(62, 0.1);
    const auto after = [&](std::initializer_list<double> steps) {
        for (const double seconds : steps)
            slices.measured(seconds);
        return slices.layers_a_slice();
    };
    CHECK(after({0.2, 0.2}) == 0);
    CHECK(after({0.5, 0.2, 0.5}) == 0);  // never twice
    CHECK(after({0.5}) == 12);
    CHECK(after({0.2, 0.2, 0.05}) == 12);
    CHECK(after({0.05}) == 0);
    CHECK(after({100.0, 100.0}) == 1);
}

}  // namespace olivine::test
