#include <algorithm>
#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <cmath>

#include "shaders/params.h"
#include "tests/support/device.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/kv.h"
#include "engine/selftest/reference.h"

namespace olivine::test {
namespace {

// Probabilities of some hundred keys and an output of their weighted values, in f32.
// Measured 3e-14 at most with f32 and f16 caches alike (the reference sees the halves' values).
constexpr double kBar = 1e-10;

struct Case {
    HeadShape shape;
    KvType type = KvType::f32;
    uint32_t window = 0;  // 0 = all
    float cap = 0;
    uint32_t capacity = 0;  // 0 = as many as there are positions
    std::vector<shader::Row> rows;
};

shader::Row row_at(uint32_t position, uint32_t sequence = 0) {
    return {.token = 0, .position = position, .sequence = sequence, .last_visible = position};
}

std::vector<shader::Row> consecutive(uint32_t first, uint32_t count) {
    std::vector<shader::Row> rows;
    for (uint32_t i = 0; i < count; ++i)
        rows.push_back(row_at(first + i));
    return rows;
}

// A case's buffers. Slots that no row may look at are not numbers, so that one look shows.
class Scene {
public:
    Scene(OpTest& test, const Case& c)
        : case_(c),
          count_(static_cast<uint32_t>(c.rows.size())),
          sequences_(sequences(c)),
          length_(length(c)),
          kv(test.device, c.shape, c.type, sequences_, c.capacity ? c.capacity : length_, c.window),
          q(test.device, uint64_t{count_} * c.shape.heads * c.shape.padded_dim() * 4),
          rows(guarded(test.device, c.rows)),
          dst(test.device, count_, c.shape.heads * c.shape.head_dim),
          parts(test.device, Attention::parts_bytes(c.shape, count_)),
          arrivals(guarded(test.device, std::vector<uint32_t>(size_t{count_} * c.shape.kv_heads))) {
        fill();
    }

    AttentionScratch scratch() const { return {parts.slice(), arrivals.slice()}; }

    void check() const {
        CHECK(nmse(want_, dst.read()) < kBar);
        CHECK(dst.intact());
        CHECK(q.intact());
        CHECK(kv.intact());
        CHECK(parts.intact());
        CHECK(arrivals.intact());
        CHECK(arrivals.read<uint32_t>() ==
              std::vector<uint32_t>(size_t{count_} * case_.shape.kv_heads, 0));
    }
    // The same for rows [first, first + count) alone: the others, and the scratch, are as they
    // were.
    void check_range(uint32_t first, uint32_t count) const {
        const size_t width = size_t{case_.shape.heads} * case_.shape.head_dim;
        const std::vector<float> got = dst.read();
        CHECK(nmse(std::span(want_).subspan(first * width, count * width),
                   std::span(got).subspan(first * width, count * width)) < kBar);
        uint32_t touched = 0;
        for (size_t i = 0; i < got.size(); ++i)
            touched += (i / width < first || i / width >= first + count) &&
                       std::bit_cast<uint32_t>(got[i]) != kPoison;
        for (const uint32_t word : parts.read<uint32_t>())
            touched += word != kPoison;
        CHECK(touched == 0);
        CHECK(dst.intact());
        CHECK(parts.intact());
    }
    void forget() {
        dst.write(
            std::vector<float>(size_t{count_} * case_.shape.heads * case_.shape.head_dim, NAN));
    }

private:
    static uint32_t sequences(const Case& c) {
        uint32_t count = 1;
        for (const shader::Row& row : c.rows)
            count = std::max(count, row.sequence + 1);
        return count;
    }
    static uint32_t length(const Case& c) {
        uint32_t positions = 1;
        for (const shader::Row& row : c.rows)
            positions = std::max({positions, row.position + 1, row.last_visible + 1});
        return positions;
    }

    bool visible(const shader::Row& row, uint32_t key) const {
        const uint32_t distance = key > row.position ? key - row.position : row.position - key;
        return key <= row.last_visible && (case_.window == 0 || distance < case_.window);
    }

