// Cases of what comes after the logits, and of random weights.
#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/selftest/cases.h"
#include "shaders/params.h"

namespace olivine::selftest {
namespace {

// ---- sampling --------------------------------------------------------------------------------------

struct Draws {
    uint32_t vocab;
    SamplerSettings settings;
    uint32_t rows = 16;
    bool ties = false, masked = false, not_numbers = false;
};

void build_sampling(Scene& scene, const Draws& c) {
    std::vector<float> logits = random_floats(c.vocab, -8, 8, scene.seed);
    if (c.ties)
        for (float& value : logits)
            value = std::round(value);
    if (c.not_numbers)
        for (size_t i = 0; i < logits.size(); i += 3)
            logits[i] = -INFINITY;
    const uint32_t words = Sampling::mask_words(c.vocab);
    std::vector<bool> seen(c.vocab), allowed(c.vocab, true);
    for (const uint32_t id : random_words(c.vocab / 10 + 1, scene.seed + 1))
        seen[id % c.vocab] = c.settings.repeat_penalty != 1;
    for (uint32_t id = 0; c.masked && id < c.vocab; ++id)
        allowed[id] = id % 5 == 2;
    const auto mask = [&](const std::vector<bool>& bits) {
        std::vector<uint32_t> all(size_t{words} * c.rows);
        for (size_t r = 0; r < c.rows; ++r)
            for (uint32_t id = 0; id < c.vocab; ++id)
                all[r * words + id / 32] |= uint32_t{bits[id]} << (id % 32);
        return all;
    };
    std::vector<float> all;
    std::vector<shader::SampleParams> params;
    std::vector<shader::Row> rows;
    for (uint32_t r = 0; r < c.rows; ++r) {
        all.insert(all.end(), logits.begin(), logits.end());
        params.push_back(
            {.inverse_temperature = c.settings.temperature > 0
                                        ? static_cast<float>(1 / c.settings.temperature)
                                        : 0,
             .top_k = c.settings.top_k,
             .top_p = static_cast<float>(c.settings.top_p),
             .log_min_p = static_cast<float>(std::log(c.settings.min_p)),
             .repeat_penalty = static_cast<float>(c.settings.repeat_penalty),
             .seed_low = scene.seed + r,
             .seed_high = r,
             .unused = 0});
        rows.push_back({.token = 0, .position = r, .sequence = 0, .last_visible = 0});
    }
    const uint32_t stride = Activation::stride_of(c.vocab);
    std::vector<uint32_t> padded(size_t{c.rows} * stride, kPoison);
    for (size_t r = 0; r < c.rows; ++r)
        for (uint32_t id = 0; id < c.vocab; ++id)
            padded[r * stride + id] = std::bit_cast<uint32_t>(logits[id]);
    const Activation l{scene.scratch("logits", padded), c.rows, c.vocab, stride};
    const SamplingBuffers buffers{
        .params = scene.input("params", params),
        .seen = scene.input("seen", mask(seen)),
        .allowed = scene.input("allowed", mask(allowed)),
        .peaks = scene.scratch("peaks",
                               std::vector<uint32_t>(size_t{c.rows} * Sampling::kShards * 2)),
        .rows = scene.input("rows", rows),
        .chosen = scene.scratch("chosen", std::vector<uint32_t>(c.rows, kPoison))};
    scene.cost(8.0 * all.size(), 0);
    scene.record([&scene, l, buffers](Recorder& recorder) {
        scene.ops.sampling.record(recorder, l, buffers);
    });
    const std::vector<double> kept = sampling_probabilities(logits, c.settings, seen, allowed);
    scene.check([&scene, kept, greedy = c.settings.temperature == 0]() -> std::string {
        const std::vector<uint32_t> ids = scene.read<uint32_t>("chosen");
        for (size_t r = 0; r < ids.size(); ++r)
            if (ids[r] >= kept.size() || kept[ids[r]] == 0)
                return format_text("chosen: row %zu draws %u, which is not among the kept", r,
                                   ids[r]);
        const bool one = std::all_of(ids.begin(), ids.end(), [&](uint32_t id) { return id == ids[0]; });
        const auto likely = std::count_if(kept.begin(), kept.end(), [](double p) { return p > 0.01; });
        if (!greedy && likely > 8 && one)
            return "chosen: rows with different seeds all draw the same";
        return {};
    });
}

// ---- advance ---------------------------------------------------------------------------------------

enum class Stop : uint8_t { no, now, before };

void build_advance(Scene& scene, uint32_t count, uint32_t position, Stop stop) {
    constexpr uint32_t kVocab = 1000;
    const HeadShape shape{8, 2, 32};
    const uint32_t words = Sampling::mask_words(kVocab);
    std::vector<uint32_t> ids = random_words(count, scene.seed);
    std::vector<shader::Row> rows(count);
    std::vector<uint32_t> before, after, seen(size_t{words} * count);
    std::vector<uint32_t> history(Advance::history_bytes(count) / 4), want_history;
    history[0] = Advance::kHistory + 3;  // the ring has wrapped
    want_history = history;
    ++want_history[0];
    std::vector<uint32_t> want_seen = seen;
    std::vector<uint32_t> stops(size_t{count} * Advance::kStops, Sampling::kNoToken);
    for (uint32_t r = 0; r < count; ++r) {
        ids[r] = stop == Stop::no || r != 1 ? ids[r] % kVocab : Sampling::kNoToken;
        // Another row's stop id is none of this row's.
        stops[size_t{r} * Advance::kStops + 2] = (ids[r] + 1) % kVocab;
        const uint32_t at = position / (r + 1);
        before.insert(before.end(), {7, at, r, at});
        after.insert(after.end(), {ids[r] == Sampling::kNoToken ? 7 : ids[r], at + 1, r, at + 1});
        want_history[1 + 3 * count + r] = ids[r];
        if (ids[r] != Sampling::kNoToken)
            want_seen[size_t{r} * words + ids[r] / 32] |= 1u << (ids[r] % 32);
    }
    if (stop != Stop::no)
        stops[size_t{count} * Advance::kStops - 1] = ids[count - 1];
    std::vector<uint32_t> grid(4, 7);
    const uint32_t splits =
        std::clamp((position + 2 + Attention::kSplitKeys - 1) / Attention::kSplitKeys, 1u,
                   Attention::kMaxSplits);
    std::vector<uint32_t> want_grid = {shape.kv_heads, count, splits, splits};
    if (stop == Stop::before) {  // then nothing advances
        after = before;
        want_seen = seen;
        want_history = history;
        want_grid = grid;
    }
    const AdvanceBuffers buffers{
        .chosen = scene.input("chosen", ids),
        .rows = scene.output_words("rows", before, after),
        .seen = scene.output_words("seen", seen, want_seen),
        .history = scene.output_words("history", history, want_history),
        .grid = scene.output_words("grid", grid, want_grid),
        .stops = scene.input("stops", stops),
        .running = scene.output_words("running", {stop == Stop::before ? 0u : 1u},
                                      {stop == Stop::no ? 1u : 0u})};
    scene.record([&scene, buffers, count, shape](Recorder& recorder) {
        scene.ops.advance.record(recorder, buffers, count, kVocab, shape);
    });
}

// ---- random_fill -----------------------------------------------------------------------------------

// Looked up as embeddings, every weight shows.
void build_random_fill(Scene& scene, DataType type) {
    constexpr uint32_t kRows = 37, kCols = 96;
    constexpr float kScale = 0.25f;
    std::vector<shader::Row> ids(kRows);
    for (uint32_t r = 0; r < kRows; ++r)
        ids[r].token = r;
    const Matrix& matrix = scene.weight(random_rows(type, kRows, kCols, scene.seed));
    const Slice rows = scene.input("rows", ids);
    const Activation values{
        scene.scratch("values", std::vector<uint32_t>(size_t{kRows} * kCols, kPoison)), kRows, kCols,
        kCols};
    const Slice norm = scene.input("norm", std::vector<float>(kCols));
    const Activation normed{scene.scratch("normed", std::vector<uint32_t>(size_t{kRows} * kCols, kPoison)),
                            kRows, kCols, kCols};
    scene.record([&scene, &matrix, rows, values, norm, normed](Recorder& recorder) {
        scene.ops.random_fill.record(recorder, matrix, scene.seed, kScale);
        scene.ops.embed.record(recorder, matrix, rows, values, 1, norm, normed, 1e-6f);
    });
    scene.check([&scene, type]() -> std::string {
        double sum = 0, squares = 0, largest = 0;
        const std::vector<float> all = scene.read<float>("values");
        for (const float value : all) {
            sum += value;
            squares += double{value} * value;
            largest = std::max(largest, std::abs(double{value}));
        }
        // Uniform in +-0.25: mean 0 +- 0.0024 (one sigma), deviation 0.144. Nibbles have mean
        // -0.5 / 8 of the scale.
        const double count = static_cast<double>(all.size());
        const double mean = sum / count - (type == DataType::q4_0 ? -kScale / 16 : 0);
        const double deviation = std::sqrt(squares / count);
        if (std::abs(mean) < 0.012 && std::abs(deviation - 0.144) < 0.01 &&
            largest <= kScale * 1.01 && largest >= kScale * 0.95)
            return {};
        return format_text("values: mean %g, deviation %g, largest %g are not those of +-0.25", mean,
                           deviation, largest);
    });
}

}  // namespace

void add_token_cases(std::vector<Case>& cases) {
    const auto add_draws = [&](const std::string& name, const Draws& draws,
                               Quick quick = Quick::no) {
        Case c{.op = "sampling", .name = format_text("%u ids, ", draws.vocab) + name,
               .work = "sampling", .quick = quick,
               .build = [draws](Scene& scene) { build_sampling(scene, draws); }};
        cases.push_back(std::move(c));
    };
    SamplerSettings usual{.temperature = 1, .top_p = 0.95, .top_k = 64};
    for (const uint32_t vocab : {1u, 33u, 1000u, 262144u}) {
        const uint32_t rows = vocab > 1000 ? 2 : 16;
        add_draws("greedy", {vocab, {.temperature = 0}, rows},
                  vocab == 1000 ? Quick::once : Quick::no);
        add_draws("greedy among equals", {vocab, {.temperature = 0}, rows, true},
                  vocab == 33 ? Quick::once : Quick::no);
        add_draws("top-k and top-p", {vocab, usual, rows},
                  vocab == 1000 ? Quick::once : Quick::no);
        add_draws("top-k among equals", {vocab, {.temperature = 1, .top_k = 7}, rows, true});
        add_draws("min-p", {vocab, {.temperature = 0.7, .min_p = 0.1}, rows});
        add_draws("penalty", {vocab, {.temperature = 1, .repeat_penalty = 1.3, .top_k = 5}, rows});
        if (vocab > 32) {
            add_draws("one id in five allowed", {vocab, usual, rows, false, true},
                      vocab == 33 ? Quick::once : Quick::no);
            add_draws("some of minus infinity", {vocab, usual, rows, false, false, true});
        }
    }
    for (const uint32_t count : {1u, 3u, 16u})
        for (const uint32_t position : {0u, 254u, 255u, 8191u, 131070u})
            for (const Stop stop : {Stop::no, Stop::now, Stop::before})
                cases.push_back({.op = "advance",
                                 .name = format_text("%u rows, position %u%s", count, position,
                                                     stop == Stop::no    ? ""
                                                     : stop == Stop::now ? ", a stop id"
                                                                         : ", stopped before"),
                                 .work = "advance",
                                 .wide = false,
                                 .quick = count == 3 && position == 255 ? Quick::all : Quick::no,
                                 .build = [count, position, stop](Scene& scene) {
                                     build_advance(scene, count, position, stop);
                                 }});
    for (const DataType type :
         {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0, DataType::q4_0})
        cases.push_back({.op = "random_fill",
                         .name = type_suffix(type) + " 37x96",
                         .work = "random_fill",
                         .has_subgroup = false,
                         .wide = false,
                         .quick = type == DataType::q4_0 ? Quick::once : Quick::no,
                         .build = [type](Scene& scene) { build_random_fill(scene, type); }});
}

void add_token_checks(std::vector<Case>& cases) {
    const Draws greedy{1000, {.temperature = 0}, 4, true};
    const Draws usual{1000, {.temperature = 1, .top_p = 0.95, .top_k = 64}, 4};
    for (const Draws& draws : {greedy, usual})
        cases.push_back({.op = "sampling", .name = "1000 ids", .work = "sampling",
                         .build = [draws](Scene& scene) { build_sampling(scene, draws); }});
    cases.push_back({.op = "advance", .name = "3 rows", .work = "advance",
                     .build = [](Scene& scene) { build_advance(scene, 3, 255, Stop::now); }});
}

std::vector<Case> all_cases() {
    std::vector<Case> cases;
    add_row_cases(cases);
    add_linear_cases(cases);
    add_attention_cases(cases);
    add_token_cases(cases);
    return cases;
}

}  // namespace olivine::selftest
