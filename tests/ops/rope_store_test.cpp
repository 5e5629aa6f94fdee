#include <algorithm>
#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <cmath>

#include "shaders/params.h"
#include "tests/support/device.h"
#include "engine/selftest/guarded.h"
#include "tests/support/kv.h"
#include "engine/selftest/reference.h"

namespace olivine::test {
namespace {

constexpr double kEps = 1e-6;

struct Case {
    HeadShape shape;
    KvType type = KvType::f32;
    bool norm = true, rotate = true;
    double theta = 10000, factor = 1;
    uint32_t sequences = 1, capacity = 16;
    bool paged = false;  // no ring
    std::vector<shader::Row> rows;
};

std::vector<shader::Row> consecutive(uint32_t first, uint32_t count) {
    std::vector<shader::Row> rows;
    for (uint32_t i = 0; i < count; ++i)
        rows.push_back(
            {.token = 0, .position = first + i, .sequence = 0, .last_visible = first + i});
    return rows;
}

// What a cache of this type makes of value i of a plane: halves have 11 bits, and packHalf2x16 may round to
// either neighbour (Vulkan 1.3, "Precision and Operation of SPIR-V Instructions"); q8_0 has 127 steps up to
// the largest of 32, and the last is off by as much as their scale, a half of either neighbour.
double tolerance(KvType type, const HeadShape& shape, const std::vector<double>& plane, size_t i) {
    if (type == KvType::f32)
        return 0;
    if (type == KvType::f16)
        return std::max(std::abs(plane[i]) * 0x1p-10, 0x1p-24);
    constexpr size_t kBlock = 32;
    const size_t padded = shape.padded_dim(), head = i / padded * padded;
    const size_t first = head + i % padded / kBlock * kBlock;
    double largest = 0;
    for (size_t k = first; k < std::min(first + kBlock, head + padded); ++k)
        largest = std::max(largest, std::abs(plane[k]));
    return largest / 127 * (0.5 + 127 * 0x1p-10);
}

void check(OpTest& test, const Case& c) {
    const HeadShape& shape = c.shape;
    const uint32_t width = shape.head_dim, padded = shape.padded_dim();
    const uint32_t count = static_cast<uint32_t>(c.rows.size());
    const uint32_t fused = (shape.heads + 2 * shape.kv_heads) * width;
    uint32_t positions = 0;
    for (const shader::Row& row : c.rows)
        positions = std::max(positions, row.position + 1);
    CAPTURE(width, shape.heads, shape.kv_heads, c.norm, c.rotate, positions);  // seeds 1 and 2
    const std::vector<float> qkv = random_floats(size_t{count} * fused, -4, 4, 1);
    const std::vector<float> norms = random_floats(2 * width, -1, 1, 2);
    const RopeTable table(test.device, width, c.theta, c.factor, positions);
    GuardedRows in(test.device, count, fused, qkv);
    Guarded rows = guarded(test.device, c.rows), weights = guarded(test.device, norms);
    Guarded q(test.device, uint64_t{count} * shape.heads * padded * 4);
    GuardedKv kv(test.device, shape, c.type, c.sequences, c.capacity, 0, c.paged);
    const std::vector<float> keys_before = kv.read_keys(), values_before = kv.read_values();
    constexpr float kQueryScale = 0.0625f;

    run(test.device, [&](Recorder& recorder) {
        test.ops.rope_store.record(recorder, in.activation(), rows.slice(),
                                   c.rotate ? &table : nullptr, c.norm ? weights.slice() : Slice{},
                                   shape, kQueryScale, static_cast<float>(kEps), q.slice(),
                                   kv.layer());
    });

    const std::vector<float> got_q = q.read<float>();
    const std::vector<float> got_keys = kv.read_keys(), got_values = kv.read_values();
    std::vector<double> want_q, want_keys(keys_before.begin(), keys_before.end()),
        want_values(values_before.begin(), values_before.end());
    for (uint32_t r = 0; r < count; ++r) {
        for (uint32_t h = 0; h < shape.heads + 2 * shape.kv_heads; ++h) {
            const float* from = qkv.data() + size_t{r} * fused + size_t{h} * width;
            std::vector<double> head(from, from + width);
            const bool is_query = h < shape.heads, is_value = h >= shape.heads + shape.kv_heads;
            if (!is_value) {
                if (c.norm)
                    head =
                        rms_norm(head, std::span(norms).subspan(is_query ? 0 : width, width), kEps);
                if (c.rotate)
                    head = rope(head, c.rows[r].position, c.theta, c.factor);
            }
            head.resize(padded, 0.0);  // zeros, so that attention can read whole vectors
            if (is_query) {
                for (const double value : head)
                    want_q.push_back(value * double{kQueryScale});
                continue;
            }
            const uint32_t kv_head = (h - shape.heads) % shape.kv_heads;
            std::vector<double>& plane = is_value ? want_values : want_keys;
            std::copy(head.begin(), head.end(),
                      plane.begin() + static_cast<ptrdiff_t>(kv.index(
                                          c.rows[r].sequence, c.rows[r].position, kv_head)));
        }
    }
    // Measured 3e-7 of values up to 8: sine and cosine to 2e-7, two products and a sum.
    CHECK(max_abs_error(want_q, got_q) < 2e-6 * kQueryScale * 8);
    uint32_t wrong = 0;
    const auto count_wrong = [&](const std::vector<double>& want, const std::vector<float>& got,
                                 const std::vector<float>& before) {
        for (size_t i = 0; i < want.size(); ++i) {
            const bool untouched = std::isnan(want[i]) && std::bit_cast<uint32_t>(got[i]) ==
                                                              std::bit_cast<uint32_t>(before[i]);
            wrong += !untouched &&
                     !(std::abs(got[i] - want[i]) <=
                       tolerance(c.type, shape, want, i) + 8e-6 * std::max(1.0, std::abs(want[i])));
        }
    };
    count_wrong(want_keys, got_keys, keys_before);
    CHECK(wrong == 0);
    count_wrong(want_values, got_values, values_before);
    CHECK(wrong == 0);
    CHECK(q.intact());
    CHECK(kv.intact());
}

}  // namespace

TEST_CASE("rope_store norms, rotates and stores", "[op][rope_store]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, name(type));
    OpTest test(variant);
    for (const uint32_t width : {2u, 18u, 32u, 128u, 256u})
        for (const auto& [heads, kv_heads] : {std::pair{1u, 1u}, {4u, 2u}, {8u, 1u}})
            check(test,
                  {.shape = {heads, kv_heads, width}, .type = type, .rows = consecutive(5, 3)});
}

TEST_CASE("rope_store without norms, as in Gemma 2", "[op][rope_store]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, name(type));
    OpTest test(variant);
    check(test, {.shape = {4, 2, 18}, .type = type, .norm = false, .rows = consecutive(3, 4)});
    check(test, {.shape = {2, 1, 256}, .type = type, .norm = false, .rows = consecutive(0, 1)});
}

TEST_CASE("rope_store without rotation, as pictures take it", "[op][rope_store]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, name(type));
    OpTest test(variant);
    constexpr uint32_t kPatches = 9;
    std::vector<shader::Row> rows;  // two pictures
    for (uint32_t i = 0; i < 2 * kPatches; ++i)
        rows.push_back({.token = 0,
                        .position = i % kPatches,
                        .sequence = i / kPatches,
                        .last_visible = kPatches - 1});
    Case c{.type = type, .norm = false, .rotate = false, .sequences = 2, .capacity = kPatches};
    c.rows = rows;
    for (const HeadShape& shape :
         {HeadShape{1, 1, 2}, HeadShape{3, 3, 18}, HeadShape{2, 2, 24}, HeadShape{16, 16, 72}}) {
        c.shape = shape;
        check(test, c);
    }
    // Beyond what a table of one step would hold, and with norms.
    check(test, {.shape = {4, 2, 18},
                 .type = type,
                 .norm = true,
                 .rotate = false,
                 .rows = consecutive(5000, 3)});
}

TEST_CASE("rope_store wraps around a ring and keeps sequences apart", "[op][rope_store]") {
    const auto [variant, type] = GENERATE(from_range(kv_variants()));
    CAPTURE(variant, name(type));
    OpTest test(variant);
    // Slots 9, 10, 0, 1, 2; the other slots keep what they had.
    check(test, {.shape = {2, 2, 18}, .type = type, .capacity = 11, .rows = consecutive(31, 5)});
    std::vector<shader::Row> rows;  // a decode step of three sequences
    rows.push_back({.token = 0, .position = 100, .sequence = 2, .last_visible = 100});
    rows.push_back({.token = 0, .position = 0, .sequence = 0, .last_visible = 0});
    rows.push_back({.token = 0, .position = 12, .sequence = 1, .last_visible = 12});
    check(test, {.shape = {4, 1, 32}, .type = type, .sequences = 3, .capacity = 7, .rows = rows});
    check(test,
          {.shape = {4, 1, 32}, .type = type, .sequences = 3, .capacity = 101, .paged = true, .rows = rows});
}

TEST_CASE("rope_store's sines are right at far positions", "[op][rope_store]") {
    const std::string variant = GENERATE(from_range(variants()));
    const uint32_t position = GENERATE(0u, 1u, 1023u, 1024u, 1025u, 131071u, 999999u);
    const auto [theta, factor] =
        GENERATE(table<double, double>({{10000.0, 1.0}, {1000000.0, 8.0}}));
    CAPTURE(variant, position, theta, factor);
    OpTest test(variant);
    constexpr uint32_t kWidth = 256;
    const RopeTable table(test.device, kWidth, theta, factor, position + 1);
    CHECK(table.slice().bytes == RopeTable::bytes(kWidth, position + 1));
    // A head of ones, then zeros: the rotation shows every cosine, then every sine.
    std::vector<float> qkv(3 * kWidth, 0.0f);
    std::fill_n(qkv.begin(), kWidth / 2, 1.0f);
    const HeadShape shape{1, 1, kWidth};
    GuardedRows in(test.device, 1, 3 * kWidth, qkv);
    Guarded rows = guarded(test.device, consecutive(position, 1));
    Guarded q(test.device, kWidth * 4);
    GuardedKv kv(test.device, shape, KvType::f32, 1, 4, 0);

    run(test.device, [&](Recorder& recorder) {
        test.ops.rope_store.record(recorder, in.activation(), rows.slice(), &table, {}, shape, 1, 0,
                                   q.slice(), kv.layer());
    });

    std::vector<double> want(kWidth);
    for (uint32_t i = 0; i < kWidth / 2; ++i) {
        const double angle = rope_angle(position, i, kWidth, theta, factor);
        want[i] = std::cos(angle);
        want[i + kWidth / 2] = std::sin(angle);
    }
    CHECK(max_abs_error(want, q.read<float>()) <= 1e-6);  // measured 2e-7
    CHECK(q.intact());
}

}  // namespace olivine::test
