#include "engine/ops/linear.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "engine/block_format.h"
#include "shaders/params.h"

namespace olivine {
namespace {

// Rows of the weight that one workgroup of matvec walks together, so that an activation is loaded
// once for all of them. Even, because GeGLU pairs rows. Four rows of eight tokens took 252 registers on
// RDNA3, which leaves 6 waves; two rows take 84, 18 waves (docs/radv.md).
uint32_t vector_rows(uint32_t tokens) { return tokens > 4 ? 2 : 4; }
// Tokens of the class "short".
constexpr uint32_t kMaxShortTokens = 64;

// Its codes are int8, with one scale for 32.
bool has_int8(DataType type) { return type == DataType::q8_0 || type == DataType::q4_0; }
bool takes_int8(Rung rung) { return rung == Rung::int_dot || rung == Rung::coopmat_int8; }

uint32_t blocks_of(uint32_t cols) { return (cols + 31) / 32; }
uint64_t aligned(uint64_t bytes) { return (bytes + 255) / 256 * 256; }
// Packed values take two bytes each at most, scales a float a block.
uint64_t value_bytes(uint32_t tokens, uint32_t cols) {
    return aligned(uint64_t{tokens} * blocks_of(cols) * 64);
}

}  // namespace

Linear::Linear(Device& device)
    : variants_(device, "linear", 5, sizeof(shader::LinearParams)),
      packed_variants_(device, "linear", 6, sizeof(shader::LinearParams)),
      straight_variants_(device, "linear", 5, sizeof(shader::StraightParams)),
      scale_variants_(device, "linear", 3, sizeof(shader::ScaleParams)),
      norm_variants_(device, "linear", 8, sizeof(shader::LinearParams)),
      straight_norm_variants_(device, "linear", 8, sizeof(shader::StraightParams)) {}

std::string Linear::work(DataType type, uint32_t tokens) {
    return "linear " + type_suffix(type) +
           (tokens <= kMaxDecodeTokens  ? " decode"
            : tokens <= kMaxShortTokens ? " short"
                                        : " long");
}

std::vector<Rung> Linear::candidates(DataType type, uint32_t tokens) {
    if (tokens <= kMaxDecodeTokens)
        return has_int8(type) ? std::vector{Rung::int_dot} : std::vector<Rung>{};
    if (has_int8(type))
        return {Rung::coopmat2, Rung::coopmat_int8, Rung::coopmat, Rung::int_dot, Rung::fp16};
    return {Rung::coopmat2, Rung::coopmat, Rung::fp16};
}

uint64_t Linear::scratch_bytes(uint32_t tokens, uint32_t cols) {
    return value_bytes(tokens, cols) + aligned(uint64_t{tokens} * blocks_of(cols) * 4);
}

void Linear::reserve(uint32_t tokens, uint32_t cols) {
    const RungSet rungs = variants_.device().rungs("linear");
    if (tokens <= kMaxDecodeTokens || rungs == rungs.up_to(Rung::storage16))
        return;
    const uint64_t bytes = scratch_bytes(tokens, cols);
    if (scratch_.empty() || scratch_.back().bytes() < bytes)
        scratch_.emplace_back(variants_.device(), Arena::activations, bytes);
}

// Nothing: the driver lacks what matmul_straight needs, or would compile it for long.
std::optional<Linear::Shape> Linear::straight_shape(DataType type, uint32_t tokens, uint32_t cols) const {
    const Capabilities& caps = variants_.device().capabilities();
    constexpr uint32_t kLanes = 8;
    // Of one lane: about three seconds to compile, where Q8_0 has half of these types' code to a product.
    const uint32_t code = is_blocks(type) || type == DataType::f16 ? 2 : 1;
    const uint32_t most_cols = 4096 / code, most_products = 8192 / code;
    // A table's values are loaded lane by lane: nothing gained, and 15 s to compile.
    const bool table = is_blocks(type) && block_format(type).table;
    if (!caps.addresses || !variants_.has(Rung::subgroup) || caps.subgroup_size != kLanes || table ||
        cols > most_cols)
        return {};
    // Measured on lavapipe (Mesa 25.0), GFLOP/s of Q8_0 with 640 and 2048 columns for 1, 2, 4, 8 tokens:
    // 40 and 28, 37 and 50, 66 and 50, 50 and 82; but eight take three times as long to compile as four.
    // One token is summed in another order than several.
    const uint32_t each = variants_.device().deterministic()
                              ? 1
                              : std::min({4u, std::bit_ceil(tokens), std::bit_floor(most_products / cols)});
    return Shape{"matmul_straight", kLanes, {cols, each}, kLanes, each};
}

Linear::Shape Linear::base_shape(DataType type, uint32_t tokens, uint32_t cols) const {
    const Capabilities& caps = variants_.device().capabilities();
    const uint32_t whole = cols % 16 == 0;
    if (const std::optional<Shape> straight = straight_shape(type, tokens, cols))
        return *straight;
    if (caps.software) {
        // Measured on lavapipe (Mesa 25.0), GFLOP/s of 270M's matrices: Q8_0, 1 token 7 to 9, from
        // 8 tokens on 20 (rows x tokens 4 x 4 9, 4 x 16 20, 2 x 8 6, 8 x 8 17); Q4_0 10 and 21. Two
        // rows a lane are too few for an activation, and with eight the driver's code outgrows the
        // CPU's instruction cache.
        constexpr uint32_t kRowsEach = 4, kMostTokens = 8;
        const uint32_t threads = variants_.subgroup_threads();
        const uint32_t each = std::min(kMostTokens, std::bit_ceil(tokens));
        return {"matmul_direct", threads, {kRowsEach, each, whole}, kRowsEach * threads, tokens};
    }
    if (tokens <= kMaxVectorTokens) {
        const uint32_t rows = vector_rows(tokens);
        return {"matvec", variants_.subgroup_threads(), {rows, std::bit_ceil(tokens), whole}, rows, tokens};
    }
    // 4 x 4 sums a thread: 64 x 64 tiles by 256 threads, 32 x 32 where there are fewer.
    const uint32_t lanes = caps.max_threads < 256 ? 8 : 16;
    return {"matmul", lanes * lanes, {lanes, lanes, whole, 4, 4}, lanes * 4, lanes * 4};
}

std::optional<Linear::Shape> Linear::rung_shape(DataType type, Rung rung, uint32_t cols,
                                                uint32_t tokens) const {
    const Capabilities& caps = variants_.device().capabilities();
    if (tokens <= kMaxDecodeTokens) {
        if (!variants_.has(Rung::subgroup))
            return {};
        return base_shape(type, tokens, cols);
    }
    if (rung == Rung::int_dot || rung == Rung::fp16) {
        const uint32_t lanes = caps.max_threads < 256 ? 8 : 16;
        const uint32_t words = rung == Rung::int_dot ? 8 : 16;  // of one row of a tile
        return Shape{"matmul", lanes * lanes, {lanes, lanes, 4, 4}, lanes * 4, lanes * 4,
                     lanes * 4 * (2 * words + 2) * 4};
    }
    // A subgroup has 32 tokens x 32 rows, and the workgroup two by two of them; for few tokens
    // less of both, so that fewer products are of nothing. Matrices of 8 x 8 are software's, which
    // compiles for a minute where there are sixteen of them.
    constexpr uint32_t kGroupsRows = 2, kDepth = 32;
    const MatrixShape& matrix = rung == Rung::coopmat2       ? caps.coopmat2
                                : rung == Rung::coopmat_int8 ? caps.coopmat_int8
                                                             : caps.coopmat;
    const uint32_t each_rows = matrix.m * matrix.n < 128 ? 16 : 32;
    const uint32_t each_tokens = tokens <= 16 ? 16 : each_rows;
    const uint32_t groups_tokens = tokens <= 32 ? 1 : 2;
    if (each_tokens % matrix.m != 0 || each_rows / 2 % matrix.n != 0 || kDepth % matrix.k != 0 ||
        groups_tokens * kGroupsRows > caps.max_subgroups)
        return {};
    Shape shape{"matmul", groups_tokens * kGroupsRows * caps.subgroup_size, {},
                each_rows * kGroupsRows, each_tokens * groups_tokens};
    // coopmat2 takes any multiple: a subgroup's part is a single matrix, or two with GeGLU.
    if (rung == Rung::coopmat2)
        shape.constants = {each_tokens, each_rows, kDepth, 1, 1, groups_tokens, kGroupsRows};
    else
        shape.constants = {matrix.m,    matrix.n, matrix.k, each_tokens / matrix.m, each_rows / matrix.n,
                           groups_tokens, kGroupsRows};
    const uint32_t row_bytes = (rung == Rung::coopmat_int8 ? kDepth : kDepth * 2) + 16;
    shape.shared_bytes = std::max((shape.rows + shape.tokens) * row_bytes,
                                  shape.tokens * (shape.rows * 4 + 16)) +
                         (shape.rows + shape.tokens) * 4;
    return shape;
}

std::optional<Rung> Linear::rung(DataType type, uint32_t cols, uint32_t tokens) const {
    const Device& device = variants_.device();
    const Capabilities& caps = device.capabilities();
    if (tokens > kMaxDecodeTokens && value_bytes(tokens, cols) > caps.max_range_bytes)
        return {};
    const RungSet rungs = device.rungs(work(type, tokens));
    for (const Rung each : candidates(type, tokens)) {
        if (!rungs.has(each))
            continue;
        const std::optional<Shape> shape = rung_shape(type, each, cols, tokens);
        if (shape && shape->threads <= caps.max_threads && shape->shared_bytes <= caps.max_shared_bytes)
            return each;
    }
    return {};
}

Linear::Packed Linear::pack(Recorder& recorder, const Activation& x, Rung rung) {
    reserve(x.rows, x.cols);
    const Buffer& scratch = scratch_.back();
    const uint32_t blocks = blocks_of(x.cols);
    const shader::ScaleParams params{.tokens = x.rows, .cols = x.cols, .x_stride = x.stride / 4};
    Packed packed{scratch.slice(0, value_bytes(x.rows, x.cols)), {}};
    const uint64_t scales_at = packed.values.bytes;
    if (takes_int8(rung)) {
        constexpr uint32_t kThreads = 64;
        packed.scales = scratch.slice(scales_at, uint64_t{x.rows} * blocks * 4);
        recorder.dispatch(scale_variants_.get("block_scale", kThreads),
                          {x.slice, packed.values, packed.scales}, params,
                          folded((x.rows * blocks + kThreads - 1) / kThreads));
        return packed;
    }
    // The largest value of a row becomes 2^top or up to twice that: for matrices near the end of
    // f16, so that the small values keep their digits; for sums in f16 such that those of eight
    // products with quants of -128, or with other weights up to 511, don't overflow.
    const uint32_t top = rung == Rung::fp16 ? 3 : 14;
    packed.scales = scratch.slice(scales_at, uint64_t{x.rows} * 4);
    recorder.dispatch(scale_variants_.get("row_scale" + scale_variants_.subgroup_suffix(),
                                          scale_variants_.row_threads(), {top}),
                      {x.slice, packed.values, packed.scales}, params, folded(x.rows));
    return packed;
}

void Linear::record(Recorder& recorder, const Matrix& weight, const Activation& x,
                    const Activation& y, Epilogue epilogue, float softcap) {
    assert(epilogue == Epilogue::none || epilogue == Epilogue::geglu);
    record(recorder, weight, x, y, End{.epilogue = epilogue, .bias = x.slice, .softcap = softcap});
}

void Linear::record(Recorder& recorder, const Matrix& weight, const Slice& bias,
                    const Activation& x, const Activation& y, Epilogue epilogue) {
    assert(epilogue >= Epilogue::bias && bias.bytes >= weight.rows() * 4ull);
    record(recorder, weight, x, y, End{.epilogue = epilogue, .bias = bias});
}

bool Linear::norms_as_it_ends(const Matrix& weight, uint32_t tokens) const {
    if (tokens != 1 || weight.pieces().size() != 1 || !variants_.has(Rung::subgroup) ||
        variants_.device().deterministic())  // where one token's norm is summed as several tokens' are
        return false;
    const Shape shape = base_shape(weight.type(), tokens, weight.cols());
    // The last workgroup is one subgroup, which takes three walks along the row where a dispatch of
    // its own has 256 threads. As long as a lane has few elements, that costs less than the
    // dispatch. Not measured on a card.
    constexpr uint32_t kMostEach = 24;
    return shape.shader == "matmul_straight" ||
           (shape.shader == "matvec" && weight.rows() <= kMostEach * shape.threads);
}

void Linear::record_branch(Recorder& recorder, ResidualNorm& residual_norm, const Matrix& weight,
                           const Activation& x, const Activation& branch, const BranchEnd& end) {
    assert(end.norms.bytes >= weight.rows() * 8ull);
    if (norms_as_it_ends(weight, x.rows))
        return record(recorder, weight, x, branch, End{.branch = &end});
    record(recorder, weight, x, branch);
    residual_norm.record(recorder, branch, end.norms, end.stream, end.dst, end.eps);
}

void Linear::record(Recorder& recorder, const Matrix& weight, const Activation& x, const Activation& y,
                    const End& end) {
    assert(x.cols == weight.cols() && x.rows == y.rows);
    assert(y.cols == (end.epilogue == Epilogue::geglu ? weight.rows() / 2 : weight.rows()));
    const Device& device = variants_.device();
    if (device.deterministic() && !device.capabilities().software && x.rows > kMaxVectorTokens) {
        // What matmul computes it sums in another order than matvec.
        for (uint32_t first = 0; first < x.rows; first += kMaxVectorTokens) {
            const uint32_t count = std::min(kMaxVectorTokens, x.rows - first);
            record(recorder, weight, x.middle(first, count), y.middle(first, count), end);
        }
        return;
    }
    const std::vector<MatrixPiece>& pieces = weight.pieces();
    for (auto first = pieces.begin(); first != pieces.end();) {
        const auto last = std::find_if(first, pieces.end(), [&](const MatrixPiece& piece) {
            return piece.layout.type != first->layout.type;
        });
        record(recorder, {first, last}, x, y, end);
        first = last;
    }
}

void Linear::record(Recorder& recorder, std::span<const MatrixPiece> pieces, const Activation& x,
                    const Activation& y, const End& end) {
    const bool geglu = end.epilogue == Epilogue::geglu;
    const RowLayout& layout = pieces.front().layout;
    const std::optional<Rung> with = rung(layout.type, layout.cols, x.rows);
    Shape shape = with ? *rung_shape(layout.type, *with, layout.cols, x.rows)
                       : base_shape(layout.type, x.rows, layout.cols);
    if (geglu && with == Rung::coopmat2) {
        constexpr uint32_t kMatRows = 1, kMatsRows = 4;  // of the constants
        shape.constants[kMatRows] /= 2;
        shape.constants[kMatsRows] *= 2;
    }
    shape.constants.push_back(static_cast<uint32_t>(end.epilogue));
    append_format(shape.constants, layout);
    if (shape.shader == "matvec" && variants_.device().deterministic())
        shape.constants.push_back(1);
    std::string variant = shape.shader + "_" + shader_suffix(layout.type);
    if (geglu)
        variant += "_geglu";
    if (end.branch)
        variant += "_norm";
    const bool straight = shape.shader == "matmul_straight";
    if (with)
        variant += std::string("_") + name(*with);
    else if (!straight && shape.shader != "matmul_direct")  // which share nothing between threads
        variant += variants_.subgroup_suffix();

    const bool packs = with && x.rows > kMaxDecodeTokens;
    const Packed packed = packs ? pack(recorder, x, *with) : Packed{};
    Variants& variants = end.branch ? (straight ? straight_norm_variants_ : norm_variants_)
                         : packs    ? packed_variants_
                         : straight ? straight_variants_
                                    : variants_;
    const Pipeline& pipeline = variants.get(variant, shape.threads, shape.constants);
    for (const MatrixPiece& piece : pieces) {
        recorder.need(piece.group);
        const shader::LinearParams params{.rows = piece.rows,
                                          .cols = layout.cols,
                                          .row_units = layout.units,
                                          .row_scales = layout.scale_words,
                                          .tokens = x.rows,
                                          .x_stride = x.stride / 4,
                                          .y_stride = y.stride,
                                          .y_first = geglu ? piece.first_row / 2 : piece.first_row,
                                          .softcap = end.softcap,
                                          .eps = end.branch ? end.branch->eps : 0};
        // Row groups go along x and, beyond what drivers promise for one dimension, along z.
        const Grid rows = folded((piece.rows + shape.rows - 1) / shape.rows);
        const Grid grid{.x = rows.x, .y = (x.rows + shape.tokens - 1) / shape.tokens, .z = rows.y};
        std::vector<Slice> buffers = {piece.quants, piece.scales, packs ? packed.values : x.slice, y.slice};
        if (const BranchEnd* branch = end.branch)
            buffers.insert(buffers.end(),
                           {branch->norms, branch->stream.slice, branch->dst.slice, branch->arrivals});
        else
            buffers.push_back(end.bias);
        if (packs)
            buffers.push_back(packed.scales);
        if (straight)
            recorder.dispatch(
                pipeline, buffers,
                shader::StraightParams{params, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}, grid);
        else
            recorder.dispatch(pipeline, buffers, params, grid);
    }
}

}  // namespace olivine