    void fill() {
        const HeadShape& shape = case_.shape;
        const uint32_t width = shape.head_dim, padded = shape.padded_dim();
        const auto random = [&](size_t n, uint32_t seed) {
            std::vector<float> values = random_floats(n, -1, 1, seed);
            if (case_.type == KvType::f16)
                for (float& value : values)
                    value = std::round(value * 1024) / 1024;  // a half holds it exactly
            return values;
        };
        const size_t each = size_t{length_} * shape.kv_heads * width;
        const std::vector<float> keys = random(sequences_ * each, 1);
        const std::vector<float> values = random(sequences_ * each, 2);
        const std::vector<float> queries =
            random_floats(size_t{count_} * shape.heads * width, -1, 1, 3);

        // The cache: NaN, then the positions that some row of the step may see.
        std::vector<float> key_plane(kv.count(), NAN), value_plane(kv.count(), NAN);
        for (uint32_t s = 0; s < sequences_; ++s) {
            for (uint32_t p = 0; p < length_; ++p) {
                const bool needed = std::any_of(
                    case_.rows.begin(), case_.rows.end(),
                    [&](const shader::Row& row) { return row.sequence == s && visible(row, p); });
                for (uint32_t h = 0; needed && h < shape.kv_heads; ++h) {
                    const size_t from = ((size_t{s} * length_ + p) * shape.kv_heads + h) * width;
                    const size_t to = kv.index(s, p, h);
                    std::fill_n(key_plane.begin() + to, padded, 0.0f);
                    std::fill_n(value_plane.begin() + to, padded, 0.0f);
                    std::copy_n(keys.begin() + from, width, key_plane.begin() + to);
                    std::copy_n(values.begin() + from, width, value_plane.begin() + to);
                }
            }
        }
        kv.write_keys(key_plane);
        kv.write_values(value_plane);

        std::vector<float> q_plane;
        for (uint32_t r = 0; r < count_; ++r) {
            const shader::Row& row = case_.rows[r];
            for (uint32_t h = 0; h < shape.heads; ++h) {
                const auto from = queries.begin() + (size_t{r} * shape.heads + h) * width;
                const std::vector<double> query(from, from + width);
                q_plane.insert(q_plane.end(), from, from + width);
                q_plane.resize(q_plane.size() + padded - width, 0.0f);

                const uint32_t kv_head = h / (shape.heads / shape.kv_heads);
                std::vector<double> k, v;
                std::vector<uint32_t> seen;
                for (uint32_t p = 0; p < length_; ++p) {
                    const size_t at =
                        ((size_t{row.sequence} * length_ + p) * shape.kv_heads + kv_head) * width;
                    k.insert(k.end(), keys.begin() + at, keys.begin() + at + width);
                    v.insert(v.end(), values.begin() + at, values.begin() + at + width);
                    if (visible(row, p))
                        seen.push_back(p);
                }
                const std::vector<double> out = attention(query, k, v, seen, case_.cap);
                want_.insert(want_.end(), out.begin(), out.end());
            }
        }
        q.write(q_plane);
    }

    const Case& case_;
    uint32_t count_, sequences_, length_;
    std::vector<double> want_;

public:
    GuardedKv kv;
    Guarded q, rows;
    GuardedRows dst;
    Guarded parts, arrivals;
};

void check_prefill(OpTest& test, const Case& c) {
    CAPTURE(c.shape.heads, c.shape.kv_heads, c.shape.head_dim, c.window, c.cap, c.capacity,
            c.rows.size(), c.rows[0].position);
    Scene scene(test, c);
    run(test.device, [&](Recorder& recorder) {
        test.ops.attention.record_prefill(recorder, scene.q.slice(), scene.kv.layer(),
                                          scene.rows.slice(), c.shape, c.cap,
                                          scene.dst.activation(), scene.scratch());
    });
    scene.check();
}

// splits 0: as the op chooses, without a grid.
void check_decode(OpTest& test, const Case& c, uint32_t splits = 0) {
    CAPTURE(c.shape.heads, c.shape.kv_heads, c.shape.head_dim, c.window, c.cap, c.capacity,
            c.rows.size(), c.rows[0].position, splits);
    Scene scene(test, c);
    Guarded grid = guarded(
        test.device, std::vector<shader::GridArguments>{{.x = c.shape.kv_heads,
                                                         .y = static_cast<uint32_t>(c.rows.size()),
                                                         .z = splits,
                                                         .splits = splits}});
    Recorder recorder(test.device, "decode");
    test.ops.attention.record_decode(recorder, scene.q.slice(), scene.kv.layer(),
                                     scene.rows.slice(), splits ? grid.slice() : Slice{}, c.shape,
                                     c.cap, scene.dst.activation(), scene.scratch());
    Plan plan = recorder.finish();
    plan.run();
    scene.check();
    scene.forget();
    plan.run();  // the counters must have been left as they were found
    scene.check();
    CHECK(grid.intact());
}

// Drivers take seconds to compile attention for one shape, so most cases share these two.
const HeadShape kNarrow{4, 2, 18}, kWide{8, 1, 256};

// Keys and values of pictures are f32 on every device.
std::vector<KvVariant> picture_variants() {
    std::vector<KvVariant> list;
    for (const std::string& variant : variants())
        list.push_back({variant, KvType::f32});
    return list;
}

}  // namespace

TEST_CASE("attention over a prompt", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, type == KvType::f16);
    OpTest test(variant);
    for (const uint32_t count : {1u, 2u, 9u, 33u})
        check_prefill(test, {.shape = kNarrow, .type = type, .rows = consecutive(0, count)});
    for (const uint32_t count : {1u, 9u})
        check_prefill(test, {.shape = kWide, .type = type, .rows = consecutive(0, count)});
    if (variant != "all rungs")
        return;
    // One query head a key; a head that fills whole vectors; more query heads than a tile has
    // places.
    for (const HeadShape& shape : {HeadShape{3, 3, 18}, HeadShape{4, 1, 32}, HeadShape{12, 1, 32}})
        for (const uint32_t count : {1u, 13u})
            check_prefill(test, {.shape = shape, .type = type, .rows = consecutive(0, count)});
}

