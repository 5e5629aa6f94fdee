#include "engine/ops/linear.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <string>

#include "shaders/params.h"

namespace olivine {
namespace {

// Rows of the weight that one workgroup walks together, so that an activation is loaded once for
// all of them. Even, because GeGLU pairs rows.
constexpr uint32_t kVectorRows = 4;

// How a product runs: which shader, its constants, and how many weight rows and tokens one workgroup
// computes.
struct Shape {
    const char* shader;
    uint32_t threads;
    std::vector<uint32_t> constants;  // from id 2 on
    uint32_t rows, tokens;
};

Shape shape_for(const Variants& variants, uint32_t tokens, uint32_t cols) {
    const Capabilities& caps = variants.device().capabilities();
    const uint32_t whole = cols % 16 == 0;
    if (tokens <= Linear::kMaxVectorTokens)
        return {"matvec", variants.subgroup_threads(),
                {kVectorRows, std::bit_ceil(tokens), whole}, kVectorRows, tokens};
    if (caps.software) {
        // Rows x tokens, measured on lavapipe (Mesa 25.0): tokens/s for a 128-token prompt of 270M Q8_0,
        // and seconds to the built-in model's first token with empty shader caches (the driver
        // compiles on one thread, at first use):  4 x 2 34, 3.3;  4 x 4 42, 3.7;  8 x 4 46, 5.2.
        constexpr uint32_t kRowsEach = 4, kTokensEach = 4;
        const uint32_t threads = variants.subgroup_threads();
        return {"matmul_direct", threads, {cols % 4 == 0, kRowsEach, kTokensEach}, kRowsEach,
                threads * kTokensEach};
    }
    // 4 x 4 sums a thread: 64 x 64 tiles by 256 threads, 32 x 32 where there are fewer.
    const uint32_t lanes = caps.max_threads < 256 ? 8 : 16;
    return {"matmul", lanes * lanes, {lanes, lanes, whole, 4, 4}, lanes * 4, lanes * 4};
}

}  // namespace

Linear::Linear(Device& device) : variants_(device, "linear", 5, sizeof(shader::LinearParams)) {}

std::string Linear::work(DataType type, uint32_t tokens) {
    const char* size = tokens <= kMaxVectorTokens ? "decode" : tokens <= 64 ? "short" : "long";
    return "linear " + type_suffix(type) + " " + size;
}

std::vector<Rung> Linear::candidates(DataType, uint32_t) { return {}; }

void Linear::record(Recorder& recorder, const Matrix& weight, const Activation& x,
                    const Activation& y, Epilogue epilogue, float softcap) {
    assert(epilogue == Epilogue::none || epilogue == Epilogue::geglu);
    record(recorder, weight, x.slice, x, y, epilogue, softcap);  // the bias is not read
}

void Linear::record(Recorder& recorder, const Matrix& weight, const Slice& bias,
                    const Activation& x, const Activation& y, Epilogue epilogue) {
    assert(epilogue >= Epilogue::bias && bias.bytes >= weight.rows() * 4ull);
    record(recorder, weight, bias, x, y, epilogue, 0);
}

void Linear::record(Recorder& recorder, const Matrix& weight, const Slice& bias,
                    const Activation& x, const Activation& y, Epilogue epilogue, float softcap) {
    const bool geglu = epilogue == Epilogue::geglu;
    assert(x.cols == weight.cols() && x.rows == y.rows);
    assert(y.cols == (geglu ? weight.rows() / 2 : weight.rows()));
    const RowLayout& layout = weight.layout();
    Shape shape = shape_for(variants_, x.rows, layout.cols);
    shape.constants.push_back(static_cast<uint32_t>(epilogue));
    std::string variant = shape.shader + ("_" + type_suffix(weight.type()));
    if (geglu)
        variant += "_geglu";
    if (variant.rfind("matmul_direct", 0) != 0)
        variant += variants_.subgroup_suffix();  // matmul_direct shares nothing between threads
    const Pipeline& pipeline = variants_.get(variant, shape.threads, shape.constants);
    for (const MatrixPiece& piece : weight.pieces()) {
        const shader::LinearParams params{.rows = piece.rows,
                                          .cols = layout.cols,
                                          .row_units = layout.units,
                                          .row_scales = layout.scale_words,
                                          .tokens = x.rows,
                                          .x_stride = x.stride / 4,
                                          .y_stride = y.stride,
                                          .y_first = geglu ? piece.first_row / 2 : piece.first_row,
                                          .softcap = softcap};
        // Row groups go along x and, beyond what drivers promise for one dimension, along z.
        const Grid rows = folded((piece.rows + shape.rows - 1) / shape.rows);
        const Grid grid{.x = rows.x, .y = (x.rows + shape.tokens - 1) / shape.tokens, .z = rows.y};
        recorder.dispatch(pipeline, {piece.quants, piece.scales, x.slice, y.slice, bias}, params, grid);
    }
}

}  // namespace olivine
