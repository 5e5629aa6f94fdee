// The shaders logit_filter and sample, through engine/ops/sampling.h.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <cmath>
#include <limits>
#include <set>

#include "tests/support/sampler.h"

namespace olivine::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
const SamplerSettings kGreedy{.temperature = 0};

// How many ids to draw. Software drivers pay dearly for barriers, which only the variant that users
// run there does without; the others draw just enough to see an id that is not kept.
uint32_t draws(const std::string& variant) {
    return variant == "all rungs" ? 1024 : variant == "as GPU" ? 16 : 64;
}

uint32_t greedy(OpTest& test, const std::vector<float>& logits, const std::vector<bool>& seen = {},
                const std::vector<bool>& allowed = {}, double penalty = 1) {
    SamplerSettings settings = kGreedy;
    settings.repeat_penalty = penalty;
    return sample(test, logits, settings, {{.seed = 5}}, seen, allowed)[0];
}

std::vector<bool> only(size_t vocab, std::initializer_list<size_t> ids) {
    std::vector<bool> bits(vocab, false);
    for (const size_t id : ids)
        bits[id] = true;
    return bits;
}

}  // namespace

TEST_CASE("greedy sampling takes the largest logit, and the lower of two", "[op][sampling]") {
    const std::string variant = GENERATE(from_range(variants()));
    const uint32_t vocab = GENERATE(1u, 7u, 33u, 2048u, 262144u);
    CAPTURE(variant, vocab);
    OpTest test(variant);
    std::vector<float> logits = random_floats(vocab, -20, 10, vocab);
    const auto largest = std::max_element(logits.begin(), logits.end());  // the first of equals
    CHECK(greedy(test, logits) == static_cast<uint32_t>(largest - logits.begin()));
    for (const uint32_t at : {vocab - 1, vocab / 2, vocab / 3, 0u}) {  // each below the last
        logits[at] = 11;
        CHECK(greedy(test, logits) == at);
    }
    std::fill(logits.begin(), logits.end(), -7.0f);
    CHECK(greedy(test, logits) == 0);
}

TEST_CASE("sampling survives logits that are no numbers", "[op][sampling]") {
    const std::string variant = GENERATE(from_range(variants()));
    const SamplerSettings settings =
        GENERATE(SamplerSettings{.temperature = 0}, SamplerSettings{},
                 SamplerSettings{.temperature = 0.7, .top_p = 0.9, .min_p = 0.01, .top_k = 5});
    CAPTURE(variant, settings.temperature, settings.top_k);
    OpTest test(variant);
    const auto choose = [&](const std::vector<float>& logits) {
        return sample(test, logits, settings, {{.seed = 3}})[0];
    };
    std::vector<float> logits(100, kNan);
    CHECK(choose(logits) == Sampling::kNoToken);
    std::fill(logits.begin(), logits.end(), -kInfinity);
    CHECK(choose(logits) == Sampling::kNoToken);
    logits[40] = kNan;
    CHECK(choose(logits) == Sampling::kNoToken);
    logits[99] = -1000;
    CHECK(choose(logits) == 99);
    logits[98] = kInfinity;
    CHECK(choose(logits) == 98);
    logits = random_floats(100, -1, 1, 1);
    for (uint32_t i = 0; i < 100; i += 2)
        logits[i] = kNan;
    CHECK(choose(logits) % 2 == 1);
}

TEST_CASE("sampling stays within the allowed ids", "[op][sampling]") {
    const std::string variant = GENERATE(from_range(variants()));
    CAPTURE(variant);
    OpTest test(variant);
    const std::vector<float> logits = random_floats(203, -3, 3, 2);
    CHECK(greedy(test, logits, {}, only(203, {})) == Sampling::kNoToken);
    CHECK(sample(test, logits, {}, {{.seed = 1}}, {}, only(203, {}))[0] == Sampling::kNoToken);
    CHECK(greedy(test, logits, {}, only(203, {202})) == 202);
    CHECK(sample(test, logits, {.top_k = 4}, {{.seed = 1}}, {}, only(203, {31}))[0] == 31);
    const std::vector<bool> five = only(203, {0, 31, 32, 77, 202});
    check_distribution(test, logits, {.top_p = 0.9, .top_k = 3}, draws(variant), {}, five);
    check_distribution(test, logits, {}, draws(variant), {}, five);
}

TEST_CASE("the repetition penalty makes seen ids less likely", "[op][sampling]") {
    const std::string variant = GENERATE(from_range(variants()));
    CAPTURE(variant);
    OpTest test(variant);
    std::vector<float> logits(70, -9.0f);
    logits[3] = 4;
    logits[65] = 3;
    CHECK(greedy(test, logits, only(70, {3}), {}, 1.3) == 3);   // 4 / 1.3 > 3
    CHECK(greedy(test, logits, only(70, {3}), {}, 1.4) == 65);  // 4 / 1.4 < 3
    CHECK(greedy(test, logits, only(70, {3, 65}), {}, 1.4) == 3);
    std::fill(logits.begin(), logits.end(), -2.0f);
    CHECK(greedy(test, logits, only(70, {0, 1, 2}), {}, 1.1) == 3);  // -2 * 1.1 < -2
    const std::vector<float> mixed = random_floats(70, -2, 2, 3);
    std::vector<bool> seen(70);
    for (uint32_t i = 0; i < 70; i += 3)
        seen[i] = true;
    check_distribution(test, mixed, {.repeat_penalty = 1.8, .top_k = 20}, draws(variant), seen);
}