TEST_CASE("attention over a chunk in the middle of a sequence", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, type == KvType::f16);
    OpTest test(variant);
    for (const float cap : {0.0f, 0.5f})  // scores of up to 3: the cap bites
        for (const uint32_t first : {1u, 7u, 40u, 61u})
            for (const uint32_t count : {1u, 3u, 8u, 17u})
                check_prefill(test, {.shape = kNarrow,
                                     .type = type,
                                     .cap = cap,
                                     .rows = consecutive(first, count)});
}

TEST_CASE("attention through a window, in a ring that wraps", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    const uint32_t window = GENERATE(1u, 2u, 8u, 512u);
    CAPTURE(variant, type == KvType::f16);
    OpTest test(variant);
    constexpr uint32_t kChunk = 13;
    for (const uint32_t first : {0u, window - 1, window, window + 1, 2 * window + 5})
        for (const uint32_t count : {1u, kChunk})
            check_prefill(test, {.shape = kNarrow,
                                 .type = type,
                                 .window = window,
                                 .capacity = window + kChunk - 1,
                                 .rows = consecutive(first, count)});
}

TEST_CASE("attention lets the tokens of a picture see each other", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    const uint32_t window = GENERATE(0u, 4u, 8u, 64u);
    CAPTURE(variant, type == KvType::f16);
    OpTest test(variant);
    std::vector<shader::Row> rows = consecutive(5, 24);
    for (uint32_t i = 3; i < 14; ++i)
        rows[i].last_visible = 5 + 13;  // one picture
    for (uint32_t i = 14; i < 20; ++i)
        rows[i].last_visible = 5 + 19;  // the next, at once
    check_prefill(test, {.shape = kNarrow, .type = type, .window = window, .rows = rows});
}

TEST_CASE("attention of a range of rows", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    // Of 23 rows: one, the ends, parts that begin and end within a tile, everything.
    const auto [first, count] = GENERATE(table<uint32_t, uint32_t>(
        {{0, 1}, {22, 1}, {5, 1}, {0, 7}, {3, 9}, {8, 8}, {20, 3}, {0, 23}}));
    CAPTURE(variant, type == KvType::f16, first, count);
    OpTest test(variant);
    for (const uint32_t window : {0u, 4u}) {
        const Case c{.shape = kNarrow, .type = type, .window = window, .rows = consecutive(2, 23)};
        Scene scene(test, c);
        run(test.device, [&](Recorder& recorder) {
            test.ops.attention.record_prefill(
                recorder, scene.q.slice(), scene.kv.layer(), scene.rows.slice(), c.shape, 0,
                scene.dst.activation(), scene.scratch(), first, count);
        });
        scene.check_range(first, count);
    }
}

