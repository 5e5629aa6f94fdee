// Cases of linear: matvec, matmul and matmul_direct, and what the rungs have in their place.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "engine/selftest/cases.h"
#include "engine/selftest/startup.h"

namespace olivine::selftest {
namespace {

struct Product {
    DataType type = DataType::f32;
    uint32_t rows = 1, cols = 1, tokens = 1;
    Epilogue epilogue = Epilogue::none;
    float softcap = 0;
    float size = 1;      // of the activations
    float bias_size = 2;
    enum class Values : uint8_t { random, tiny } values = Values::random;
    bool branch = false;  // ends in its norms
};

const char* suffix(Epilogue epilogue) {
    switch (epilogue) {
    case Epilogue::none: return "";
    case Epilogue::geglu: return " geglu";
    case Epilogue::bias: return " bias";
    case Epilogue::bias_gelu: return " bias+gelu";
    case Epilogue::bias_add: return " bias+add";
    }
    return "";
}

// Matrices of published size have more rows than random values are worth making: those of the
// first few hundred rows come again. The number is prime, so that no tile's height divides it.
constexpr uint32_t kDistinctRows = 509;

FileRows repeated(const FileRows& few, uint32_t rows) {
    FileRows all{few.type, rows, few.cols, {}, {}};
    const uint64_t row_bytes = few.row_bytes();
    all.bytes.resize(row_bytes * rows);
    for (uint32_t r = 0; r < rows; ++r)
        std::memcpy(all.bytes.data() + r * row_bytes,
                    few.bytes.data() + r % few.rows * row_bytes, row_bytes);
    return all;
}

// What results may be off by. f32 sums of 5376 products are off by about 1e-7 of the sum of
// magnitudes, f16 operands by 2^-11 of each product, and int8 activations, 1/254 of the largest of
// 32, by about 0.5 % of the whole, of which GeGLU makes a little more. Measured: docs/selftest.md.
constexpr Bar kExact = {1e-10, 1e-3};

Bar bar_of(const Scene& scene, const Product& product) {
    const std::optional<Rung> rung = scene.ops.linear.rung(product.type, product.cols, product.tokens);
    if (!rung)
        return kExact;
    const bool int8 = rung == Rung::int_dot || rung == Rung::coopmat_int8;
    return int8 ? Bar{2e-4, 0.2} : Bar{2e-6, 0.02};
}

// How much larger the outputs' mean square would be were the signs of their products independent: where
// products cancel, their rounding stays, so a bar on rounded operands is meant for that size.
double cancelled(std::span<const float> x, std::span<const double> weight,
                 std::span<const double> sums, const Product& p) {
    const auto squares = [](const auto& values) {
        std::vector<double> list;
        for (const double value : values)
            list.push_back(value * value);
        return list;
    };
    const std::vector<double> x2 = squares(x);
    const std::vector<float> x2_floats(x2.begin(), x2.end());
    const uint32_t rows = static_cast<uint32_t>(weight.size() / p.cols);
    const std::vector<double> apart = linear(x2_floats, squares(weight), p.tokens, rows, p.cols);
    const std::vector<double> sums2 = squares(sums);
    const double joined = std::accumulate(sums2.begin(), sums2.end(), 0.0);
    const double all = std::accumulate(apart.begin(), apart.end(), 0.0);
    return joined > 0 ? std::max(1.0, all / joined) : 1;
}

void build(Scene& scene, const Product& p) {
    const bool geglu = p.epilogue == Epilogue::geglu;
    const FileRows few =
        random_rows(p.type, std::min(p.rows, kDistinctRows), p.cols, scene.seed + p.cols);
    std::vector<float> x =
        random_floats(size_t{p.tokens} * p.cols, -p.size, p.size, scene.seed + 1);
    if (p.values == Product::Values::tiny)  // subnormal, and zeros of both signs
        for (size_t i = 0; i < x.size(); ++i)
            x[i] = i % 3 == 0 ? 1e-42f * static_cast<float>(i % 7) : i % 3 == 1 ? -0.0f : 0.0f;
    const std::vector<float> bias =
        random_floats(p.rows, -p.bias_size, p.bias_size, scene.seed + 2);
    const std::vector<float> before =
        random_floats(size_t{p.tokens} * p.rows, -2, 2, scene.seed + 3);

    const std::vector<double> sums = linear(x, few.values, p.tokens, few.rows, p.cols);
    std::vector<double> want;
    for (uint32_t t = 0; t < p.tokens; ++t) {
        const double* row = sums.data() + size_t{t} * few.rows;
        for (uint32_t m = 0; m < p.rows; m += geglu ? 2 : 1) {
            double value = row[m % few.rows];
            switch (p.epilogue) {
            case Epilogue::none: value = softcap(value, p.softcap); break;
            case Epilogue::geglu: value = gelu_tanh(value) * row[(m + 1) % few.rows]; break;
            case Epilogue::bias: value += bias[m]; break;
            case Epilogue::bias_gelu: value = gelu_tanh(value + bias[m]); break;
            case Epilogue::bias_add: value += bias[m] + before[size_t{t} * p.rows + m]; break;
            }
            want.push_back(value);
        }
    }

    const uint32_t outputs = geglu ? p.rows / 2 : p.rows;
    const Matrix& matrix = scene.weight(p.rows > few.rows ? repeated(few, p.rows) : few);
    const Activation in = scene.input_rows("x", p.tokens, p.cols, x);
    Bar bar = bar_of(scene, p);
    if (bar.nmse > kExact.nmse && p.epilogue != Epilogue::geglu) {
        const double more = cancelled(x, few.values, sums, p);
        bar = {bar.nmse * more, bar.largest * std::sqrt(more)};
    }
    const Activation out =
        p.epilogue == Epilogue::bias_add
            ? scene.output_rows("y", p.tokens, outputs, before, std::move(want), bar)
            : scene.output_rows("y", p.tokens, outputs, std::move(want), bar);
    scene.cost(static_cast<double>(Matrix::bytes(p.type, p.rows, p.cols)) +
                   4.0 * p.tokens * (p.cols + outputs),
               2.0 * p.rows * p.cols * p.tokens);
    if (p.epilogue >= Epilogue::bias) {
        const Slice b = scene.input("bias", bias);
        scene.record([&scene, &matrix, in, out, b, epilogue = p.epilogue](Recorder& recorder) {
            scene.ops.linear.record(recorder, matrix, b, in, out, epilogue);
        });
        return;
    }
    scene.record([&scene, &matrix, in, out, epilogue = p.epilogue, cap = p.softcap](
                     Recorder& recorder) {
        scene.ops.linear.record(recorder, matrix, in, out, epilogue, cap);
    });
}

// A product that ends as a branch does.
void build_branch(Scene& scene, const Product& p) {
    constexpr float kEps = 1e-6f;
    const FileRows weight = random_rows(p.type, p.rows, p.cols, scene.seed + p.cols);
    const std::vector<float> x = random_floats(size_t{p.tokens} * p.cols, -p.size, p.size, scene.seed + 1);
    const std::vector<float> stream = random_floats(size_t{p.tokens} * p.rows, -2, 2, scene.seed + 2);
    const std::vector<float> norms = random_floats(size_t{p.rows} * 2, -1, 1, scene.seed + 3);
    const std::vector<double> sums = linear(x, weight.values, p.tokens, p.rows, p.cols);
    std::vector<double> after = rms_norm(std::span<const double>(sums), std::span(norms).first(p.rows), kEps);
    for (size_t i = 0; i < after.size(); ++i)
        after[i] += stream[i];
    const std::vector<double> want =
        rms_norm(std::span<const double>(after), std::span(norms).last(p.rows), kEps);
    Bar bar = bar_of(scene, p);
    if (bar.nmse > kExact.nmse) {
        const double more = cancelled(x, weight.values, sums, p);
        bar = {bar.nmse * more, bar.largest * std::sqrt(more)};
    }
    const Matrix& matrix = scene.weight(weight);
    const Activation in = scene.input_rows("x", p.tokens, p.cols, x);
    const Activation branch = scene.output_rows("branch", p.tokens, p.rows, sums, bar);
    const BranchEnd end{.norms = scene.input("norms", norms),
                        .stream = scene.output_rows("stream", p.tokens, p.rows, stream, after, bar),
                        .dst = scene.output_rows("dst", p.tokens, p.rows, want, bar),
                        .eps = kEps,
                        .arrivals = scene.output_words("arrivals", {0}, {0})};
    scene.cost(static_cast<double>(Matrix::bytes(p.type, p.rows, p.cols)) +
                   4.0 * p.tokens * (p.cols + 4 * p.rows),
               2.0 * p.rows * p.cols * p.tokens);
    scene.record([&scene, &matrix, in, branch, end](Recorder& recorder) {
        scene.ops.linear.record_branch(recorder, scene.ops.residual_norm, matrix, in, branch, end);
    });
}

void add(std::vector<Case>& cases, const Product& p, const std::string& remark = {},
         Quick quick = Quick::no) {
    Case c;
    c.op = "linear";
    c.work = Linear::work(p.type, p.tokens);
    c.name = type_suffix(p.type) + format_text(" %ux%u%s, %u token%s", p.rows, p.cols,
                                               p.branch ? " branch" : suffix(p.epilogue), p.tokens,
                                               p.tokens == 1 ? "" : "s") +
             (remark.empty() ? "" : ", " + remark);
    c.rungs = Linear::candidates(p.type, p.tokens);
    c.rung = [p](const Ops& ops) { return ops.linear.rung(p.type, p.cols, p.tokens); };
    c.quick = quick;
    c.flops = 2.0 * p.rows * p.cols * p.tokens;
    c.build = [p](Scene& scene) { p.branch ? build_branch(scene, p) : build(scene, p); };
    cases.push_back(std::move(c));
}

constexpr DataType kTypes[] = {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0,
                               DataType::q4_0};

// One type on every rung, each once for a token, and those of published files for a prompt.
Quick quick_of(DataType type, uint32_t rows, uint32_t tokens) {
    if (rows != 35 || (tokens != 1 && tokens != 70))
        return Quick::no;
    if (type == DataType::q8_0)
        return Quick::all;
    return tokens == 1 || type == DataType::bf16 || type == DataType::q4_0 ? Quick::once : Quick::no;
}

}  // namespace

void add_linear_cases(std::vector<Case>& cases) {
    struct Shape {
        uint32_t rows, cols;
    };
    for (const DataType type : kTypes) {
        const bool blocks = type == DataType::q8_0 || type == DataType::q4_0;
        // One element, widths that no tile and no unit divides. Quantised rows are whole blocks.
        const std::vector<Shape> odd = blocks
                                           ? std::vector<Shape>{{1, 32}, {7, 96}, {35, 160}}
                                           : std::vector<Shape>{{1, 1}, {2, 17}, {35, 255}};
        for (const Shape& shape : odd)
            for (const uint32_t tokens : {1u, 2u, 3u, 8u, 9u, 20u, 70u})
                add(cases, {.type = type, .rows = shape.rows, .cols = shape.cols, .tokens = tokens},
                    "", quick_of(type, shape.rows, tokens));
        for (const uint32_t tokens : {1u, 70u}) {
            add(cases, {.type = type, .rows = 130, .cols = blocks ? 64u : 33u, .tokens = tokens,
                        .epilogue = Epilogue::geglu, .size = 0.2f}, "",
                type == DataType::q4_0 ? Quick::once : Quick::no);
            add(cases, {.type = type, .rows = 66, .cols = 640, .tokens = tokens, .size = 1e5f},
                "activations of 1e5", blocks ? Quick::once : Quick::no);
            add(cases, {.type = type, .rows = 10, .cols = 96, .tokens = tokens,
                        .values = Product::Values::tiny}, "subnormal numbers and -0");
        }
        // What the published text models multiply by, smallest to largest: queries, keys and values;
        // attention's output; gate and up; down.
        constexpr Shape kText[][4] = {
            {{1536, 640}, {640, 1024}, {4096, 640}, {640, 2048}},
            {{1536, 1152}, {1152, 1024}, {13824, 1152}, {1152, 6912}},
            {{4096, 2560}, {2560, 2048}, {20480, 2560}, {2560, 10240}},
            {{8192, 3840}, {3840, 4096}, {30720, 3840}, {3840, 15360}},
            {{8192, 5376}, {5376, 4096}, {43008, 5376}, {5376, 21504}},
        };
        for (const auto& model : kText)
            for (uint32_t i = 0; i < 4; ++i)
                for (const uint32_t tokens : {1u, 33u})
                    add(cases, {.type = type, .rows = model[i].rows, .cols = model[i].cols,
                                .tokens = tokens,
                                .epilogue = i == 2 ? Epilogue::geglu : Epilogue::none,
                                .size = i == 2 ? 0.2f : 1},
                        "", type == DataType::q8_0 && i == 0 && model[0].cols == 640 ? Quick::once
                                                                                     : Quick::no);
    }
    for (uint32_t i = static_cast<uint32_t>(DataType::q4_1); i < kDataTypes; ++i) {
        const DataType type = static_cast<DataType>(i);
        const uint32_t block = block_elements(type), odd = block == 32 ? 160 : 768;
        for (const Shape& shape : {Shape{1, block}, Shape{35, odd}})
            for (const uint32_t tokens : {1u, 3u, 9u, 70u})
                add(cases, {.type = type, .rows = shape.rows, .cols = shape.cols, .tokens = tokens}, "",
                    type == DataType::q4_k && shape.rows == 35 && tokens == 1 ? Quick::once : Quick::no);
        for (const uint32_t tokens : {1u, 70u}) {
            add(cases, {.type = type, .rows = 130, .cols = block * 2, .tokens = tokens,
                        .epilogue = Epilogue::geglu, .size = 0.2f});
            add(cases, {.type = type, .rows = 66, .cols = odd, .tokens = tokens, .size = 1e5f},
                "activations of 1e5");
            add(cases, {.type = type, .rows = 640, .cols = 2048, .tokens = tokens});
        }
    }
    // Attention's output and the MLP's, which end in their norms; of two tokens, by a dispatch of its own.
    for (uint32_t i = 0; i < kDataTypes; ++i) {
        const DataType type = static_cast<DataType>(i);
        const uint32_t block = block_elements(type);
        for (const Shape& shape :
             {Shape{1, block}, Shape{35, block * 3}, Shape{640, 1024}, Shape{2560, 2048}})
            for (const uint32_t tokens : {1u, 2u})
                add(cases, {.type = type, .rows = shape.rows, .cols = shape.cols, .tokens = tokens,
                            .branch = true},
                    "", shape.rows == 35 && type == DataType::q8_0 && tokens == 1 ? Quick::all
                        : shape.rows == 35 && tokens == 1                        ? Quick::once
                                                                                 : Quick::no);
    }
    // A head over a whole vocabulary, with more rows than a grid has workgroups in a dimension.
    for (const DataType type : {DataType::q8_0, DataType::q4_0})
        add(cases, {.type = type, .rows = 262144, .cols = 640, .softcap = 30});
    for (const uint32_t rows : {131086u, 262158u})
        add(cases, {.type = DataType::f16, .rows = rows, .cols = 2});
    // A soft cap far out on its flat ends.
    for (const uint32_t tokens : {1u, 9u})
        for (const float size : {1.0f, 1e5f})
            add(cases, {.type = DataType::q4_0, .rows = 35, .cols = 96, .tokens = tokens,
                        .softcap = 30, .size = size},
                format_text("soft cap, activations of %g", double{size}),
                tokens == 1 ? Quick::once : Quick::no);
    // The picture encoder's, and GELU of sums of +-1e4 and beyond.
    for (const DataType type : {DataType::f32, DataType::f16, DataType::bf16})
        for (const Shape& shape : {Shape{1, 1}, Shape{35, 255}, Shape{130, 33}, Shape{1152, 1152}})
            for (const uint32_t tokens : {1u, 9u, 70u})
                for (const Epilogue epilogue :
                     {Epilogue::bias, Epilogue::bias_gelu, Epilogue::bias_add})
                    if (type == DataType::f16 || (shape.rows == 35 && tokens != 9))
                        add(cases, {.type = type, .rows = shape.rows, .cols = shape.cols,
                                    .tokens = tokens, .epilogue = epilogue, .size = 0.2f});
    for (const uint32_t tokens : {1u, 33u}) {
        add(cases, {.type = DataType::f16, .rows = 4304, .cols = 1152, .tokens = tokens,
                    .epilogue = Epilogue::bias_gelu, .size = 0.2f});
        add(cases, {.type = DataType::f16, .rows = 1152, .cols = 4304, .tokens = tokens,
                    .epilogue = Epilogue::bias_add, .size = 0.2f});
    }
    for (const float size : {1e4f, 1e15f})
        for (const uint32_t tokens : {1u, 9u})
            add(cases, {.type = DataType::f16, .rows = 35, .cols = 15, .tokens = tokens,
                        .epilogue = Epilogue::bias_gelu, .bias_size = size},
                format_text("bias of %g", double{size}), tokens == 1 ? Quick::once : Quick::no);
}

void add_linear_checks(std::vector<Case>& cases, const Workload& workload) {
    for (const DataType type : workload.types) {
        // A block or two of whole units are as good as a whole width: the pipeline is the same.
        const uint32_t cols =
            workload.width % 16 == 0 ? std::max(64u, block_elements(type)) : workload.width;
        for (const uint32_t tokens : {1u, 9u, 32u, 33u, 65u})  // decode, short with all tiles, long
            for (const Epilogue epilogue : workload.epilogues)
                add(cases, {.type = type, .rows = 34, .cols = cols, .tokens = tokens,
                            .epilogue = epilogue, .size = 0.2f});
        add(cases, {.type = type, .rows = 34, .cols = cols, .branch = true});
    }
}

}  // namespace olivine::selftest
