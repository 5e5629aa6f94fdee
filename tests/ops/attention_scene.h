// A case of attention on a device: buffers with canaries, and what the formula says.
#pragma once

#include <algorithm>
#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <vector>

#include "engine/selftest/guarded.h"
#include "engine/selftest/kv_plane.h"
#include "tests/support/kv.h"
#include "engine/selftest/reference.h"
#include "shaders/params.h"
#include "tests/support/device.h"

namespace olivine::test::attention_cases {

// Probabilities of some hundred keys and an output of their weighted values: bars for the
// normalised mean squared error, and for the largest error in terms of the output's root mean
// square, which a single wrong row would pass unseen.
// f32: measured 3e-14 at most with f32 and f16 caches alike (the reference sees the halves' values).
// Halves as operands, on lavapipe's coopmat: measured 7.7e-7 and 3.6e-3, where scores reach 50.
struct Bar {
    double nmse, largest;
};
constexpr Bar kBar{1e-10, 1e-4}, kHalvesBar{3e-6, 1.5e-2};

struct Case {
    HeadShape shape;
    KvType type = KvType::f32;
    uint32_t window = 0;  // 0 = all
    float cap = 0;
    uint32_t capacity = 0;  // 0 = as many as there are positions
    bool paged = false;     // no ring
    std::vector<shader::Row> rows;
    // What the random values in [-1, 1) are multiplied by; and keys' and values' once more by up to
    // 32, by their position.
    float q_scale = 1, key_scale = 1, value_scale = 1;
    bool uneven = false;
};

inline shader::Row row_at(uint32_t position, uint32_t sequence = 0) {
    return {.token = 0, .position = position, .sequence = sequence, .last_visible = position};
}

inline std::vector<shader::Row> consecutive(uint32_t first, uint32_t count) {
    std::vector<shader::Row> rows;
    for (uint32_t i = 0; i < count; ++i)
        rows.push_back(row_at(first + i));
    return rows;
}

// Rungs that keep all arithmetic f32.
const RungSet kPlainRungs = RungSet::parse("subgroup,storage16");

// A case's buffers. Slots that no row may look at are not numbers, so that one look shows.
class Scene {
public:
    Scene(OpTest& test, const Case& c)
        : case_(c),
          bar_(test.device.capabilities().enabled.without(kPlainRungs).empty() ? kBar : kHalvesBar),
          count_(static_cast<uint32_t>(c.rows.size())),
          sequences_(sequences(c)),
          length_(length(c)),
          kv(test.device, c.shape, c.type, sequences_, c.capacity ? c.capacity : length_, c.window,
             c.paged),
          q(test.device, uint64_t{count_} * c.shape.heads * c.shape.padded_dim() * 4),
          rows(guarded(test.device, c.rows)),
          dst(test.device, count_, c.shape.heads * c.shape.head_dim),
          parts(test.device, Attention::parts_bytes(c.shape, count_)),
          arrivals(guarded(test.device, std::vector<uint32_t>(size_t{count_} * c.shape.kv_heads))) {
        fill();
    }

    bool halves() const { return bar_.nmse == kHalvesBar.nmse; }  // as operands
    AttentionScratch scratch() const { return {parts.slice(), arrivals.slice()}; }

    void check() const {
        check_values(want_, dst.read());
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
        check_values(std::span(want_).subspan(first * width, count * width),
                     std::span(got).subspan(first * width, count * width));
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
    void check_values(std::span<const double> want, std::span<const float> got) const {
        double squares = 0;
        for (const double value : want)
            squares += value * value;
        const double rms = std::sqrt(squares / static_cast<double>(want.size()));
        CHECK(nmse(want, got) < bar_.nmse);
        CHECK(max_abs_error(want, got) < bar_.largest * rms);
    }
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
        const size_t token = size_t{shape.kv_heads} * width;
        const auto random = [&](float scale, uint32_t seed) {
            std::vector<float> values = random_floats(sequences_ * length_ * token, -1, 1, seed);
            for (size_t i = 0; i < values.size(); ++i) {
                if (case_.type == KvType::f16)
                    values[i] = std::round(values[i] * 1024) / 1024;  // a half holds it exactly
                values[i] *= scale * (case_.uneven ? std::exp2(i / token / 8 % 6) : 1);
            }
            return case_.type == KvType::q8_0 ? selftest::kv_rounded(case_.type, shape, values) : values;
        };
        const std::vector<float> keys = random(case_.key_scale, 1);
        const std::vector<float> values = random(case_.value_scale, 2);
        std::vector<float> queries = random_floats(size_t{count_} * shape.heads * width, -1, 1, 3);
        for (float& value : queries)
            value *= case_.q_scale;

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
    Bar bar_;
    uint32_t count_, sequences_, length_;
    std::vector<double> want_;

public:
    GuardedKv kv;
    Guarded q, rows;
    GuardedRows dst;
    Guarded parts, arrivals;
};

}  // namespace olivine::test::attention_cases