TEST_CASE("attention within pictures, all patches with all", "[op][attention]") {
    struct Picture {
        HeadShape shape;
        uint32_t pictures, patches, rows;  // rows: how many a dispatch takes
    };
    const auto [variant, type] = GENERATE(from_range(picture_variants()));
    // The last two are the heads of the real encoder; patches fill no tile and no workgroup.
    const Picture p = GENERATE(Picture{{1, 1, 18}, 1, 1, 1}, Picture{{3, 3, 18}, 3, 21, 21},
                               Picture{{2, 2, 24}, 2, 36, 10}, Picture{{2, 2, 72}, 2, 25, 25},
                               Picture{{1, 1, 72}, 1, 70, 32});
    CAPTURE(variant, type == KvType::f16, p.shape.head_dim, p.pictures, p.patches, p.rows);
    OpTest test(variant);
    Case c{.shape = p.shape, .type = type, .capacity = p.patches};
    for (uint32_t i = 0; i < p.pictures * p.patches; ++i)
        c.rows.push_back({.token = 0,
                          .position = i % p.patches,
                          .sequence = i / p.patches,
                          .last_visible = p.patches - 1});
    Scene scene(test, c);
    const auto record = [&](Recorder& recorder, uint32_t picture) {
        for (uint32_t first = 0; first < p.patches; first += p.rows)
            test.ops.attention.record_prefill(
                recorder, scene.q.slice(), scene.kv.layer(), scene.rows.slice(), c.shape, 0,
                scene.dst.activation(), scene.scratch(), picture * p.patches + first,
                std::min(p.rows, p.patches - first));
    };
    run(test.device, [&](Recorder& recorder) { record(recorder, p.pictures - 1); });
    scene.check_range((p.pictures - 1) * p.patches, p.patches);
    scene.forget();
    run(test.device, [&](Recorder& recorder) {
        for (uint32_t picture = 0; picture < p.pictures; ++picture)
            record(recorder, picture);
    });
    scene.check();
}

TEST_CASE("attention of several sequences at once", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, type == KvType::f16);
    OpTest test(variant);
    const std::vector<shader::Row> rows = {row_at(9, 2), row_at(0, 0), row_at(70, 1)};
    for (const HeadShape& shape : {kNarrow, kWide, HeadShape{3, 3, 18}}) {
        if (shape.heads == 3 && variant != "all rungs")
            continue;
        check_decode(test, {.shape = shape, .type = type, .rows = rows});
        check_decode(test,
                     {.shape = shape, .type = type, .window = 8, .capacity = 20, .rows = rows});
    }
}

TEST_CASE("attention with the keys split over workgroups", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    const uint32_t splits = GENERATE(1u, 2u, 3u, 7u, 32u);
    CAPTURE(variant, type == KvType::f16);
    OpTest test(variant);
    // 1, 10 and 75 keys: fewer than there are splits, fewer than a thread each, more.
    const std::vector<shader::Row> rows = {row_at(9, 0), row_at(0, 1), row_at(74, 2)};
    for (const float cap : {0.0f, 0.5f})
        check_decode(test, {.shape = kNarrow, .type = type, .cap = cap, .rows = rows}, splits);
    check_decode(test, {.shape = kWide, .type = type, .rows = {row_at(40)}}, splits);
    check_decode(test, {.shape = kNarrow, .type = type, .window = 9, .rows = {row_at(40)}}, splits);
}

TEST_CASE("attention splits wide windows by itself", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, type == KvType::f16);
    OpTest test(variant);
    CHECK(Attention::local_splits(256) == 1);
    CHECK(Attention::local_splits(1024) == 4);
    for (const uint32_t position : {0u, 1u, 300u, 1023u, 1024u, 1500u})
        check_decode(test, {.shape = kNarrow,
                            .type = type,
                            .window = 1024,
                            .capacity = 1100,
                            .rows = {row_at(position)}});
}

TEST_CASE("attention keeps its precision with large scores", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, type == KvType::f16);
    OpTest test(variant);
    const Case c{.shape = kNarrow, .type = type, .rows = consecutive(0, 20)};
    Scene scene(test, c);
    // Scores of thousands: one key takes all, and nothing overflows.
    std::vector<float> q = scene.q.read<float>();
    for (float& value : q)
        value *= 1000;
    scene.q.write(q);
    run(test.device, [&](Recorder& recorder) {
        test.ops.attention.record_prefill(recorder, scene.q.slice(), scene.kv.layer(),
                                          scene.rows.slice(), c.shape, 0, scene.dst.activation(),
                                          scene.scratch());
    });
    const std::vector<float> got = scene.dst.read(), values = scene.kv.read_values();
    uint32_t wild = 0;
    for (const float value : got)
        wild += !(std::abs(value) <= 1);
    CHECK(wild == 0);
    for (uint32_t i = 0; i < 4 * 18; ++i)  // the first row sees one key
        CHECK(got[i] == values[i / 36 * kNarrow.padded_dim() + i % 18]);
}

}  // namespace olivine::test
