#include "tests/support/sampler.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>

#include "shaders/params.h"
#include "engine/selftest/guarded.h"

namespace olivine::test {
namespace {

// [rows][mask_words] words, the same bits in every row.
std::vector<uint32_t> mask_of(const std::vector<bool>& bits, bool otherwise, uint32_t vocab,
                              size_t rows) {
    const uint32_t words = Sampling::mask_words(vocab);
    std::vector<uint32_t> mask(words * rows);
    for (size_t r = 0; r < rows; ++r)
        for (uint32_t id = 0; id < vocab; ++id)
            if (bits.empty() ? otherwise : bits[id])
                mask[r * words + id / 32] |= 1u << (id % 32);
    return mask;
}

}  // namespace

std::vector<Draw> different_seeds(uint32_t count, uint32_t first) {
    std::vector<Draw> draws;
    for (uint32_t i = 0; i < count; ++i)  // both halves of the seed differ
        draws.push_back({(uint64_t{first + i} << 32) * 3 + first + i, 17});
    return draws;
}

std::vector<uint32_t> sample(OpTest& test, const std::vector<float>& logits,
                             const SamplerSettings& settings, const std::vector<Draw>& draws,
                             const std::vector<bool>& seen, const std::vector<bool>& allowed) {
    const uint32_t vocab = static_cast<uint32_t>(logits.size());
    const uint32_t count = static_cast<uint32_t>(draws.size());
    std::vector<shader::SampleParams> all_params;
    std::vector<shader::Row> all_rows;
    std::vector<float> all_logits;
    for (const Draw& draw : draws) {
        all_params.push_back(
            {.inverse_temperature =
                 settings.temperature > 0 ? static_cast<float>(1 / settings.temperature) : 0,
             .top_k = settings.top_k,
             .top_p = static_cast<float>(settings.top_p),
             .log_min_p = static_cast<float>(std::log(settings.min_p)),
             .repeat_penalty = static_cast<float>(settings.repeat_penalty),
             .seed_low = static_cast<uint32_t>(draw.seed),
             .seed_high = static_cast<uint32_t>(draw.seed >> 32),
             .unused = 0});
        all_rows.push_back(
            {.token = 0, .position = draw.position, .sequence = 0, .last_visible = 0});
        all_logits.insert(all_logits.end(), logits.begin(), logits.end());
    }
    GuardedRows l(test.device, count, vocab, all_logits);
    Guarded params = guarded(test.device, all_params), rows = guarded(test.device, all_rows);
    Guarded seen_bits = guarded(test.device, mask_of(seen, false, vocab, count));
    Guarded allowed_bits = guarded(test.device, mask_of(allowed, true, vocab, count));
    Guarded peaks(test.device, uint64_t{count} * Sampling::kShards * 8);
    Guarded chosen(test.device, uint64_t{count} * 4);

    run(test.device, [&](Recorder& recorder) {
        test.ops.sampling.record(recorder, l.activation(),
                                 {.params = params.slice(),
                                  .seen = seen_bits.slice(),
                                  .allowed = allowed_bits.slice(),
                                  .peaks = peaks.slice(),
                                  .rows = rows.slice(),
                                  .chosen = chosen.slice()});
    });

    CHECK(l.intact());
    CHECK(peaks.intact());
    CHECK(chosen.intact());
    return chosen.read<uint32_t>();
}

void check_distribution(OpTest& test, const std::vector<float>& logits,
                        const SamplerSettings& settings, uint32_t count,
                        const std::vector<bool>& seen, const std::vector<bool>& allowed) {
    CAPTURE(logits.size(), settings.temperature, settings.top_k, settings.top_p, settings.min_p,
            settings.repeat_penalty);
    const std::vector<double> want = sampling_probabilities(logits, settings, seen, allowed);
    std::vector<uint32_t> counts(logits.size());
    uint32_t outside = 0, missing = 0;
    constexpr uint32_t kRows = 64;  // at once
    for (uint32_t first = 0; first < count; first += kRows) {
        const std::vector<Draw> draws = different_seeds(std::min(kRows, count - first), 1 + first);
        for (const uint32_t id : sample(test, logits, settings, draws, seen, allowed)) {
            if (id < logits.size() && want[id] > 0)
                ++counts[id];
            else
                ++outside;
        }
    }
    CHECK(outside == 0);

    // Ids that should come up fewer than 5 times share a bin.
    double x = 0, rest_want = 0, rest_got = 0, degrees = -1;
    const auto bin = [&](double expected, double got) {
        x += (got - expected) * (got - expected) / expected;
        ++degrees;
    };
    for (size_t id = 0; id < logits.size(); ++id) {
        const double expected = want[id] * count;
        missing += expected > 15 && counts[id] == 0;
        if (expected >= 5) {
            bin(expected, counts[id]);
        } else {
            rest_want += expected;
            rest_got += counts[id];
        }
    }
    CHECK(missing == 0);
    if (rest_want >= 5)
        bin(rest_want, rest_got);
    CAPTURE(x, degrees);
    if (degrees >= 1)
        CHECK(chi_square_p(x, degrees) > 1e-3);
}

}  // namespace olivine::test
