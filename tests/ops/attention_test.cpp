// The shaders attention, attention_coopmat and attention_coopmat2, through engine/ops/attention.h.
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>

#include "tests/ops/attention_scene.h"

namespace olivine::test {
namespace {

using namespace attention_cases;

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

void check_prompts(OpTest& test, KvType type) {
    for (const uint32_t count : {1u, 2u, 9u, 33u})
        check_prefill(test, {.shape = kNarrow, .type = type, .rows = consecutive(0, count)});
    for (const uint32_t count : {1u, 9u})
        check_prefill(test, {.shape = kWide, .type = type, .rows = consecutive(0, count)});
}

// One query head a key; a head that fills whole vectors; more query heads than a tile has places.
void check_shapes(OpTest& test, KvType type) {
    for (const HeadShape& shape : {HeadShape{3, 3, 18}, HeadShape{4, 1, 32}, HeadShape{12, 1, 32}})
        for (const uint32_t count : {1u, 13u})
            check_prefill(test, {.shape = shape, .type = type, .rows = consecutive(0, count)});
}

void check_chunks(OpTest& test, KvType type) {
    for (const float cap : {0.0f, 0.5f})  // scores of up to 3: the cap bites
        for (const uint32_t first : {1u, 7u, 40u, 61u})
            for (const uint32_t count : {1u, 3u, 8u, 17u})
                check_prefill(test, {.shape = kNarrow,
                                     .type = type,
                                     .cap = cap,
                                     .rows = consecutive(first, count)});
}

void check_ring(OpTest& test, KvType type, uint32_t window) {
    constexpr uint32_t kChunk = 13;
    for (const uint32_t first : {0u, window - 1, window, window + 1, 2 * window + 5})
        for (const uint32_t count : {1u, kChunk})
            check_prefill(test, {.shape = kNarrow,
                                 .type = type,
                                 .window = window,
                                 .capacity = window + kChunk - 1,
                                 .rows = consecutive(first, count)});
}

// Positions that begin, end and lie within pages.
void check_pages(OpTest& test, KvType type) {
    for (const auto& [first, count] : {std::pair{0u, 1u}, {60u, 9u}, {127u, 3u}, {190u, 17u}})
        check_prefill(
            test,
            {.shape = kNarrow, .type = type, .paged = true, .rows = consecutive(first, count)});
    check_decode(test, {.shape = kNarrow,
                        .type = type,
                        .paged = true,
                        .rows = {row_at(63, 1), row_at(400, 2), row_at(64, 0)}}, 3);
}

void check_pictures(OpTest& test, KvType type, uint32_t window) {
    std::vector<shader::Row> rows = consecutive(5, 24);
    for (uint32_t i = 3; i < 14; ++i)
        rows[i].last_visible = 5 + 13;  // one picture
    for (uint32_t i = 14; i < 20; ++i)
        rows[i].last_visible = 5 + 19;  // the next, at once
    check_prefill(test, {.shape = kNarrow, .type = type, .window = window, .rows = rows});
}

// First and count of 23 rows: one, the ends, parts that begin and end within a tile, everything.
const std::vector<std::pair<uint32_t, uint32_t>> kRanges = {{0, 1}, {22, 1}, {5, 1},  {0, 7},
                                                            {3, 9}, {8, 8},  {20, 3}, {0, 23}};

void check_range(OpTest& test, KvType type, uint32_t first, uint32_t count) {
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

struct Picture {
    HeadShape shape;
    uint32_t pictures, patches, rows;  // rows: how many a dispatch takes
};
// The last two are the heads of the real encoder; patches fill no tile and no workgroup.
const std::vector<Picture> kPictures = {{{1, 1, 18}, 1, 1, 1},
                                        {{3, 3, 18}, 3, 21, 21},
                                        {{2, 2, 24}, 2, 36, 10},
                                        {{2, 2, 72}, 2, 25, 25},
                                        {{1, 1, 72}, 1, 70, 32}};

void check_encoder(OpTest& test, KvType type, const Picture& p) {
    CAPTURE(p.shape.head_dim, p.pictures, p.patches, p.rows);
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

void check_large_scores(OpTest& test, KvType type) {
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
        wild += !(std::abs(value) <= (scene.halves() ? 1.001 : 1));
    CHECK(wild == 0);
    const float rounding = scene.halves() && type == KvType::f32 ? 1.0f / 2048 : 0;
    for (uint32_t i = 0; i < 4 * 18; ++i) {  // the first row sees one key
        const float value = values[i / 36 * kNarrow.padded_dim() + i % 18];
        CHECK(std::abs(got[i] - value) <= rounding * std::abs(value));
    }
}

}  // namespace

TEST_CASE("attention over a prompt", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, name(type));
    OpTest test(variant);
    check_prompts(test, type);
    if (variant == "all rungs")
        check_shapes(test, type);
}

TEST_CASE("attention over a chunk in the middle of a sequence", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, name(type));
    OpTest test(variant);
    check_chunks(test, type);
}

TEST_CASE("attention through a window, in a ring that wraps", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    const uint32_t window = GENERATE(1u, 2u, 8u, 512u);
    CAPTURE(variant, name(type));
    OpTest test(variant);
    check_ring(test, type, window);
}

TEST_CASE("attention finds keys in pages", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, name(type));
    OpTest test(variant);
    check_pages(test, type);
}

