// The shaders matvec, matmul and matmul_direct, through engine/ops/linear.h.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <cmath>

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
// own test case, and matvec for many tokens without subgroups, which runs for two types.
bool within(const std::string& variant, DataType type, uint32_t tokens) {
    const bool vector = tokens <= Linear::kMaxVectorTokens;
    if (variant == "as GPU")
        return vector;
    return variant != "tier 0" || !vector || tokens == 1 || tokens == 3 || type == DataType::f32 ||
           type == DataType::q4_0;
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
            if (within(variant, type, tokens) &&
                size_t{tokens} * shape.rows * shape.cols < 4'000'000)
                check(test.device, test.ops.linear, matrix, weight.values, tokens);
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
            if (within(variant, type, tokens))
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
            if (within(variant, weight.type, tokens) && (tokens != 3 || variant != "tier 0"))
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
        if (!within(variant, weight.type, tokens))
            continue;
        check(test.device, test.ops.linear, matrix, weight.values, tokens, Epilogue::none, 30.0f);
        // Sums of 10^5 and beyond: tanh is flat there and must not become NaN.
        check(test.device, test.ops.linear, matrix, weight.values, tokens, Epilogue::none, 30.0f,
              1e5f);
    }
}

TEST_CASE("linear with more rows than one dimension of a grid takes", "[op][linear]") {
    OpTest test("all rungs");
    // Four rows a workgroup and 32768 workgroups a dimension: 131,072 and some.
    const FileRows weight = random_rows(DataType::f16, 131086, 2, 13);
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
        if (!within(variant, type, tokens))
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

}  // namespace olivine::test
