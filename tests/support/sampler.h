// Draws ids with engine/ops/sampling: the same logits in every row, one seed and position a row.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/support/device.h"
#include "engine/selftest/reference.h"

namespace olivine::test {

struct Draw {
    uint64_t seed = 0;
    uint32_t position = 0;
};

// Chosen ids, one a draw. Fails the test case when a canary changes.
std::vector<uint32_t> sample(OpTest& test, const std::vector<float>& logits,
                             const SamplerSettings& settings, const std::vector<Draw>& draws,
                             const std::vector<bool>& seen = {},
                             const std::vector<bool>& allowed = {});

// `count` draws with different seeds.
std::vector<Draw> different_seeds(uint32_t count, uint32_t first = 1);

// Draws `count` ids, and checks that none lies outside the kept set of the reference,
// that none is missing which should come up 15 times, and that the counts fit the probabilities.
void check_distribution(OpTest& test, const std::vector<float>& logits,
                        const SamplerSettings& settings, uint32_t count,
                        const std::vector<bool>& seen = {}, const std::vector<bool>& allowed = {});

}  // namespace olivine::test
