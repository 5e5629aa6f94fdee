#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>

#include "shaders/params.h"
#include "tests/support/device.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/reference.h"

namespace olivine::test {
namespace {

constexpr float kScale = 33.9411f;  // sqrt(1152)

// Rows of a step that ask for these tokens.
std::vector<shader::Row> rows_for(const std::vector<uint32_t>& tokens) {
    std::vector<shader::Row> rows;
    for (const uint32_t token : tokens)
        rows.push_back({.token = token, .position = 7, .sequence = 0, .last_visible = 7});
    return rows;
}

std::vector<double> lookup(const FileRows& table, const std::vector<uint32_t>& tokens) {
    std::vector<double> want;
    for (const uint32_t token : tokens)
        for (uint32_t c = 0; c < table.cols; ++c)
            want.push_back(table.values[size_t{token} * table.cols + c] * double{kScale});
    return want;
}

}  // namespace

TEST_CASE("embed looks rows up, scales and norms them", "[op][embed]") {
    const std::string variant = GENERATE(from_range(variants()));
    const DataType type = static_cast<DataType>(GENERATE(range(0u, kDataTypes)));
    const uint32_t cols = GENERATE(1u, 7u, 255u, 32u, 96u, 256u, 640u, 768u, 1152u, 5376u);
    if (cols % block_elements(type) != 0)
        return;
    CAPTURE(variant, name(type), cols);
    OpTest test(variant);
    const FileRows table = random_rows(type, 19, cols, 1);
    const std::vector<uint32_t> tokens = {18, 0, 7, 7, 1};
    const std::vector<float> weight = random_floats(cols, -1, 1, 4);
    const Matrix matrix = upload(test.device, table);
    Guarded rows = guarded(test.device, rows_for(tokens)), w = guarded(test.device, weight);
    GuardedRows d(test.device, 5, cols), n(test.device, 5, cols);

    run(test.device, [&](Recorder& recorder) {
        test.ops.embed.record(recorder, matrix, rows.slice(), d.activation(), kScale, w.slice(),
                              n.activation(), 1e-6f);
    });

    const std::vector<double> want = lookup(table, tokens);
    // One product: measured 1.5e-15 (f32 rounding), 0 on many.
    CHECK(nmse(want, d.read()) < 1e-13);
    // As rms_norm's own test: measured up to 2e-14.
    CHECK(nmse(rms_norm(std::span<const double>(want), weight, 1e-6), n.read()) < 1e-12);
    CHECK(d.intact());
    CHECK(n.intact());
}

TEST_CASE("embed finds rows in every piece of a table", "[op][embed]") {
    const DataType type = GENERATE(DataType::bf16, DataType::q8_0);
    CAPTURE(name(type));
    DeviceOptions options;
    options.max_range_bytes = 32 * 1024;  // 32 x 96 values or more a piece
    Device device(options);
    Embed embed(device);
    const FileRows table = random_rows(type, 1000, 96, 2);
    const Matrix matrix = upload(device, table);
    REQUIRE(matrix.pieces().size() > 3);
    std::vector<uint32_t> tokens;  // the first and last row of every piece
    for (const MatrixPiece& piece : matrix.pieces()) {
        CHECK(piece.quants.bytes <= options.max_range_bytes);
        tokens.push_back(piece.first_row + piece.rows - 1);
        tokens.push_back(piece.first_row);
    }
    Guarded rows = guarded(device, rows_for(tokens));
    const uint32_t count = static_cast<uint32_t>(tokens.size());
    GuardedRows d(device, count, 96), n(device, count, 96);
    const std::vector<float> weight = random_floats(96, -1, 1, 4);
    Guarded w = guarded(device, weight);

    run(device, [&](Recorder& recorder) {
        embed.record(recorder, matrix, rows.slice(), d.activation(), kScale, w.slice(), n.activation(),
                     1e-6f);
    });

    const std::vector<double> want = lookup(table, tokens);
    CHECK(nmse(want, d.read()) < 1e-13);
    CHECK(nmse(rms_norm(std::span<const double>(want), weight, 1e-6), n.read()) < 1e-12);
    CHECK(d.intact());
    CHECK(n.intact());
    CHECK(device.validation_messages() == 0);
}

TEST_CASE("embed leaves a row alone whose token the table does not have", "[op][embed]") {
    OpTest test("all rungs");
    const FileRows table = random_rows(DataType::f32, 4, 32, 3);
    const Matrix matrix = upload(test.device, table);
    Guarded rows = guarded(test.device, rows_for({4, 0xffffffffu}));
    GuardedRows d(test.device, 2, 32), n(test.device, 2, 32);
    const std::vector<float> before(64, 5.0f);
    d.write(before);
    n.write(before);
    Guarded w = guarded(test.device, std::vector<float>(32));

    run(test.device, [&](Recorder& recorder) {
        test.ops.embed.record(recorder, matrix, rows.slice(), d.activation(), 1, w.slice(), n.activation(),
                              1e-6f);
    });

    CHECK(d.read() == before);
    CHECK(n.read() == before);
    CHECK(d.intact());
    CHECK(n.intact());
}

}  // namespace olivine::test
