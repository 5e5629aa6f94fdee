// The shaders matvec, matmul, matmul_direct and matmul_straight, and those of the rungs above (matmul_packed,
// matmul_coopmat, row_scale, block_scale), through engine/ops/linear.h.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <cmath>
#include <limits>

#include "engine/error.h"
#include "tests/support/device.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/reference.h"

namespace olivine::test {
namespace {

const std::vector<DataType> kTypes = {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0,
                                      DataType::q4_0};

struct Shape {
    uint32_t rows, cols;
};

// One element, widths that no workgroup and no unit divides, and those of real models. Quantised
// rows are whole blocks.
std::vector<Shape> shapes_of(DataType type) {
    if (block_elements(type) > 1)
        return {{1, 32}, {7, 96}, {35, 160}, {66, 640}, {5, 1152}, {8, 2560}, {8, 5376}};
    return {{1, 1},    {2, 17},   {7, 36},   {35, 255}, {66, 640},
            {5, 1152}, {8, 2560}, {8, 5376}, {130, 33}};
}

// Relative to the sum of magnitudes, f32 sums of 5376 products are off by about 1e-7, so the bar
// for the mean square is 1e-10 with room for cancellation. Measured: f32 1.1e-13, f16 8e-14,
// bf16 9e-14, q8_0 1.3e-13, q4_0 1.1e-13, after GeGLU 5e-13.
constexpr double kBar = 1e-10;

std::vector<double> geglu(const std::vector<double>& sums) {
    std::vector<double> products;
    for (size_t i = 0; i < sums.size(); i += 2)
        products.push_back(gelu_tanh(sums[i]) * sums[i + 1]);
    return products;
}

// Software drivers take seconds to compile what has barriers: matmul as GPUs run it, which has its
// own test case.
bool within(const std::string& variant, uint32_t tokens) {
    return variant != "as GPU" || tokens <= Linear::kMaxVectorTokens;
}

void check(Device& device, Linear& op, const Matrix& matrix, const std::vector<double>& weight,
           uint32_t tokens, Epilogue epilogue = Epilogue::none, float cap = 0, float size = 1) {
    const uint32_t rows = matrix.rows(), cols = matrix.cols();
    const bool halves = epilogue == Epilogue::geglu;
    CAPTURE(name(matrix.type()), rows, cols, tokens, epilogue, cap);  // the seed is 9
    const std::vector<float> x = random_floats(size_t{tokens} * cols, -size, size, 9);
    GuardedRows in(device, tokens, cols, x), out(device, tokens, halves ? rows / 2 : rows);

    run(device, [&](Recorder& recorder) {
        op.record(recorder, matrix, in.activation(), out.activation(), epilogue, cap);
    });

    std::vector<double> want = linear(x, weight, tokens, rows, cols);
    if (halves)
        want = geglu(want);
    for (double& value : want)
        value = softcap(value, cap);
    const double error = nmse(want, out.read());
    CHECK(error < kBar);
    CHECK(out.intact());
}

// The same with one of the three epilogues that take a bias.
void check_bias(Device& device, Linear& op, const Matrix& matrix, const std::vector<double>& weight,
                uint32_t tokens, Epilogue epilogue) {
    const uint32_t rows = matrix.rows(), cols = matrix.cols();
    CAPTURE(name(matrix.type()), rows, cols, tokens, epilogue);  // the seeds are 9 to 11
    const std::vector<float> x = random_floats(size_t{tokens} * cols, -0.2f, 0.2f, 9);
    const std::vector<float> bias = random_floats(rows, -2, 2, 10);
    const std::vector<float> before = random_floats(size_t{tokens} * rows, -2, 2, 11);
    GuardedRows in(device, tokens, cols, x), out(device, tokens, rows);
    Guarded b = guarded(device, bias);
    if (epilogue == Epilogue::bias_add)
        out.write(before);

    run(device, [&](Recorder& recorder) {
        op.record(recorder, matrix, b.slice(), in.activation(), out.activation(), epilogue);
    });

    std::vector<double> want = linear(x, weight, tokens, rows, cols);
    for (size_t i = 0; i < want.size(); ++i) {
        want[i] += bias[i % rows];
        if (epilogue == Epilogue::bias_gelu)
            want[i] = gelu_tanh(want[i]);
        if (epilogue == Epilogue::bias_add)
            want[i] += before[i];
    }
    const double error = nmse(want, out.read());
    CHECK(error < kBar);
    CHECK(out.intact());
    CHECK(in.intact());
    CHECK(b.intact());
}

const std::vector<Epilogue> kWithBias = {Epilogue::bias, Epilogue::bias_gelu, Epilogue::bias_add};

}  // namespace

TEST_CASE("linear matches the sum", "[op][linear]") {
    const std::string variant = GENERATE(from_range(variants()));
    const DataType type = GENERATE(from_range(kTypes));
    CAPTURE(variant);
    OpTest test(variant);
    for (const Shape& shape : shapes_of(type)) {
        const FileRows weight = random_rows(type, shape.rows, shape.cols, shape.cols);
        const Matrix matrix = upload(test.device, weight);
        // Up to 8 tokens are matvec's, made for 1, 2, 4 and 8; 9 is the first of matmul.
        for (const uint32_t tokens : {1u, 3u, 8u, 9u, 70u})
            if (within(variant, tokens) &&
                size_t{tokens} * shape.rows * shape.cols < 4'000'000)
                check(test.device, test.ops.linear, matrix, weight.values, tokens);
    }
}

TEST_CASE("linear ends a branch in its norms", "[op][linear]") {
    const std::string variant = GENERATE(from_range(variants()));
    const DataType type = GENERATE(DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0,
                                   DataType::q4_0, DataType::q4_k);
    CAPTURE(variant, name(type));
    OpTest test(variant);
    const uint32_t block = block_elements(type);
    for (const Shape& shape : {Shape{1, block}, Shape{7, 3 * block}, Shape{35, 5 * block}, Shape{640, 1024}})
        for (const uint32_t tokens : {1u, 3u}) {
            CAPTURE(shape.rows, shape.cols, tokens);  // the seeds are 9 to 12
            const FileRows weight = random_rows(type, shape.rows, shape.cols, shape.cols);
            const Matrix matrix = upload(test.device, weight);
            const std::vector<float> x = random_floats(size_t{tokens} * shape.cols, -1, 1, 9);
            const std::vector<float> before = random_floats(size_t{tokens} * shape.rows, -1e5f, 1e5f, 10);
            const std::vector<float> norms = random_floats(size_t{shape.rows} * 2, -1, 1, 11);
            GuardedRows in(test.device, tokens, shape.cols, x), branch(test.device, tokens, shape.rows);
            GuardedRows stream(test.device, tokens, shape.rows, before), dst(test.device, tokens, shape.rows);
            Guarded n = guarded(test.device, norms),
                    arrivals = guarded(test.device, std::vector<uint32_t>{0});

            run(test.device, [&](Recorder& recorder) {
                test.ops.linear.record_branch(
                    recorder, test.ops.residual_norm, matrix, in.activation(), branch.activation(),
                    {n.slice(), stream.activation(), dst.activation(), 1e-6f, arrivals.slice()});
            });

            const std::vector<double> sums = linear(x, weight.values, tokens, shape.rows, shape.cols);
            std::vector<double> sum =
                rms_norm(std::span<const double>(sums), std::span(norms).first(shape.rows), 1e-6);
            for (size_t i = 0; i < sum.size(); ++i)
                sum[i] += before[i];
            CHECK(nmse(sums, branch.read()) < kBar);
            CHECK(nmse(sum, stream.read()) < kBar);
            CHECK(nmse(rms_norm(std::span<const double>(sum), std::span(norms).last(shape.rows), 1e-6),
                       dst.read()) < kBar);
            CHECK(arrivals.read<uint32_t>() == std::vector<uint32_t>{0});
            for (const GuardedRows* rows : {&in, &branch, &stream, &dst})
                CHECK(rows->intact());
            CHECK(arrivals.intact());
            CHECK(n.intact());
        }
}

TEST_CASE("linear with GeGLU pairs gate and up rows", "[op][linear]") {
    const std::string variant = GENERATE(from_range(variants()));
    const DataType type = GENERATE(from_range(kTypes));
    CAPTURE(variant);
    OpTest test(variant);
    for (const Shape& shape : shapes_of(type)) {
        if (shape.rows % 2 != 0)
            continue;
        const FileRows weight = random_rows(type, shape.rows, shape.cols, shape.cols);
        const Matrix matrix = upload(test.device, weight);
        for (const uint32_t tokens : {1u, 3u, 8u, 9u, 70u})
            if (within(variant, tokens))
                check(test.device, test.ops.linear, matrix, weight.values, tokens, Epilogue::geglu,
                      0, 0.2f);
    }
}

TEST_CASE("linear with a GPU's tiles", "[op][linear]") {
    struct Case {
        DataType type;
        uint32_t rows, cols;  // beyond one tile of 64; whole units of 16 or not
        Epilogue epilogue;
    };
    const Case c = GENERATE(
        Case{DataType::f32, 70, 33, Epilogue::none}, Case{DataType::f16, 70, 48, Epilogue::none},
        Case{DataType::bf16, 130, 7, Epilogue::none}, Case{DataType::q8_0, 70, 96, Epilogue::none},
        Case{DataType::q4_0, 70, 64, Epilogue::none}, Case{DataType::q4_0, 70, 64, Epilogue::geglu},
        Case{DataType::bf16, 130, 7, Epilogue::geglu});
    OpTest test("as GPU");
    const FileRows weight = random_rows(c.type, c.rows, c.cols, 12);
    const Matrix matrix = upload(test.device, weight);
    for (const uint32_t tokens : {9u, 33u, 70u, 130u})
        check(test.device, test.ops.linear, matrix, weight.values, tokens, c.epilogue);
}

TEST_CASE("linear with a bias", "[op][linear]") {
    const std::string variant = GENERATE(from_range(variants()));
    const Epilogue epilogue = GENERATE(from_range(kWithBias));
    CAPTURE(variant);
    OpTest test(variant);
    // How sums are written has nothing to do with how weights are read, and every pair of type and
    // epilogue is a pipeline more: f16, that of the published picture encoders, with all of them.
    for (const Shape& shape : {Shape{1, 1}, {35, 255}, {130, 33}, {66, 1150}}) {
        const FileRows weight = random_rows(DataType::f16, shape.rows, shape.cols, shape.cols);
        const Matrix matrix = upload(test.device, weight);
        for (const uint32_t tokens : {1u, 3u, 9u, 70u})
            if (within(variant, tokens))
                check_bias(test.device, test.ops.linear, matrix, weight.values, tokens, epilogue);
    }
}

TEST_CASE("linear adds with every storage type", "[op][linear]") {
    const DataType type = GENERATE(from_range(kTypes));
    OpTest test("all rungs");
    const FileRows weight = random_rows(type, 35, 160, 17);
    const Matrix matrix = upload(test.device, weight);
    for (const uint32_t tokens : {1u, 9u})
        check_bias(test.device, test.ops.linear, matrix, weight.values, tokens, Epilogue::bias_add);
}

TEST_CASE("linear with a bias and a GPU's tiles", "[op][linear]") {
    const auto [cols, epilogue] =
        GENERATE(table<uint32_t, Epilogue>({{33, Epilogue::bias_gelu}, {48, Epilogue::bias_add}}));
    OpTest test("as GPU");
    const FileRows weight = random_rows(DataType::f16, 130, cols, 14);
    const Matrix matrix = upload(test.device, weight);
    for (const uint32_t tokens : {9u, 33u, 130u})
        check_bias(test.device, test.ops.linear, matrix, weight.values, tokens, epilogue);
}

TEST_CASE("linear gives each piece of a split matrix its part of the bias", "[op][linear]") {
    DeviceOptions options;
    options.max_range_bytes = 64 * 1024;
    Device device(options);
    Linear op(device);
    const FileRows weight = random_rows(DataType::f16, 850, 93, 15);
    const Matrix matrix = upload(device, weight);
    REQUIRE(matrix.pieces().size() > 1);
    for (const Epilogue epilogue : kWithBias)
        for (const uint32_t tokens : {1u, 9u})
            check_bias(device, op, matrix, weight.values, tokens, epilogue);
    CHECK(device.validation_messages() == 0);
}

TEST_CASE("linear with GELU of large sums", "[op][linear]") {
    OpTest test("all rungs");
    // The cube passes f32's range; tanh is flat there and must not become NaN.
    const std::vector<float> bias = {1e5f, -1e5f, 1e15f, -1e15f, 12.0f, -12.0f};
    const FileRows weight = random_rows(DataType::f16, 6, 15, 16);
    const Matrix matrix = upload(test.device, weight);
    Guarded b = guarded(test.device, bias);
    for (const uint32_t tokens : {1u, 9u}) {
        GuardedRows in(test.device, tokens, 15, std::vector<float>(size_t{tokens} * 15, 0.0f));
        GuardedRows out(test.device, tokens, 6);
        run(test.device, [&](Recorder& recorder) {
            test.ops.linear.record(recorder, matrix, b.slice(), in.activation(), out.activation(),
                                   Epilogue::bias_gelu);
        });
        const std::vector<float> got = out.read();
        for (size_t i = 0; i < got.size(); ++i)
            CHECK(std::abs(got[i] - std::max(bias[i % 6], 0.0f)) <= 1e-6f * std::abs(bias[i % 6]));
        CHECK(out.intact());
    }
}

TEST_CASE("linear with a soft cap", "[op][linear]") {
    const std::string variant = GENERATE(from_range(variants()));
    CAPTURE(variant);
    OpTest test(variant);
    const FileRows weight = random_rows(DataType::q4_0, 35, 96, 1);
    const Matrix matrix = upload(test.device, weight);
    for (const uint32_t tokens : {1u, 9u}) {
        if (!within(variant, tokens))
            continue;
        check(test.device, test.ops.linear, matrix, weight.values, tokens, Epilogue::none, 30.0f);
        // Sums of 10^5 and beyond: tanh is flat there and must not become NaN.
        check(test.device, test.ops.linear, matrix, weight.values, tokens, Epilogue::none, 30.0f,
              1e5f);
    }
}

TEST_CASE("linear with more rows than one dimension of a grid takes", "[op][linear]") {
    OpTest test("all rungs");
    // Four or eight rows a workgroup and 32768 workgroups a dimension: 131,072 or 262,144, and some.
    const uint32_t rows = GENERATE(131086u, 262158u);
    const FileRows weight = random_rows(DataType::f16, rows, 2, 13);
    const Matrix matrix = upload(test.device, weight);
    for (const uint32_t tokens : {1u, 9u})
        check(test.device, test.ops.linear, matrix, weight.values, tokens);
}

TEST_CASE("linear takes activations beyond fp16", "[op][linear]") {
    const std::string variant = GENERATE(from_range(variants()));
    const DataType type = GENERATE(from_range(kTypes));
    CAPTURE(variant);
    OpTest test(variant);
    const FileRows weight = random_rows(type, 6, 640, 2);
    const Matrix matrix = upload(test.device, weight);
    for (const uint32_t tokens : {1u, 9u}) {
        if (!within(variant, tokens))
            continue;
        check(test.device, test.ops.linear, matrix, weight.values, tokens, Epilogue::none, 0, 1e5f);
        check(test.device, test.ops.linear, matrix, weight.values, tokens, Epilogue::geglu, 0,
              1e5f);
    }
}

TEST_CASE("linear writes every piece of a split matrix to its place", "[op][linear]") {
    const DataType type = GENERATE(from_range(kTypes));
    DeviceOptions options;
    options.max_range_bytes = 32 * 1024;
    Device device(options);
    Linear op(device);
    const FileRows weight = random_rows(type, 850, 96, 3);
    const Matrix matrix = upload(device, weight);
    REQUIRE(matrix.pieces().size() > 1);
    uint32_t rows = 0;
    for (const MatrixPiece& piece : matrix.pieces()) {
        CHECK(piece.first_row == rows);
        CHECK(piece.quants.bytes <= options.max_range_bytes);
        CHECK(piece.scales.bytes <= options.max_range_bytes);
        rows += piece.rows;
    }
    CHECK(rows == 850);
    for (const uint32_t tokens : {1u, 5u, 9u}) {
        if (tokens > Linear::kMaxVectorTokens && type != DataType::q4_0)
            continue;  // matmul takes long to compile, and pieces are the same for all types
        check(device, op, matrix, weight.values, tokens);
        check(device, op, matrix, weight.values, tokens, Epilogue::geglu);
    }
    CHECK(device.validation_messages() == 0);
}

TEST_CASE("a matrix that the device cannot bind is refused", "[op][linear]") {
    DeviceOptions options;
    options.max_range_bytes = 1024;
    Device device(options);
    const auto fault = [&](uint32_t cols) {
        try {
            const Matrix matrix(device, DataType::f32, 40, cols);
        } catch (const Error& error) {  // the thing under test
            return error.fault();
        }
        return Fault::internal;
    };
    CHECK(fault(512) == Fault::unsupported);  // one row is too long
    CHECK(fault(64) == Fault::unsupported);   // fewer than 32 rows fit
}

TEST_CASE("rows of several sources are stacked or interleaved, in a type that holds all",
          "[op][linear]") {
    struct Case {
        DataType a, b, common;
    };
    const Case c = GENERATE(Case{DataType::f32, DataType::f32, DataType::f32},
                            Case{DataType::bf16, DataType::bf16, DataType::bf16},
                            Case{DataType::q4_0, DataType::q4_0, DataType::q4_0},
                            Case{DataType::q8_0, DataType::q8_0, DataType::q8_0},
                            Case{DataType::q4_0, DataType::q8_0, DataType::q8_0},
                            Case{DataType::q8_0, DataType::q4_0, DataType::q8_0},
                            Case{DataType::f16, DataType::bf16, DataType::f32},
                            Case{DataType::q4_0, DataType::f32, DataType::f32},
                            Case{DataType::bf16, DataType::q8_0, DataType::f32});
    const std::string variant = GENERATE("all rungs", "as GPU");
    CAPTURE(name(c.a), name(c.b), variant);
    CHECK(common_type(c.a, c.b) == c.common);
    OpTest test(variant);
    Uploader uploader(test.device);

    SECTION("stacked, of different heights") {
        const std::vector<FileRows> parts = {
            random_rows(c.a, 12, 96, 4), random_rows(c.b, 5, 96, 5), random_rows(c.b, 6, 96, 6)};
        const std::vector<RowSource> sources = {source_of(parts[0]), source_of(parts[1]),
                                                source_of(parts[2])};
        Matrix matrix(test.device, c.common, 23, 96);
        matrix.upload(uploader, sources, RowOrder::stacked);
        uploader.flush();
        check(test.device, test.ops.linear, matrix, stacked(parts).values, 2);
    }
    SECTION("interleaved") {
        const std::vector<FileRows> parts = {random_rows(c.a, 13, 96, 7),
                                             random_rows(c.b, 13, 96, 8)};
        const std::vector<RowSource> sources = {source_of(parts[0]), source_of(parts[1])};
        Matrix matrix(test.device, c.common, 26, 96);
        matrix.upload(uploader, sources, RowOrder::interleaved);
        uploader.flush();
        check(test.device, test.ops.linear, matrix, interleaved(parts).values, 2, Epilogue::geglu);
    }
}

TEST_CASE("a matrix larger than the upload's batches and staging buffers arrives whole",
          "[op][linear]") {
    const std::string variant = GENERATE("all rungs", "as GPU");
    CAPTURE(variant);
    OpTest test(variant);
    // 2.4 MB: three reads of 1 MiB, each through the ring of two staging buffers.
    const FileRows weight = random_rows(DataType::q8_0, 900, 2560, 11);
    const Matrix matrix = upload(test.device, weight);
    check(test.device, test.ops.linear, matrix, weight.values, 1);
}

// ---- the rungs that round their operands ------------------------------------------------------

namespace {

// Bars for each row of y: mean square error, and the largest error of one value, relative to `scale`
// squared and `scale`: the root mean square that sums of such products have.
struct Bars {
    double nmse, largest;
};
// Measured on lavapipe 25.0 and 26.1, the same for both: int8 1.2e-4 (of a single value from 32
// products; 3e-5 of wide rows) and 0.05, sums in f16 4.8e-6 and 0.01, coopmat 1.1e-6 and 0.0044.
Bars bars_of(Rung rung) {
    switch (rung) {
    case Rung::int_dot:
    case Rung::coopmat_int8: return {5e-4, 0.2};
    case Rung::fp16: return {2e-5, 0.04};
    default: return {4e-6, 0.02};
    }
}

bool runs(Rung rung, DataType type, uint32_t tokens) {
    const std::vector<Rung> list = Linear::candidates(type, tokens);
    return std::find(list.begin(), list.end(), rung) != list.end();
}

double rms_of(std::span<const double> values) {
    double squares = 0;
    for (const double value : values)
        squares += value * value;
    return std::sqrt(squares / static_cast<double>(values.size()));
}

void check_rows(const std::vector<double>& want, const std::vector<float>& got, uint32_t rows,
                const std::vector<double>& scales, const Bars& bars) {
    for (size_t t = 0; t < scales.size(); ++t) {
        const std::span w(want.data() + t * rows, rows);
        const std::span g(got.data() + t * rows, rows);
        const double ratio = rms_of(w) / scales[t], error = nmse(w, g) * ratio * ratio;
        const double largest = max_abs_error(w, g) / scales[t];
        CAPTURE(t);
        CHECK(error < bars.nmse);
        CHECK(largest < bars.largest);
    }
}

// Of each token's sums, were the signs of their products independent.
std::vector<double> scales_of(const std::vector<float>& x, const std::vector<double>& weight,
                              uint32_t tokens, uint32_t rows, uint32_t cols) {
    std::vector<float> x2 = x;
    std::vector<double> weight2 = weight;
    for (float& value : x2)
        value *= value;
    for (double& value : weight2)
        value *= value;
    const std::vector<double> squares = linear(x2, weight2, tokens, rows, cols);
    std::vector<double> scales(tokens);
    for (uint32_t t = 0; t < tokens; ++t) {
        for (uint32_t r = 0; r < rows; ++r)
            scales[t] += squares[size_t{t} * rows + r] / rows;
        scales[t] = std::sqrt(scales[t]);
    }
    return scales;
}

// One product on a rung, with tokens of magnitudes from 0.1 to 10^6 where `spread`.
void check_rung(OpTest& test, Rung rung, const Matrix& matrix, const std::vector<double>& weight,
                uint32_t tokens, Epilogue epilogue, bool spread, float cap = 0) {
    const uint32_t rows = matrix.rows(), cols = matrix.cols();
    const bool halves = epilogue == Epilogue::geglu, biased = epilogue >= Epilogue::bias;
    CAPTURE(name(rung), name(matrix.type()), rows, cols, tokens, epilogue, spread, cap);
    std::vector<float> x = random_floats(size_t{tokens} * cols, -1, 1, 9);  // seeds 9 to 11
    if (spread)
        for (size_t i = 0; i < x.size(); ++i)
            x[i] *= std::pow(10.0f, static_cast<float>(i / cols % 8) - 1);
    const std::vector<float> bias = random_floats(rows, -2, 2, 10);
    const uint32_t out_cols = halves ? rows / 2 : rows;
    const std::vector<float> before = random_floats(size_t{tokens} * out_cols, -2, 2, 11);
    GuardedRows in(test.device, tokens, cols, x), out(test.device, tokens, out_cols, before);
    Guarded b = guarded(test.device, bias);

    run(test.device, [&](Recorder& recorder) {
        if (biased)
            test.ops.linear.record(recorder, matrix, b.slice(), in.activation(), out.activation(),
                                   epilogue);
        else
            test.ops.linear.record(recorder, matrix, in.activation(), out.activation(), epilogue, cap);
    });

    std::vector<double> want = linear(x, weight, tokens, rows, cols);
    if (halves)
        want = geglu(want);
    for (size_t i = 0; i < want.size(); ++i) {
        if (biased)
            want[i] += bias[i % rows];
        if (epilogue == Epilogue::bias_gelu)
            want[i] = gelu_tanh(want[i]);
        if (epilogue == Epilogue::bias_add)
            want[i] += before[i];
        want[i] = softcap(want[i], cap);
    }
    std::vector<double> scales = scales_of(x, weight, tokens, rows, cols);
    if (epilogue != Epilogue::none)  // the width of `rows` averages well enough
        for (uint32_t t = 0; t < tokens; ++t)
            scales[t] = rms_of(std::span(want).subspan(size_t{t} * out_cols, out_cols));
    const std::vector<float> got = out.read();
    check_rows(want, got, out_cols, scales, bars_of(rung));
    CHECK(out.intact());
    CHECK(in.intact());
    // f32 sums are a thousand times closer: the rung has run.
    if (epilogue == Epilogue::none && cols >= 640)
        CHECK(nmse(want, got) > 1e-10);
}

}  // namespace

TEST_CASE("linear on the rungs that round their operands", "[op][linear][rungs]") {
    const Rung rung = GENERATE(from_range(rounding_rungs()));
    OpTest test(name(rung));
    for (const DataType type : kTypes) {
        const bool blocks = block_elements(type) > 1;
        // Tiles and epilogues have nothing to do with how weights are read, and software drivers
        // compile a matrix product for seconds.
        const bool thorough = type == DataType::f16 || type == DataType::q4_0;
        const std::vector<Shape> shapes =
            blocks ? std::vector<Shape>{{1, 32}, {7, 96}, {35, 160}, {130, 32}, {66, 640}}
                   : std::vector<Shape>{{1, 1}, {7, 96}, {35, 255}, {130, 33}, {66, 640}};
        for (const Shape& shape : shapes) {
            const FileRows weight = random_rows(type, shape.rows, shape.cols, shape.cols);
            const Matrix matrix = upload(test.device, weight);
            for (const uint32_t tokens : {1u, 3u, 8u, 9u, 33u, 70u}) {
                if (!runs(rung, type, tokens) || (!thorough && tokens != 3 && tokens != 33))
                    continue;
                check_rung(test, rung, matrix, weight.values, tokens, Epilogue::none, false);
                check_rung(test, rung, matrix, weight.values, tokens, Epilogue::none, true);
                if (thorough && shape.rows % 2 == 0)
                    check_rung(test, rung, matrix, weight.values, tokens, Epilogue::geglu, true);
            }
        }
    }
}

TEST_CASE("linear's epilogues on the rungs that round their operands", "[op][linear][rungs]") {
    const Rung rung = GENERATE(from_range(rounding_rungs()));
    OpTest test(name(rung));
    const FileRows weight = random_rows(DataType::q8_0, 130, 96, 18);
    const Matrix matrix = upload(test.device, weight);
    for (const uint32_t tokens : {3u, 70u}) {
        if (!runs(rung, weight.type, tokens))
            continue;
        check_rung(test, rung, matrix, weight.values, tokens, Epilogue::none, false, 30.0f);
        for (const Epilogue epilogue : kWithBias)
            check_rung(test, rung, matrix, weight.values, tokens, epilogue, false);
    }
}

TEST_CASE("linear keeps rows apart that are zero or not finite, on every rung",
          "[op][linear][rungs]") {
    const Rung rung = GENERATE(from_range(rounding_rungs()));
    OpTest test(name(rung));
    constexpr uint32_t kRows = 20, kCols = 96, kTokens = 12;
    enum : uint32_t { kZero = 1, kNaN = 4, kInfinite = 6, kTiny = 9 };
    const FileRows weight = random_rows(DataType::q8_0, kRows, kCols, 19);
    const Matrix matrix = upload(test.device, weight);
    std::vector<float> x = random_floats(size_t{kTokens} * kCols, -1, 1, 20);
    for (uint32_t k = 0; k < kCols; ++k) {
        x[kZero * kCols + k] = 0;
        x[kTiny * kCols + k] *= 1e-38f;
    }
    x[kNaN * kCols + 50] = std::numeric_limits<float>::quiet_NaN();
    x[kInfinite * kCols + 50] = -std::numeric_limits<float>::infinity();
    for (const uint32_t tokens : {8u, kTokens}) {
        if (!runs(rung, weight.type, tokens))
            continue;
        CAPTURE(name(rung), tokens);
        const std::vector<float> used(x.begin(), x.begin() + tokens * kCols);
        GuardedRows in(test.device, tokens, kCols, used), out(test.device, tokens, kRows);
        run(test.device, [&](Recorder& recorder) {
            test.ops.linear.record(recorder, matrix, in.activation(), out.activation());
        });
        const std::vector<float> got = out.read();
        const std::vector<double> want = linear(used, weight.values, tokens, kRows, kCols);
        for (uint32_t t = 0; t < tokens; ++t) {
            CAPTURE(t);
            const auto row = got.begin() + t * kRows;
            if (t == kZero)
                CHECK(std::all_of(row, row + kRows, [](float v) { return v == 0; }));
            else if (t == kNaN)
                CHECK(std::all_of(row, row + kRows, [](float v) { return std::isnan(v); }));
            else if (t == kInfinite)
                CHECK(std::none_of(row, row + kRows, [](float v) { return std::isfinite(v); }));
            else if (t == kTiny)
                CHECK(std::all_of(row, row + kRows, [](float v) { return std::abs(v) < 1e-35f; }));
            else
                CHECK(nmse(std::span(want).subspan(t * kRows, kRows), {&*row, kRows}) <
                      bars_of(rung).nmse);
        }
    }
}

TEST_CASE("linear packs activations anew for each product of a plan", "[op][linear][rungs]") {
    const Rung rung = GENERATE(from_range(rounding_rungs()));
    OpTest test(name(rung));
    // The second product needs more scratch than the first, the third runs on what the second left.
    const FileRows narrow = random_rows(DataType::q8_0, 40, 64, 21);
    const FileRows wide = random_rows(DataType::q8_0, 40, 352, 22);
    const Matrix a = upload(test.device, narrow), b = upload(test.device, wide);
    Linear op(test.device);
    constexpr uint32_t kTokens = 20;
    const std::vector<float> x = random_floats(kTokens * 64, -1, 1, 23);
    const std::vector<float> z = random_floats(kTokens * 352, -1, 1, 24);
    GuardedRows in_a(test.device, kTokens, 64, x), in_b(test.device, kTokens, 352, z);
    GuardedRows first(test.device, kTokens, 40), second(test.device, kTokens, 40),
        third(test.device, kTokens, 40);
    run(test.device, [&](Recorder& recorder) {
        op.record(recorder, a, in_a.activation(), first.activation());
        op.record(recorder, b, in_b.activation(), second.activation());
        op.record(recorder, a, in_a.activation(), third.activation());
    });
    const std::vector<double> want = linear(x, narrow.values, kTokens, 40, 64);
    const std::vector<double> scales = scales_of(x, narrow.values, kTokens, 40, 64);
    check_rows(want, first.read(), 40, scales, bars_of(rung));
    check_rows(linear(z, wide.values, kTokens, 40, 352), second.read(), 40,
               scales_of(z, wide.values, kTokens, 40, 352), bars_of(rung));
    check_rows(want, third.read(), 40, scales, bars_of(rung));

    // What was reserved is not allocated again.
    const uint64_t held = test.device.bytes_in(Arena::activations);
    op.reserve(kTokens, 352);
    CHECK(test.device.bytes_in(Arena::activations) == held);
    op.reserve(kTokens, 3520);
    const uint64_t grown = test.device.bytes_in(Arena::activations) - held;
    CHECK(grown >= uint64_t{kTokens} * 3520 * 2);
    CHECK(grown <= Linear::scratch_bytes(kTokens, 3520));
}

TEST_CASE("linear's rungs write every piece of a split matrix to its place", "[op][linear][rungs]") {
    const Rung rung = GENERATE(from_range(rounding_rungs()));
    DeviceOptions options;
    options.max_range_bytes = 32 * 1024;
    options.as_gpu = true;
    options.precision = Precision::automatic;
    Device device(options);
    const FileRows weight = random_rows(DataType::q8_0, 850, 96, 3);
    const Matrix matrix = upload(device, weight);
    REQUIRE(matrix.pieces().size() > 1);
    for (const uint32_t tokens : {5u, 9u}) {
        if (!runs(rung, weight.type, tokens))
            continue;
        for (const Rung other : Linear::candidates(weight.type, tokens))
            if (other != rung)
                device.set_aside(Linear::work(weight.type, tokens), other);
        Linear op(device);
        const std::vector<float> x = random_floats(size_t{tokens} * 96, -1, 1, 25);
        GuardedRows in(device, tokens, 96, x), out(device, tokens, 850), half(device, tokens, 425);
        run(device, [&](Recorder& recorder) {
            op.record(recorder, matrix, in.activation(), out.activation());
            op.record(recorder, matrix, in.activation(), half.activation(), Epilogue::geglu);
        });
        const std::vector<double> want = linear(x, weight.values, tokens, 850, 96);
        check_rows(want, out.read(), 850, scales_of(x, weight.values, tokens, 850, 96),
                   bars_of(rung));
        std::vector<double> scales;
        const std::vector<double> halves = geglu(want);
        for (uint32_t t = 0; t < tokens; ++t)
            scales.push_back(rms_of(std::span(halves).subspan(t * 425, 425)));
        check_rows(halves, half.read(), 425, scales, bars_of(rung));
        CHECK(out.intact());
        CHECK(half.intact());
    }
    CHECK(device.validation_messages() == 0);
}

TEST_CASE("rows of one matrix may be of several types", "[op][linear]") {
    const std::string variant = GENERATE(from_range(variants()));
    const uint32_t tokens = GENERATE(1u, 9u);
    CAPTURE(variant, tokens);
    OpTest test(variant);
    constexpr uint32_t kCols = 256;
    const std::vector<FileRows> rows = {random_rows(DataType::q4_k, 70, kCols, 1),
                                        random_rows(DataType::q6_k, 33, kCols, 2),
                                        random_rows(DataType::q8_0, 5, kCols, 3)};
    std::vector<MatrixPart> parts;
    std::vector<RowSource> sources;
    for (const FileRows& each : rows) {
        parts.push_back({each.type, each.rows});
        sources.push_back(source_of(each));
    }
    Matrix matrix(test.device, parts, kCols);
    Uploader uploader(test.device);
    matrix.upload(uploader, sources, RowOrder::stacked);
    uploader.flush();
    REQUIRE(matrix.rows() == 108);
    REQUIRE(matrix.pieces().size() == 3);
    const FileRows all = stacked(rows);
    const std::vector<float> x = random_floats(size_t{tokens} * kCols, -1, 1, 4);
    GuardedRows in(test.device, tokens, kCols, x), out(test.device, tokens, 108);
    run(test.device, [&](Recorder& recorder) {
        test.ops.linear.record(recorder, matrix, in.activation(), out.activation());
    });
    CHECK(nmse(linear(x, all.values, tokens, 108, kCols), out.read()) < 1e-12);
    CHECK(out.intact());
}

TEST_CASE("a rung that is set aside leaves linear what it is without", "[op][linear][rungs]") {
    DeviceOptions options;
    options.as_gpu = true;
    options.precision = Precision::automatic;
    Device device(options);
    Linear op(device);
    const FileRows weight = random_rows(DataType::q8_0, 70, 96, 12);
    const Matrix matrix = upload(device, weight);
    CHECK(Linear::work(DataType::q8_0, 8) == "linear q8_0 decode");
    CHECK(Linear::work(DataType::q8_0, 9) == "linear q8_0 short");
    CHECK(Linear::work(DataType::bf16, 64) == "linear bf16 short");
    CHECK(Linear::work(DataType::f16, 65) == "linear f16 long");
    for (const uint32_t tokens : {8u, 9u, 70u}) {
        for (const Rung rung : Linear::candidates(weight.type, tokens))
            device.set_aside(Linear::work(weight.type, tokens), rung);
        check(device, op, matrix, weight.values, tokens);  // at f32's bar
    }
}

}  // namespace olivine::test
