// Cases of rope_store and attention.
#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/selftest/cases.h"
#include "engine/selftest/kv_plane.h"
#include "engine/selftest/startup.h"
#include "shaders/params.h"

namespace olivine::selftest {
namespace {

struct Heads {
    const char* name;
    HeadShape shape;
};
// The published models', then one whose width fills no vector.
constexpr Heads kPublished[] = {
    {"4/1 heads of 256", {4, 1, 256}}, {"8/4 heads of 256", {8, 4, 256}},
    {"16/8 heads of 256", {16, 8, 256}}, {"32/16 heads of 128", {32, 16, 128}}};
constexpr Heads kPicture = {"2/2 heads of 72", {2, 2, 72}};
constexpr Heads kNarrow = {"4/2 heads of 18", {4, 2, 18}};

shader::Row row_at(uint32_t position, uint32_t sequence = 0) {
    return {.token = 0, .position = position, .sequence = sequence, .last_visible = position};
}

std::vector<shader::Row> consecutive(uint32_t first, uint32_t count) {
    std::vector<shader::Row> rows;
    for (uint32_t i = 0; i < count; ++i)
        rows.push_back(row_at(first + i));
    return rows;
}

// Values as a cache of this type holds them.
std::vector<float> cache_values(KvType type, const HeadShape& shape, size_t count, float size,
                                uint32_t seed) {
    return kv_rounded(type, shape, random_floats(count, -size, size, seed));
}

// ---- rope_store ----------------------------------------------------------------------------------

struct Rope {
    Heads heads;
    KvType type = KvType::f32;
    bool norm = true, rotate = true;
    double theta = 1e4, factor = 1;
    std::vector<shader::Row> rows;
    uint32_t capacity = 16;
    float size = 4;
};

// A half rounds to either neighbour (Vulkan 1.3, "Precision and Operation of SPIR-V Instructions"),
// an int8 to half of a step, and its scale, the block's largest over 127, is a half. Floats: sine
// and cosine to 2e-7, a normalised value of up to 16, two products and a sum.
std::string compare_plane(const char* plane, KvType type, const HeadShape& shape,
                          const std::vector<double>& want, const std::vector<uint32_t>& words) {
    const std::vector<float> values = kv_values(type, shape, words);
    const uint32_t padded = shape.padded_dim(), each = kv_head_bytes(type, shape) / 4;
    for (size_t i = 0; i < want.size(); ++i) {
        if (std::isnan(want[i])) {  // not this run's to write
            const auto own = std::span(words).subspan(i / padded * each, each);
            if (std::ranges::any_of(own, [](uint32_t word) { return word != kPoison; }))
                return format_text("%s: slot value %zu is written, though no row has it", plane, i);
            continue;
        }
        const double size = std::abs(want[i]);
        double bar = 8e-6 * std::max(1.0, size);
        if (type == KvType::f16)
            bar += std::max(size * 0x1p-10, 0x1p-24);
        if (type == KvType::q8_0) {
            constexpr size_t kBlock = 32;
            const size_t first = i / padded * padded + i % padded / kBlock * kBlock;
            for (size_t k = first; k < std::min(first + kBlock, (i / padded + 1) * padded); ++k)
                bar = std::max(bar, std::abs(want[k]) / 127 * (0.5 + 127 * 0x1p-10) + 8e-6);
        }
        if (!(std::abs(values[i] - want[i]) <= bar))
            return format_text("%s: value %zu is %g, not %g", plane, i, double(values[i]), want[i]);
    }
    return {};
}

void build(Scene& scene, const Rope& c) {
    const HeadShape& shape = c.heads.shape;
    const uint32_t width = shape.head_dim, padded = shape.padded_dim();
    const uint32_t count = static_cast<uint32_t>(c.rows.size());
    const uint32_t heads = shape.heads + 2 * shape.kv_heads;
    constexpr double kEps = 1e-6;
    constexpr float kQueryScale = 0.0625f;
    const std::vector<float> qkv =
        random_floats(size_t{count} * heads * width, -c.size, c.size, scene.seed);
    const std::vector<float> norms = random_floats(2 * width, -1, 1, scene.seed + 1);
    uint32_t sequences = 1, positions = 1;
    for (const shader::Row& row : c.rows) {
        sequences = std::max(sequences, row.sequence + 1);
        positions = std::max(positions, row.position + 1);
    }
    const size_t plane = size_t{sequences} * c.capacity * shape.kv_heads * padded;
    std::vector<double> want_q, want_keys(plane, NAN), want_values(plane, NAN);
    for (uint32_t r = 0; r < count; ++r) {
        for (uint32_t h = 0; h < heads; ++h) {
            const float* from = qkv.data() + (size_t{r} * heads + h) * width;
            std::vector<double> head(from, from + width);
            const bool is_query = h < shape.heads, is_value = h >= shape.heads + shape.kv_heads;
            if (!is_value && c.norm)
                head = rms_norm(head, std::span(norms).subspan(is_query ? 0 : width, width), kEps);
            if (!is_value && c.rotate)
                head = rope(head, c.rows[r].position, c.theta, c.factor);
            head.resize(padded, 0.0);  // zeros, so that attention can read whole vectors
            if (is_query) {
                for (const double value : head)
                    want_q.push_back(value * double{kQueryScale});
                continue;
            }
            const size_t slot = c.rows[r].sequence * size_t{c.capacity} +
                                c.rows[r].position % c.capacity;
            const size_t at = (slot * shape.kv_heads + (h - shape.heads) % shape.kv_heads) * padded;
            std::copy(head.begin(), head.end(),
                      (is_value ? want_values : want_keys).begin() + static_cast<ptrdiff_t>(at));
        }
    }

    const Activation in = scene.input_rows("qkv", count, heads * width, qkv);
    const Slice rows = scene.input("rows", c.rows), weights = scene.input("norms", norms);
    const Slice q = scene.output("q", std::move(want_q), {1e-11, 1e-4});
    const std::vector<uint32_t> poison(plane / padded * kv_head_bytes(c.type, shape) / 4, kPoison);
    const Slice keys = scene.scratch("keys", poison), values = scene.scratch("values", poison);
    const KvLayer layer = KvLayer::ring(keys, values, c.type, c.capacity, 0);
    const auto table = std::make_shared<RopeTable>(scene.device, width, c.theta, c.factor, positions);
    scene.record([&scene, in, rows, weights, q, layer, table, shape, c](Recorder& recorder) {
        scene.ops.rope_store.record(recorder, in, rows, c.rotate ? table.get() : nullptr,
                                    c.norm ? weights : Slice{}, shape, kQueryScale,
                                    static_cast<float>(kEps), q, layer);
    });
    scene.check([&scene, type = c.type, shape, want_keys, want_values] {
        const std::string text =
            compare_plane("keys", type, shape, want_keys, scene.read<uint32_t>("keys"));
        return text.empty() ? compare_plane("values", type, shape, want_values,
                                            scene.read<uint32_t>("values"))
                            : text;
    });
}

void add_rope(std::vector<Case>& cases, Rope c, const std::string& remark,
              Quick quick = Quick::no) {
    Case one;
    one.op = one.work = "rope_store";
    one.name = std::string(name(c.type)) + " " + c.heads.name + ", " + remark;
    one.has_storage16 = c.type == KvType::f16;
    one.wide = false;
    one.quick = quick;
    one.build = [c = std::move(c)](Scene& scene) { build(scene, c); };
    cases.push_back(std::move(one));
}

// ---- attention -----------------------------------------------------------------------------------

struct Attend {
    Heads heads;
    KvType type = KvType::f32;
    uint32_t window = 0;  // 0 = all
    float cap = 0;
    uint32_t capacity = 0;  // 0 = as many as there are positions
    bool paged = false;     // no ring
    std::vector<shader::Row> rows;
    bool decode = false;
    float query_size = 1, value_size = 1;
};

bool visible(const Attend& c, const shader::Row& row, uint32_t key) {
    const uint32_t distance = key > row.position ? key - row.position : row.position - key;
    return key <= row.last_visible && (c.window == 0 || distance < c.window);
}

// Probabilities of some hundred keys and their weighted values. The reference sees the same halves
// as the shader, so only sums in f32 differ, or, on the rungs above, operands rounded to f16.
Bar bar_of(const Scene& scene, const Attend& c) {
    // Scores of hundreds, rounded to 11 bits, move probabilities by as much.
    if (scene.ops.attention.rung(c.heads.shape, c.type, c.decode))
        return c.query_size > 1 ? Bar{1e-2, 2} : Bar{4e-6, 0.02};
    return c.query_size > 1 ? Bar{1e-8, 1e-2} : Bar{1e-10, 1e-3};
}

void build(Scene& scene, const Attend& c) {
    const HeadShape& shape = c.heads.shape;
    const uint32_t width = shape.head_dim, padded = shape.padded_dim();
    const uint32_t count = static_cast<uint32_t>(c.rows.size());
    uint32_t sequences = 1, length = 1;
    for (const shader::Row& row : c.rows) {
        sequences = std::max(sequences, row.sequence + 1);
        length = std::max({length, row.position + 1, row.last_visible + 1});
    }
    const uint32_t capacity = c.capacity ? c.capacity : length;
    // Pages lie in reverse.
    const uint32_t pages = c.paged ? (length + KvLayer::kPage - 1) / KvLayer::kPage : 0;
    std::vector<uint32_t> table;
    for (uint32_t page = sequences * pages; page-- > 0;)
        table.push_back(page);
    const auto slot = [&](uint32_t sequence, uint32_t position) {
        return c.paged ? table[sequence * pages + position / KvLayer::kPage] * KvLayer::kPage +
                             position % KvLayer::kPage
                       : sequence * capacity + position % capacity;
    };

    // Keys and values of each sequence by position; the ring holds those that a row sees, and what
    // is not a number everywhere else, so that one look shows.
    const size_t each = size_t{sequences} * length * shape.kv_heads * width;
    const std::vector<float> keys = cache_values(c.type, shape, each, 1, scene.seed);
    const std::vector<float> values = cache_values(c.type, shape, each, c.value_size, scene.seed + 1);
    const size_t plane =
        size_t{sequences} * (c.paged ? pages * KvLayer::kPage : capacity) * shape.kv_heads * padded;
    std::vector<float> key_plane(plane, NAN), value_plane(plane, NAN);
    for (uint32_t s = 0; s < sequences; ++s) {
        for (uint32_t p = 0; p < length; ++p) {
            const bool needed =
                std::any_of(c.rows.begin(), c.rows.end(), [&](const shader::Row& row) {
                    return row.sequence == s && visible(c, row, p);
                });
            for (uint32_t h = 0; needed && h < shape.kv_heads; ++h) {
                const size_t from = ((size_t{s} * length + p) * shape.kv_heads + h) * width;
                const size_t to = (size_t{slot(s, p)} * shape.kv_heads + h) * padded;
                std::fill_n(key_plane.begin() + to, padded, 0.0f);
                std::fill_n(value_plane.begin() + to, padded, 0.0f);
                std::copy_n(keys.begin() + from, width, key_plane.begin() + to);
                std::copy_n(values.begin() + from, width, value_plane.begin() + to);
            }
        }
    }

    const std::vector<float> queries = random_floats(
        size_t{count} * shape.heads * width, -c.query_size, c.query_size, scene.seed + 2);
    std::vector<float> q(size_t{count} * shape.heads * padded, 0.0f);
    std::vector<double> want;
    const uint32_t group = shape.heads / shape.kv_heads;
    for (uint32_t r = 0; r < count; ++r) {
        const shader::Row& row = c.rows[r];
        std::vector<uint32_t> seen;
        for (uint32_t p = 0; p <= row.last_visible; ++p)
            if (visible(c, row, p))
                seen.push_back(p);
        for (uint32_t h = 0; h < shape.heads; ++h) {
            const float* from = queries.data() + (size_t{r} * shape.heads + h) * width;
            std::copy_n(from, width, q.begin() + (size_t{r} * shape.heads + h) * padded);
            const std::vector<double> query(from, from + width);
            std::vector<double> k(size_t{length} * width), v(size_t{length} * width);
            for (const uint32_t p : seen) {
                const size_t at =
                    ((size_t{row.sequence} * length + p) * shape.kv_heads + h / group) * width;
                std::copy_n(keys.begin() + at, width, k.begin() + size_t{p} * width);
                std::copy_n(values.begin() + at, width, v.begin() + size_t{p} * width);
            }
            for (const double value : attention(query, k, v, seen, c.cap))
                want.push_back(value);
        }
    }

    const Slice queries_at = scene.input("q", q), rows = scene.input("rows", c.rows);
    const Slice keys_at = scene.input("keys", kv_words(c.type, shape, key_plane)),
                values_at = scene.input("values", kv_words(c.type, shape, value_plane));
    KvLayer layer = KvLayer::ring(keys_at, values_at, c.type, capacity, c.window);
    if (c.paged) {
        layer.pages = pages;
        layer.pieces.front().pages = scene.input("pages", table);
    }
    const Activation dst = scene.output_rows("dst", count, shape.heads * width, std::move(want),
                                             bar_of(scene, c));
    const Slice parts = scene.scratch(
        "parts", std::vector<uint32_t>(Attention::parts_bytes(shape, count) / 4, kPoison));
    const std::vector<uint32_t> zeros(size_t{count} * shape.kv_heads);
    const Slice arrivals = scene.output_words("arrivals", zeros, zeros);
    scene.cost(0, 4.0 * count * shape.heads * width * std::min(length, c.window ? c.window : length));
    scene.record([&scene, queries_at, rows, layer, dst, parts, arrivals, shape, cap = c.cap,
                  decode = c.decode](Recorder& recorder) {
        if (decode)
            scene.ops.attention.record_decode(recorder, queries_at, layer, rows, {}, shape, cap, dst,
                                              {parts, arrivals});
        else
            scene.ops.attention.record_prefill(recorder, queries_at, layer, rows, shape, cap, dst,
                                               {parts, arrivals});
    });
}

void add_attend(std::vector<Case>& cases, Attend c, const std::string& remark,
              Quick quick = Quick::no) {
    Case one;
    one.op = "attention";
    one.work = Attention::work(c.heads.shape, c.type, c.decode);
    one.name = std::string(name(c.type)) + " " + c.heads.name + ", " + remark;
    one.rungs = Attention::candidates(c.type, c.decode);
    one.rung = [c](const Ops& ops) {
        return ops.attention.rung(c.heads.shape, c.type, c.decode);
    };
    one.has_storage16 = c.type == KvType::f16;
    one.quick = quick;
    for (const shader::Row& row : c.rows)
        one.flops += 4.0 * c.heads.shape.heads * c.heads.shape.head_dim *
                     (c.window ? std::min(c.window, row.position + 1) : row.position + 1);
    one.build = [c = std::move(c)](Scene& scene) { build(scene, c); };
    cases.push_back(std::move(one));
}

}  // namespace

void add_attention_cases(std::vector<Case>& cases) {
    for (const KvType type : {KvType::f32, KvType::f16}) {
        add_rope(cases, {.heads = kNarrow, .type = type, .rows = consecutive(0, 9)}, "9 rows",
                 Quick::rungs);
        add_rope(cases, {.heads = kNarrow, .type = type, .rows = {row_at(3, 2), row_at(9), row_at(0, 1)}},
            "3 sequences", Quick::once);
        add_rope(cases, {.heads = kNarrow, .type = type, .rows = consecutive(40, 13)},
            "a ring that wraps");
        add_rope(cases, {.heads = kNarrow, .type = type, .rows = consecutive(0, 4),
                    .size = type == KvType::f32 ? 1e5f : 5e4f},
            "large values");
        for (const Heads& heads : kPublished) {
            add_rope(cases, {.heads = heads, .type = type, .rows = consecutive(1000, 5)}, "local");
            add_rope(cases, {.heads = heads, .type = type, .theta = 1e6, .factor = 8,
                        .rows = {row_at(131071)}}, "global, position 131071");
        }
        for (const Heads& heads : {kNarrow, kPublished[0]}) {
            for (const uint32_t count : {1u, 2u, 9u, 33u})
                add_attend(cases, {.heads = heads, .type = type, .rows = consecutive(0, count)},
                    format_text("a prompt of %u", count),
                    count == 9 && type == KvType::f16 && heads.shape.head_dim == 18 ? Quick::rungs
                                                                                    : Quick::no);
            for (const uint32_t first : {7u, 61u})
                for (const float cap : {0.0f, 0.5f})
                    add_attend(cases, {.heads = heads, .type = type, .cap = cap,
                                .rows = consecutive(first, 17)},
                        format_text("17 rows after %u%s", first, cap > 0 ? ", soft cap" : ""));
        }
        for (const uint32_t window : {1u, 8u, 512u, 1024u})
            for (const uint32_t first : {window - 1, 2 * window + 5})
                add_attend(cases, {.heads = kNarrow, .type = type, .window = window,
                            .capacity = window + 12, .rows = consecutive(first, 13)},
                    format_text("window %u, 13 rows after %u in a ring", window, first),
                    window == 8 && type == KvType::f16 ? Quick::rungs : Quick::no);
        for (const Heads& heads : kPublished) {
            add_attend(cases, {.heads = heads, .type = type, .window = 512, .capacity = 575,
                        .rows = consecutive(700, 64)}, "64 rows in a window of 512");
            add_attend(cases, {.heads = heads, .type = type, .window = 1024, .capacity = 1087,
                        .rows = {row_at(1500)}, .decode = true}, "decode in a window of 1024");
        }
        std::vector<shader::Row> pictures = consecutive(5, 24);  // two pictures among text
        for (uint32_t i = 3; i < 20; ++i)
            pictures[i].last_visible = 5 + (i < 14 ? 13 : 19);
        for (const uint32_t window : {0u, 8u})
            add_attend(cases, {.heads = kNarrow, .type = type, .window = window, .rows = pictures},
                format_text("two pictures%s", window ? ", window 8" : ""),
                       type == KvType::f16 ? Quick::once : Quick::no);
        add_attend(cases, {.heads = kNarrow, .type = type, .rows = {row_at(9, 2), row_at(0), row_at(70, 1)},
                    .decode = true}, "decode, 3 sequences",
                   type == KvType::f16 ? Quick::once : Quick::no);
        add_attend(cases, {.heads = kNarrow, .type = type, .paged = true, .rows = consecutive(60, 70)},
            "70 rows after 60 in pages", type == KvType::f16 ? Quick::rungs : Quick::no);
        add_attend(cases, {.heads = kPublished[1], .type = type, .rows = {row_at(300)}, .decode = true},
            "decode, masked but for 301 keys");
        add_attend(cases, {.heads = kNarrow, .type = type, .rows = consecutive(0, 20),
                    .query_size = 100}, "scores of hundreds");
    }
    constexpr KvType kQuantised = KvType::q8_0;
    for (const Heads& heads : {kNarrow, kPublished[0]}) {
        add_rope(cases, {.heads = heads, .type = kQuantised, .rows = consecutive(40, 13)},
                 "a ring that wraps", Quick::rungs);
        add_attend(cases, {.heads = heads, .type = kQuantised, .rows = consecutive(7, 17)}, "17 rows after 7",
                   Quick::rungs);
        add_attend(cases, {.heads = heads, .type = kQuantised, .window = 8, .capacity = 20,
                           .rows = consecutive(21, 13)}, "window 8, 13 rows after 21 in a ring");
        add_attend(cases,
                   {.heads = heads,
                    .type = kQuantised,
                    .rows = {row_at(9, 2), row_at(0), row_at(70, 1)},
                    .decode = true},
                   "decode, 3 sequences");
    }
    for (const uint32_t patches : {1u, 25u, 70u}) {  // a picture's patches see each other, in f32
        std::vector<shader::Row> rows = consecutive(0, patches);
        for (shader::Row& row : rows)
            row.last_visible = patches - 1;
        add_attend(cases, {.heads = kPicture, .rows = rows}, format_text("%u patches", patches),
                   patches == 70 ? Quick::once : Quick::no);
        add_attend(cases, {.heads = kPicture, .rows = rows, .value_size = 1e5f},
            format_text("%u patches, values of 1e5", patches));
    }
    add_rope(cases, {.heads = kPicture, .norm = false, .rotate = false, .rows = consecutive(0, 9)},
        "patches, no rotation");
}

void add_attention_checks(std::vector<Case>& cases, const Workload& workload) {
    const Heads heads = {"heads of the model", workload.heads};
    add_rope(cases, {.heads = heads, .type = workload.kv, .norm = workload.qk_norm,
                     .rows = consecutive(0, 3)}, "3 rows");
    add_attend(cases, {.heads = heads, .type = workload.kv, .cap = workload.softcap,
                       .rows = consecutive(5, 9)}, "9 rows");
    add_attend(cases, {.heads = heads, .type = workload.kv, .cap = workload.softcap,
                       .rows = {row_at(40)}, .decode = true}, "decode");
}

}  // namespace olivine::selftest