TEST_CASE("sampling keeps what top-k, top-p and min-p keep", "[op][sampling]") {
    const std::string variant = GENERATE(from_range(variants()));
    CAPTURE(variant);
    OpTest test(variant);
    const std::vector<float> logits = random_floats(203, -1.5f, 1.5f, 4);
    for (const SamplerSettings& settings : {
             SamplerSettings{},
             SamplerSettings{.temperature = 0.5},
             SamplerSettings{.temperature = 3},
             SamplerSettings{.top_k = 1},
             SamplerSettings{.top_k = 5},
             SamplerSettings{.top_p = 0.95, .top_k = 64},
             SamplerSettings{.top_k = 202},
             SamplerSettings{.top_k = 203},
             SamplerSettings{.top_k = 100000},
             SamplerSettings{.top_p = 0.5},
             SamplerSettings{.top_p = 0.001},
             SamplerSettings{.top_p = 0},
             SamplerSettings{.min_p = 0.3},
             SamplerSettings{.min_p = 1},
             SamplerSettings{.temperature = 0.7, .top_p = 0.8, .min_p = 0.25, .top_k = 30},
         })
        check_distribution(test, logits, settings, draws(variant));
}

TEST_CASE("sampling cuts ties off at the higher ids", "[op][sampling]") {
    const std::string variant = GENERATE(from_range(variants()));
    CAPTURE(variant);
    OpTest test(variant);
    std::vector<float> logits(150, -1.0f);  // all equal but for two
    logits[140] = 0;
    logits[3] = -3;
    // 140, then 0, 1, 2, 4 to 9
    check_distribution(test, logits, {.top_k = 10}, draws(variant));
    check_distribution(test, logits, {.top_p = 0.3}, draws(variant));
    check_distribution(test, logits, {.top_p = 0.3, .top_k = 40}, draws(variant));
    check_distribution(test, logits, {.min_p = 0.3}, draws(variant));  // without 3
    check_distribution(test, std::vector<float>(150, 2.0f), {.top_k = 7}, draws(variant));
    check_distribution(test, std::vector<float>(150, -2.0f), {.top_p = 0.05}, draws(variant));
}

TEST_CASE("sampling from more candidates than its list holds", "[op][sampling]") {
    const std::string variant = GENERATE(from_range(variants()));
    CAPTURE(variant);
    OpTest test(variant);
    std::vector<float> logits = random_floats(2048, 0, 0.5f, 5);
    check_distribution(test, logits, {.top_k = 1500}, draws(variant));
    check_distribution(test, logits, {.top_p = 0.6, .top_k = 1500}, draws(variant));
    check_distribution(test, logits, {.top_p = 0.6}, draws(variant));
    check_distribution(test, logits, {.top_k = 1024}, draws(variant));
    check_distribution(test, logits, {.top_k = 1025}, draws(variant));
    for (uint32_t i = 0; i < 2048; i += 2)  // 1024 ties, of which 400 are kept or fewer
        logits[i] = -0.1f;
    check_distribution(test, logits, {.top_k = 1424}, draws(variant));
    check_distribution(test, logits, {.top_p = 0.95, .top_k = 1424}, draws(variant));
}

TEST_CASE("sampling a whole vocabulary", "[op][sampling]") {
    const std::string variant = GENERATE(from_range(variants()));
    CAPTURE(variant);
    OpTest test(variant);
    const std::vector<float> logits = random_floats(262144, -12, 12, 6);
    for (const SamplerSettings& settings :
         {SamplerSettings{.top_p = 0.95, .top_k = 64}, SamplerSettings{.top_p = 0.7},
          SamplerSettings{.min_p = 0.5, .top_k = 5000}, SamplerSettings{}}) {
        CAPTURE(settings.top_k, settings.top_p, settings.min_p);
        const std::vector<double> want = sampling_probabilities(logits, settings);
        uint32_t outside = 0;
        for (const uint32_t id : sample(test, logits, settings, different_seeds(4)))
            outside += !(id < logits.size() && want[id] > 0);
        CHECK(outside == 0);
    }
}

TEST_CASE("a seed and a position name one draw", "[op][sampling]") {
    const std::string variant = GENERATE(from_range(variants()));
    CAPTURE(variant);
    OpTest test(variant);
    const std::vector<float> logits = random_floats(203, -1, 1, 7);
    const SamplerSettings settings{.top_p = 0.95, .top_k = 64};
    const uint32_t count = std::min(draws(variant), 64u);
    const std::vector<uint32_t> ids = sample(test, logits, settings, different_seeds(count));
    CHECK(sample(test, logits, settings, different_seeds(count)) == ids);
    // The row that a sequence happens to have does not matter.
    std::vector<Draw> reversed = different_seeds(count);
    std::reverse(reversed.begin(), reversed.end());
    std::vector<uint32_t> again = sample(test, logits, settings, reversed);
    std::reverse(again.begin(), again.end());
    CHECK(again == ids);

    const auto distinct = [&](const std::vector<Draw>& draws) {
        const std::vector<uint32_t> drawn = sample(test, logits, settings, draws);
        return std::set<uint32_t>(drawn.begin(), drawn.end()).size();
    };
    std::vector<Draw> positions, low, high;
    for (uint32_t i = 0; i < count; ++i) {
        positions.push_back({.seed = 9, .position = i});
        low.push_back({.seed = i, .position = 9});
        high.push_back({.seed = uint64_t{i} << 32, .position = 9});
    }
    CHECK(distinct(positions) > count / 3);  // 64 draws from 50 ids: 36 different ones on average
    CHECK(distinct(low) > count / 3);
    CHECK(distinct(high) > count / 3);
    CHECK(distinct(std::vector<Draw>(count, {.seed = 9, .position = 1})) == 1);
}

}  // namespace olivine::test
