#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>

#include "shaders/params.h"
#include "tests/support/device.h"
#include "engine/selftest/guarded.h"

namespace olivine::test {

TEST_CASE("advance makes the next step's rows, history, seen bits and grid", "[op][advance]") {
    const std::string variant = GENERATE(from_range(variants()));
    const uint32_t count = GENERATE(1u, 3u, 50u);  // 50: more rows than a subgroup has threads
    constexpr uint32_t kVocab = 1000;
    CAPTURE(variant, count);
    OpTest test(variant);
    const HeadShape shape{8, 2, 32};
    const uint32_t mask_words = Sampling::mask_words(kVocab);

    std::vector<shader::Row> row_values;
    for (uint32_t r = 0; r < count; ++r)
        row_values.push_back({.token = 7, .position = 700 * r, .sequence = r, .last_visible = 0});
    Guarded chosen(test.device, count * 4), rows = guarded(test.device, row_values);
    Guarded seen = guarded(test.device, std::vector<uint32_t>(mask_words * count));
    Guarded history =
        guarded(test.device, std::vector<uint32_t>(Advance::history_bytes(count) / 4));
    Guarded grid(test.device, sizeof(shader::GridArguments));
    constexpr uint32_t kStop = 999;
    Guarded stops = guarded(test.device, std::vector<uint32_t>(count * Advance::kStops, kStop));
    Guarded running = guarded(test.device, std::vector<uint32_t>{1});
    Recorder recorder(test.device, "advance");
    test.ops.advance.record(recorder,
                            {.chosen = chosen.slice(),
                             .rows = rows.slice(),
                             .seen = seen.slice(),
                             .history = history.slice(),
                             .grid = grid.slice(),
                             .stops = stops.slice(),
                             .running = running.slice()},
                            count, kVocab, shape);
    Plan plan = recorder.finish();

    std::vector<uint32_t> want_seen(mask_words * count),
        want_history(1 + Advance::kHistory * count);
    for (uint32_t step = 0; step < Advance::kHistory + 5; ++step) {  // once around the ring
        std::vector<uint32_t> ids = random_words(count, step);
        for (uint32_t& id : ids)
            id %= kStop;
        if (step == 2)
            ids[count - 1] = Sampling::kNoToken;
        if (step == 3)
            ids[count - 1] = kStop;
        for (uint32_t r = 0; r < count; ++r) {
            want_history[1 + step % Advance::kHistory * count + r] = ids[r];
            shader::Row& row = row_values[r];
            if (ids[r] != Sampling::kNoToken) {
                row.token = ids[r];
                want_seen[r * mask_words + ids[r] / 32] |= 1u << (ids[r] % 32);
            }
            row.last_visible = ++row.position;
        }
        want_history[0] = step + 1;
        chosen.write(ids);
        plan.run();
        const bool stopped = step == 2 || step == 3;
        CHECK(running.read<uint32_t>() == std::vector<uint32_t>{stopped ? 0u : 1u});
        if (stopped) {
            plan.run();  // nothing advances
            running.write(std::vector<uint32_t>{1});
        }
    }

    CHECK(rows.read<uint32_t>() == guarded(test.device, row_values).read<uint32_t>());
    CHECK(seen.read<uint32_t>() == want_seen);
    CHECK(history.read<uint32_t>() == want_history);
    const uint32_t keys = row_values.back().position + 1;
    const uint32_t splits = std::clamp((keys + Attention::kSplitKeys - 1) / Attention::kSplitKeys,
                                       1u, Attention::kMaxSplits);
    CHECK(grid.read<uint32_t>() == std::vector<uint32_t>{shape.kv_heads, count, splits, splits});
    for (const Guarded* buffer : {&chosen, &rows, &seen, &history, &grid, &stops, &running})
        CHECK(buffer->intact());
}

TEST_CASE("advance splits attention by the longest row", "[op][advance]") {
    const std::string variant = GENERATE(from_range(variants()));
    const auto [position, splits] = GENERATE(table<uint32_t, uint32_t>(
        {{0, 1}, {254, 1}, {255, 2}, {510, 2}, {511, 3}, {8190, 32}, {8191, 32}, {131070, 32}}));
    CAPTURE(variant, position);
    OpTest test(variant);
    std::vector<shader::Row> row_values(
        3, {.token = 0, .position = 0, .sequence = 0, .last_visible = 0});
    row_values[1].position = position;  // the next step sees position + 2 keys
    Guarded chosen = guarded(test.device, std::vector<uint32_t>{1, 2, 3});
    Guarded rows = guarded(test.device, row_values);
    Guarded seen = guarded(test.device, std::vector<uint32_t>(3));
    Guarded history = guarded(test.device, std::vector<uint32_t>(Advance::history_bytes(3) / 4));
    Guarded grid(test.device, sizeof(shader::GridArguments));
    Guarded stops = guarded(test.device, std::vector<uint32_t>(3 * Advance::kStops, Sampling::kNoToken));
    Guarded running = guarded(test.device, std::vector<uint32_t>{1});

    run(test.device, [&](Recorder& recorder) {
        test.ops.advance.record(recorder,
                                {.chosen = chosen.slice(),
                                 .rows = rows.slice(),
                                 .seen = seen.slice(),
                                 .history = history.slice(),
                                 .grid = grid.slice(),
                                 .stops = stops.slice(),
                                 .running = running.slice()},
                                3, 20, {4, 1, 32});
    });

    CHECK(grid.read<uint32_t>() == std::vector<uint32_t>{1, 3, splits, splits});
    CHECK(grid.intact());
}

}  // namespace olivine::test