TEST_CASE("attention lets the tokens of a picture see each other", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    const uint32_t window = GENERATE(0u, 4u, 8u, 64u);
    CAPTURE(variant, name(type));
    OpTest test(variant);
    check_pictures(test, type, window);
}

TEST_CASE("attention of a range of rows", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    const auto [first, count] = GENERATE(from_range(kRanges));
    CAPTURE(variant, name(type), first, count);
    OpTest test(variant);
    check_range(test, type, first, count);
}

TEST_CASE("attention within pictures, all patches with all", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(picture_variants()));
    const Picture p = GENERATE(from_range(kPictures));
    CAPTURE(variant);
    OpTest test(variant);
    check_encoder(test, type, p);
}

TEST_CASE("attention of several sequences at once", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, name(type));
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
    CAPTURE(variant, name(type));
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
    CAPTURE(variant, name(type));
    OpTest test(variant);
    CHECK(Attention::splits_for(256) == 1);
    CHECK(Attention::splits_for(1024) == 4);
    for (const uint32_t position : {0u, 1u, 300u, 1023u, 1024u, 1500u})
        check_decode(test, {.shape = kNarrow,
                            .type = type,
                            .window = 1024,
                            .capacity = 1100,
                            .rows = {row_at(position)}});
}

TEST_CASE("attention keeps its precision with large scores", "[op][attention]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, name(type));
    OpTest test(variant);
    check_large_scores(test, type);
}

// Operands are halves: the same cases, and what need not fit a half.
TEMPLATE_TEST_CASE_SIG("attention on a rung above storage16", "[op][attention][coopmat]", ((Rung R), R),
                       Rung::coopmat2, Rung::coopmat) {
    const KvType type = GENERATE(KvType::f32, KvType::f16);
    OpTest test(variant_with(R));
    CAPTURE(name(R), type == KvType::f16);
    const Attention& op = test.ops.attention;
    for (const HeadShape& shape : {kNarrow, kWide, HeadShape{16, 16, 72}})
        CHECK(op.rung(shape, type, false) == R);

    SECTION("prompts") {
        check_prompts(test, type);
    }
    SECTION("shapes") {
        check_shapes(test, type);
    }
    SECTION("chunks") {
        check_chunks(test, type);
    }
    SECTION("rings") {
        for (const uint32_t window : {1u, 2u, 8u, 512u})
            check_ring(test, type, window);
    }
    SECTION("pictures") {
        for (const uint32_t window : {0u, 4u, 8u, 64u})
            check_pictures(test, type, window);
    }
    SECTION("ranges") {
        for (const auto& [first, count] : kRanges)
            check_range(test, type, first, count);
    }
    SECTION("encoder") {
        for (const Picture& p : kPictures)
            check_encoder(test, type, p);
    }
    SECTION("large scores") {
        check_large_scores(test, type);
    }
    SECTION("magnitudes") {
        // With `uneven`, keys and values reach 2^15 as halves and 2^22, or 2^-25, as f32.
        const std::vector<float> scales =
            type == KvType::f16 ? std::vector{0x1p10f, 0x1p-4f} : std::vector{0x1p17f, 0x1p-30f};
        for (const float scale : scales)
            for (const float q_scale : {1 / scale / 16, 0.0f})
                check_prefill(test, {.shape = kNarrow,
                                     .type = type,
                                     .rows = consecutive(60, 9),
                                     .q_scale = q_scale,
                                     .key_scale = scale,
                                     .value_scale = scale,
                                     .uneven = true});
    }
    SECTION("set aside") {
        CHECK(Attention::work(kWide, type, false) ==
              (type == KvType::f16 ? "attention f16 256 prefill" : "attention f32 256 prefill"));
        Device device({.disabled = test.device.capabilities().available.without(
                           test.device.capabilities().enabled),
                       .precision = Precision::automatic,
                       .as_gpu = true});
        const Attention other(device);
        CHECK(other.rung(kWide, type, false) == R);
        device.set_aside(Attention::work(kWide, type, false), R);
        CHECK(!other.rung(kWide, type, false));
        CHECK(other.rung(kNarrow, type, false) == R);
    }
}

}  // namespace olivine::test
