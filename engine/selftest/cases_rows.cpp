// Cases of what works row by row: the norms, embed, and the picture encoder's ends.
#include <algorithm>
#include <cmath>

#include "engine/selftest/cases.h"
#include "engine/selftest/startup.h"
#include "shaders/params.h"

namespace olivine::selftest {
namespace {

constexpr DataType kTypes[] = {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0,
                               DataType::q4_0};
// Sums of 5376 squares, a square root and three products, in f32; a fast inversesqrt is 2 ulp off.
constexpr Bar kNormBar = {1e-12, 1e-4};
constexpr float kEps = 1e-6f;

struct Rows {
    uint32_t rows, cols;
};
// One element, widths that no workgroup divides, those of the published models.
constexpr Rows kRows[] = {{1, 1},   {3, 7},    {2, 255},  {70, 33},
                          {5, 640}, {5, 1152}, {5, 2560}, {5, 3840}, {5, 5376}};

Case row_case(const std::string& op, const std::string& name, Quick quick,
              std::function<void(Scene&)> build) {
    return {.op = op, .name = name, .work = op, .quick = quick, .build = std::move(build)};
}

std::string text_of(const Rows& shape) { return format_text("%ux%u", shape.rows, shape.cols); }

// Values of a size, among them -0 and, beside larger ones, subnormal numbers, which a device may take
// for zeros.
std::vector<float> values_of(const Rows& shape, float size, uint32_t seed) {
    std::vector<float> values = random_floats(size_t{shape.rows} * shape.cols, -size, size, seed);
    for (size_t i = 16; i < values.size(); i += 17)
        values[i] = i % 2 ? -0.0f : size * 1e-41f;
    return values;
}

// ---- norms -----------------------------------------------------------------------------------------

void build_rms_norm(Scene& scene, const Rows& shape, float size) {
    const std::vector<float> src = values_of(shape, size, scene.seed);
    const std::vector<float> weight = random_floats(shape.cols, -1, 1, scene.seed + 1);
    const Activation s = scene.input_rows("src", shape.rows, shape.cols, src);
    const Slice w = scene.input("weight", weight);
    const Activation d = scene.output_rows("dst", shape.rows, shape.cols,
                                           rms_norm(src, weight, kEps), kNormBar);
    scene.cost(8.0 * src.size(), 4.0 * src.size());
    scene.record([&scene, s, w, d](Recorder& recorder) {
        scene.ops.rms_norm.record(recorder, s, w, d, kEps);
    });
}

void build_residual_norm(Scene& scene, const Rows& shape, float size) {
    const std::vector<float> branch = values_of(shape, size, scene.seed);
    const std::vector<float> stream = values_of(shape, size, scene.seed + 1);
    const std::vector<float> post = random_floats(shape.cols, -1, 1, scene.seed + 2);
    const std::vector<float> next = random_floats(shape.cols, -1, 1, scene.seed + 3);
    std::vector<double> sum = rms_norm(branch, post, kEps);
    for (size_t i = 0; i < sum.size(); ++i)
        sum[i] += stream[i];
    const std::vector<double> want = rms_norm(std::span<const double>(sum), next, kEps);
    const Activation b = scene.input_rows("branch", shape.rows, shape.cols, branch);
    std::vector<float> both = post;
    both.insert(both.end(), next.begin(), next.end());
    const Slice n = scene.input("norms", both);
    const Activation s =
        scene.output_rows("stream", shape.rows, shape.cols, stream, sum, kNormBar);
    const Activation d = scene.output_rows("dst", shape.rows, shape.cols, want, kNormBar);
    scene.cost(16.0 * branch.size(), 9.0 * branch.size());
    scene.record([&scene, b, n, s, d](Recorder& recorder) {
        scene.ops.residual_norm.record(recorder, b, n, s, d, kEps);
    });
}

void build_layer_norm(Scene& scene, const Rows& shape, float size, float mean) {
    std::vector<float> src = values_of(shape, size, scene.seed);
    for (float& value : src)
        value += mean;
    const std::vector<float> weight = random_floats(shape.cols, -1, 1, scene.seed + 1);
    const std::vector<float> bias = random_floats(shape.cols, -1, 1, scene.seed + 2);
    const Activation s = scene.input_rows("src", shape.rows, shape.cols, src);
    const Slice w = scene.input("weight", weight), b = scene.input("bias", bias);
    // The mean takes its share of the digits.
    const double lost = std::abs(double{mean}) / size;
    const Activation d = scene.output_rows(
        "dst", shape.rows, shape.cols, layer_norm(src, weight, bias, kEps),
        {kNormBar.nmse * (1 + lost * lost), kNormBar.largest * (1 + lost)});
    scene.cost(8.0 * src.size(), 8.0 * src.size());
    scene.record([&scene, s, w, b, d](Recorder& recorder) {
        scene.ops.layer_norm.record(recorder, s, w, b, d, kEps);
    });
}

// ---- embed -----------------------------------------------------------------------------------------

void build_embed(Scene& scene, DataType type, uint32_t vocab, uint32_t cols) {
    const FileRows table = random_rows(type, vocab, cols, scene.seed);
    constexpr float kScale = 25.25f;  // a published sqrt(640), as bf16
    std::vector<shader::Row> rows;
    for (const uint32_t id : random_words(11, scene.seed + 1))
        rows.push_back({.token = id % vocab, .position = 0, .sequence = 0, .last_visible = 0});
    rows[0].token = 0;
    rows[1].token = vocab - 1;
    std::vector<double> want;
    for (const shader::Row& row : rows)
        for (uint32_t c = 0; c < cols; ++c)
            want.push_back(table.values[size_t{row.token} * cols + c] * double{kScale});
    const Matrix& matrix = scene.weight(table);
    const Slice ids = scene.input("rows", rows);
    const uint32_t count = static_cast<uint32_t>(rows.size());
    const std::vector<float> weight = random_floats(cols, -1, 1, scene.seed + 2);
    const std::vector<double> norms = rms_norm(std::span<const double>(want), weight, kEps);
    const Activation d = scene.output_rows("dst", count, cols, std::move(want), {1e-13, 1e-5});
    const Slice w = scene.input("weight", weight);
    const Activation n = scene.output_rows("normed", count, cols, norms, kNormBar);
    scene.record([&scene, &matrix, ids, d, w, n](Recorder& recorder) {
        scene.ops.embed.record(recorder, matrix, ids, d, kScale, w, n, kEps);
    });
}

// ---- pictures --------------------------------------------------------------------------------------

void build_patch_embed(Scene& scene, DataType type, const PatchGrid& grid, uint32_t out,
                       uint32_t pictures) {
    const uint32_t cols = 3 * grid.patch_size * grid.patch_size;
    const FileRows kernel = random_rows(type, out, cols, scene.seed);
    const std::vector<float> pixels =
        random_floats(size_t{pictures} * 3 * grid.side * grid.side, -1, 1, scene.seed + 1);
    const std::vector<float> bias = random_floats(out, -1, 1, scene.seed + 2);
    const std::vector<float> positions =
        random_floats(size_t{grid.patches()} * out, -1, 1, scene.seed + 3);
    std::vector<double> want =
        patch_embed(pixels, kernel.values, bias, positions, grid.side, grid.patch_size);
    const Matrix& matrix = scene.weight(kernel);
    const Slice px = scene.input("pixels", pixels), b = scene.input("bias", bias);
    const Slice at = scene.input("positions", positions);
    const Activation d = scene.output_rows("dst", pictures * grid.patches(), out, std::move(want),
                                           {1e-10, 1e-3});
    scene.cost(0, 2.0 * pictures * grid.patches() * cols * out);
    scene.record([&scene, &matrix, px, b, at, grid, d](Recorder& recorder) {
        scene.ops.patch_embed.record(recorder, matrix, px, b, at, grid, d);
    });
}

void build_pool(Scene& scene, uint32_t cell, uint32_t side, uint32_t cols, uint32_t pictures) {
    const uint32_t rows = pictures * side * cell * side * cell;
    const std::vector<float> src = random_floats(size_t{rows} * cols, -3, 3, scene.seed);
    const Activation s = scene.input_rows("src", rows, cols, src);
    const Activation d = scene.output_rows("dst", pictures * side * side, cols,
                                           pool(src, cell, side, cols), {1e-12, 1e-4});
    scene.cost(4.0 * src.size(), 1.0 * src.size());
    scene.record([&scene, s, cell, side, d](Recorder& recorder) {
        scene.ops.pool.record(recorder, s, cell, side, d);
    });
}

// One direction of a filter whose weights are 22-bit fixed point: the integers must be right.
void build_resize(Scene& scene, uint32_t in, uint32_t out, uint32_t lines, bool columns) {
    constexpr int kOne = 1 << 22;
    const uint32_t taps = std::min(in, 5u);
    std::vector<uint32_t> first(out);
    std::vector<int32_t> weights(size_t{out} * taps);
    const std::vector<uint32_t> random = random_words(weights.size(), scene.seed);
    for (uint32_t i = 0; i < out; ++i) {
        first[i] = static_cast<uint32_t>(uint64_t{i} * (in - taps + 1) / out);
        int left = kOne;
        for (uint32_t t = 0; t < taps; ++t) {
            const int part = static_cast<int>(random[size_t{i} * taps + t] % (kOne / 2));
            weights[size_t{i} * taps + t] = t + 1 == taps ? left : std::min(part, left);
            left -= weights[size_t{i} * taps + t];
        }
    }
    std::vector<uint32_t> src = random_words(size_t{in} * lines, scene.seed + 1);
    for (uint32_t i = 0; i < in; ++i)
        src[i] = i % 2 ? 0xffffffff : 0;  // stripes reach the ends of 8 bits
    const auto pixel = [&](uint32_t i, uint32_t line) {
        return columns ? src[size_t{i} * lines + line] : src[size_t{line} * in + i];
    };
    const std::array<float, 3> scale = {2 / 255.0f, 1 / 255.0f, 3 / 255.0f}, offset = {-1, 0, 1};
    std::vector<uint32_t> words;
    std::vector<double> planes;
    const auto sample = [&](uint32_t i, uint32_t line, uint32_t channel) {
        int64_t sum = 1 << 21;
        for (uint32_t t = 0; t < taps; ++t)
            sum += int64_t{weights[size_t{i} * taps + t]} *
                   (pixel(first[i] + t, line) >> (8 * channel) & 255);
        return static_cast<uint32_t>(std::clamp<int64_t>(sum >> 22, 0, 255));
    };
    if (columns)
        for (uint32_t c = 0; c < 3; ++c)
            for (uint32_t i = 0; i < out; ++i)
                for (uint32_t line = 0; line < lines; ++line)
                    planes.push_back(sample(i, line, c) * double{scale[c]} + double{offset[c]});
    else
        for (uint32_t line = 0; line < lines; ++line)
            for (uint32_t i = 0; i < out; ++i)
                words.push_back(sample(i, line, 0) | sample(i, line, 1) << 8 |
                                sample(i, line, 2) << 16 | 0xff000000u);
    const Slice s = scene.input("src", src), f = scene.input("first", first);
    const Slice w = scene.input("weights", weights);
    const Slice d = columns ? scene.output("dst", std::move(planes), {1e-13, 2e-6})
                            : scene.output_words("dst", std::move(words));
    scene.record([=, &scene](Recorder& recorder) {
        const FilterSlices filter{f, w, out, taps};
        if (columns)
            scene.ops.resize.record_columns(recorder, s, lines, filter, scale, offset, d, 0);
        else
            scene.ops.resize.record_rows(recorder, s, in, lines, filter, d);
    });
}

}  // namespace

void add_row_cases(std::vector<Case>& cases) {
    struct Size {
        float size;
        const char* remark;
    };
    constexpr Size kSizes[] = {{300, ""}, {1e-4f, ", 1e-4"}, {1e5f, ", 1e5"}, {1e15f, ", 1e15"},
                               {0, ", zeros"}};
    for (const Rows& shape : kRows) {
        for (const Size& size : kSizes) {
            if (size.remark[0] && shape.cols != 640 && shape.cols != 255)
                continue;
            const Quick quick = shape.cols == 640 || shape.cols == 7 ? Quick::all : Quick::no;
            const std::string name = text_of(shape) + size.remark;
            cases.push_back(row_case("rms_norm", name, quick, [shape, size](Scene& scene) {
                build_rms_norm(scene, shape, size.size);
            }));
            cases.push_back(row_case("residual_norm", name, quick, [shape, size](Scene& scene) {
                build_residual_norm(scene, shape, size.size);
            }));
        }
        cases.push_back(row_case("layer_norm", text_of(shape),
                                 shape.cols == 1152 ? Quick::all : Quick::no, [shape](Scene& s) {
                                     build_layer_norm(s, shape, 3, 0.5f);
                                 }));
        if (shape.cols > 1)
            cases.push_back(row_case("layer_norm", text_of(shape) + ", mean 100", Quick::no,
                                     [shape](Scene& s) { build_layer_norm(s, shape, 3, 100); }));
    }

    for (uint32_t i = 0; i < kDataTypes; ++i)
        for (const uint32_t cols : {32u, 96u, 640u, 1152u, 2560u, 5376u, 1u, 35u}) {
            const DataType type = static_cast<DataType>(i);
            if (cols % block_elements(type) != 0)
                continue;
            cases.push_back(row_case("embed", type_suffix(type) + format_text(" 300x%u", cols),
                                     cols == 640 || type == DataType::q4_k ? Quick::once : Quick::no,
                                     [type, cols](Scene& s) { build_embed(s, type, 300, cols); }));
        }

    for (const DataType type : kTypes) {
        const bool blocks = type == DataType::q8_0 || type == DataType::q4_0;
        struct Grid {
            PatchGrid grid;
            uint32_t out, pictures;
        };
        // Quantised kernels are whole blocks: 3 * 8 * 8 = 192. The published encoder's patches are 14
        // a side; 44 pixels leave some over.
        for (const Grid& g : blocks ? std::vector<Grid>{{{16, 8}, 35, 2}, {{24, 8}, 64, 1}}
                                    : std::vector<Grid>{{{2, 1}, 1, 1}, {{44, 14}, 37, 2},
                                                        {{56, 14}, 1152, 1}}) {
            Case c = row_case("patch_embed",
                              type_suffix(type) + format_text(" %u pictures of %u, patches of %u to %u",
                                                              g.pictures, g.grid.side,
                                                              g.grid.patch_size, g.out),
                              g.out == 37 ? Quick::once : Quick::no, [type, g](Scene& s) {
                                  build_patch_embed(s, type, g.grid, g.out, g.pictures);
                              });
            c.has_subgroup = false;
            c.wide = false;
            cases.push_back(std::move(c));
        }
    }
    struct Pooling {
        uint32_t cell, side, cols, pictures;
    };
    for (const Pooling& g : {Pooling{1, 1, 1, 1}, {2, 3, 35, 2}, {4, 2, 1152, 1}, {4, 16, 33, 1}}) {
        Case c = row_case("pool", format_text("%u pictures, %ux%u cells of %u, %u wide", g.pictures,
                                              g.side, g.side, g.cell, g.cols),
                          g.cols == 35 ? Quick::once : Quick::no, [g](Scene& s) {
                              build_pool(s, g.cell, g.side, g.cols, g.pictures);
                          });
        c.has_subgroup = false;
        cases.push_back(std::move(c));
    }
    for (const Rows& line : {Rows{1, 1}, {37, 5}, {5, 64}, {300, 896}, {3000, 9}})
        for (const bool columns : {false, true}) {
            Case c = row_case("resize", format_text("%u to %u along %s", line.rows, line.cols,
                                                    columns ? "y" : "x"),
                              line.rows == 37 ? Quick::once : Quick::no, [line, columns](Scene& s) {
                                  build_resize(s, line.rows, line.cols, 7, columns);
                              });
            c.has_subgroup = false;
            c.wide = false;
            cases.push_back(std::move(c));
        }
}

void add_row_checks(std::vector<Case>& cases, const Workload& workload) {
    const Rows shape = {3, workload.width};
    cases.push_back(row_case("rms_norm", text_of(shape), Quick::no, [shape](Scene& scene) {
        build_rms_norm(scene, shape, 300);
    }));
    cases.push_back(row_case("residual_norm", text_of(shape), Quick::no, [shape](Scene& scene) {
        build_residual_norm(scene, shape, 300);
    }));
    cases.push_back(row_case("embed", type_suffix(workload.table), Quick::no,
                             [type = workload.table](Scene& s) {
                                 build_embed(s, type, 20, std::max(64u, block_elements(type)));
                             }));
}

}  // namespace olivine::selftest
