#include "engine/ops/attention.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

#include "shaders/params.h"

namespace olivine {
namespace {

// Queries that share every key a workgroup reads. More reuse, more registers: 8 queries with a
// 256-wide head are 64 floats a thread at 32 threads. Software drivers have 8 or fewer threads, and
// compile the unrolled queries on one thread before the first token. A tile of one row, as decode has,
// depends on no other: its keys begin with the first that the row sees.
uint32_t rows_per_tile(const Device& device, const HeadShape& shape) {
    const uint32_t queries = device.capabilities().software ? 4 : 8;
    return device.deterministic() ? 1 : std::max(1u, queries / (shape.heads / shape.kv_heads));
}

constexpr uint32_t rounded_up(uint32_t value, uint32_t unit) {
    return (value + unit - 1) / unit * unit;
}

// For rows [first, end) and keys of one piece.
shader::AttentionParams params_of(const KvLayer& layer, const KvPiece& piece, uint32_t first, uint32_t end,
                                  const HeadShape& shape, float softcap, const Activation& dst) {
    assert(first < end && end <= dst.rows);
    assert(dst.cols == shape.heads * shape.head_dim && shape.heads % shape.kv_heads == 0);
    return {.heads = shape.heads,
            .kv_heads = shape.kv_heads,
            .head_dim = shape.head_dim,
            .padded_dim = shape.padded_dim(),
            .first_row = first,
            .rows = end,
            .capacity = layer.capacity,
            .pages = layer.pages,
            .key_first = piece.first,
            .key_end = piece.end,
            .carried = 0,
            .window = layer.window,
            .dst_stride = dst.stride,
            .softcap = softcap};
}

// What one workgroup of a shader with matrices takes on: queries, keys at a time, the head's width
// in whole matrices.
struct MatrixTile {
    uint32_t rows = 0, keys = 0, dim = 0, subgroups = 0;
};

// Shared memory of shaders/include/attention_tile.glsl, and of the shader itself.
uint32_t shared_bytes(const MatrixTile& tile, KvType type, uint32_t matrix_cols, Rung rung) {
    uint32_t bytes = (tile.rows + tile.keys) * (tile.dim + 8) * 2 + tile.rows * 12;
    if (type == KvType::f32)
        bytes += tile.keys * 8;
    if (rung == Rung::coopmat)
        bytes += tile.rows * ((std::max(tile.keys, tile.subgroups * matrix_cols) + 4) * 4 +
                              (tile.keys + 8) * 2);
    return bytes;
}

// Rows are 0 where no tile fits.
MatrixTile matrix_tile(const Capabilities& caps, const HeadShape& shape, KvType type, Rung rung) {
    const auto& [m, n, k] = rung == Rung::coopmat2 ? caps.coopmat2 : caps.coopmat;
    // Queries that share every key a workgroup reads. The smaller tiles are for wide heads where
    // shared memory is scarce.
    for (const auto& [rows, keys] : {std::pair{64u, 32u}, {32u, 32u}, {16u, 32u}, {16u, 16u}}) {
        if (rows % m != 0 || keys % n != 0 || keys % k != 0)
            continue;
        // With coopmat2 a subgroup owns whole rows, and of them one block: of matrices with more,
        // Mesa 26.1's lavapipe reduces the first alone right. Else all share the tile's blocks.
        const uint32_t subgroups = rung == Rung::coopmat2 ? rows / m : 4;
        // In attention_coopmat2.comp two matrices hold the output of a head wider than 128.
        const uint32_t parts = rung == Rung::coopmat2 && shape.head_dim > 128 ? 2 : 1;
        const MatrixTile tile{rows, keys, rounded_up(shape.head_dim, parts * std::max(n, k)),
                              subgroups};
        const uint32_t threads = subgroups * caps.subgroup_size;
        // Lanes of one subgroup share a row: eight to copy it, and for its softmax with coopmat
        // as many as there are threads for a row.
        if (caps.subgroup_size % 8 == 0 && caps.subgroup_size <= 64 &&
            std::has_single_bit(threads) && threads <= caps.max_threads &&
            subgroups <= caps.max_subgroups &&
            (rung == Rung::coopmat2 || threads >= rows) && rows >= shape.heads / shape.kv_heads &&
            shared_bytes(tile, type, n, rung) <= caps.max_shared_bytes)
            return tile;
    }
    return {};
}

}  // namespace

Attention::Attention(Device& device)
    : variants_(device, "attention", 8, sizeof(shader::AttentionParams)),
      matrices_(device, "attention", 6, sizeof(shader::AttentionParams)) {}

std::string Attention::work(const HeadShape& shape, KvType type, bool decode) {
    return std::string("attention ") + name(type) + " " + std::to_string(shape.head_dim) +
           (decode ? " decode" : " prefill");
}

std::vector<Rung> Attention::candidates(KvType, bool decode) {
    if (decode)
        return {};
    return {Rung::coopmat2, Rung::coopmat};
}

uint32_t Attention::splits_for(uint32_t keys) {
    return std::clamp((keys + kSplitKeys - 1) / kSplitKeys, 1u, kMaxSplits);
}

uint64_t Attention::parts_bytes(const HeadShape& shape, uint32_t rows) {
    return uint64_t{rows} * shape.heads * kMaxSplits * (shape.padded_dim() + 4) * 4;
}

uint64_t Attention::carried_bytes(const HeadShape& shape, uint32_t rows) {
    constexpr uint32_t kMostTile = 8;  // rows that a tile may have beyond the last
    return uint64_t{rows + kMostTile} * shape.heads * (shape.padded_dim() + 4) * 4;
}

uint64_t Attention::arrivals_bytes(const HeadShape& shape, uint32_t rows) {
    return uint64_t{rows} * shape.kv_heads * 4;
}

std::optional<Rung> Attention::rung(const HeadShape& shape, KvType type, bool decode) const {
    const Device& device = variants_.device();
    const RungSet rungs = device.rungs(work(shape, type, decode));
    for (const Rung each : candidates(type, decode))
        if (rungs.has(each) && matrix_tile(device.capabilities(), shape, type, each).rows > 0)
            return each;
    return {};
}

void Attention::record_prefill(Recorder& recorder, const Slice& q, const KvLayer& layer,
                               const Slice& rows, const HeadShape& shape, float softcap,
                               const Activation& dst, const AttentionScratch& scratch,
                               uint32_t first, uint32_t count) {
    const Range range{first, count > 0 ? first + count : dst.rows};
    const auto with = rung(shape, layer.type, false);
    if (with && layer.pieces.size() == 1)
        return record_matrices(recorder, *with, q, layer, rows, range, shape, softcap, dst);
    record(recorder, rows_per_tile(variants_.device(), shape), false, {}, q, layer, rows, range, shape,
           softcap, dst, scratch);
}

void Attention::record_decode(Recorder& recorder, const Slice& q, const KvLayer& layer,
                              const Slice& rows, const Slice& grid, const HeadShape& shape,
                              float softcap, const Activation& dst,
                              const AttentionScratch& scratch) {
    // Prompts' are never split, and how many pieces there are depends on the longest row.
    const bool may_split = !variants_.device().deterministic();
    const bool split = may_split && (grid.buffer || splits_for(layer.window) > 1);
    record(recorder, 1, split, may_split ? grid : Slice{}, q, layer, rows, {0, dst.rows}, shape, softcap, dst,
           scratch);
}

void Attention::record_matrices(Recorder& recorder, Rung with, const Slice& q, const KvLayer& layer,
                                const Slice& rows, Range range, const HeadShape& shape,
                                float softcap, const Activation& dst) {
    const Capabilities& caps = matrices_.device().capabilities();
    const auto& [m, n, k] = with == Rung::coopmat2 ? caps.coopmat2 : caps.coopmat;
    const MatrixTile tile = matrix_tile(caps, shape, layer.type, with);
    const uint32_t group = shape.heads / shape.kv_heads, tokens = tile.rows / group;
    const Pipeline& pipeline = matrices_.get(
        std::string("attention_") + name(layer.type) + "_" + name(with),
        tile.subgroups * caps.subgroup_size,
        {group, tile.rows, tile.keys, tile.dim, tile.subgroups, m, n, k, softcap > 0 ? 1u : 0u});
    const KvPiece& piece = layer.pieces.front();
    recorder.dispatch(pipeline, {q, piece.keys, piece.values, rows, dst.slice, KvLayer::table_of(piece)},
                      params_of(layer, piece, range.first, range.end, shape, softcap, dst),
                      {.x = shape.kv_heads, .y = (range.end - range.first + tokens - 1) / tokens});
}

void Attention::record(Recorder& recorder, uint32_t tokens, bool split, const Slice& grid,
                       const Slice& q, const KvLayer& layer, const Slice& rows, Range range,
                       const HeadShape& shape, float softcap, const Activation& dst,
                       const AttentionScratch& scratch) {
    const uint32_t threads = variants_.subgroup_threads();
    const uint32_t quads = (shape.padded_dim() / 4 + threads - 1) / threads;
    const Pipeline& pipeline = variants_.get(
        "attention_" + variants_.kv_suffix(layer.type) + variants_.subgroup_suffix(), threads,
        {shape.heads / shape.kv_heads, tokens, quads, split ? 1u : 0u, softcap > 0 ? 1u : 0u,
         layer.pieces.size() > 1 ? 1u : 0u});
    const Grid tiles{.x = shape.kv_heads,
                     .y = (range.end - range.first + tokens - 1) / tokens,
                     .z = split ? splits_for(layer.window) : 1};
    const uint32_t part = (shape.padded_dim() / 4 + 1) * (shape.heads / shape.kv_heads) * tokens;  // vec4
    for (const KvPiece& piece : layer.pieces) {
        shader::AttentionParams params = params_of(layer, piece, range.first, range.end, shape, softcap, dst);
        // Behind the parts, where there are any.
        params.carried = split ? tiles.y * tiles.x * (grid.buffer ? kMaxSplits : tiles.z) * part : 0;
        assert(layer.pieces.size() == 1 ||
               (params.carried + tiles.y * tiles.x * part) * 16ull <= scratch.parts.bytes);
        const std::initializer_list<Slice> buffers = {
            q,         piece.keys,    piece.values,     rows,
            dst.slice, scratch.parts, scratch.arrivals, KvLayer::table_of(piece)};
        if (grid.buffer)
            recorder.dispatch_indirect(pipeline, buffers, params, grid);
        else
            recorder.dispatch(pipeline, buffers, params, tiles);
    }
}

}  // namespace olivine
