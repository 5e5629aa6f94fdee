#include "engine/ops/attention.h"

#include <algorithm>
#include <cassert>

#include "engine/error.h"

#include "shaders/params.h"

namespace olivine {
namespace {

// Queries that share every key a workgroup reads. More reuse, more registers: 8 queries with a
// 256-wide head are 64 floats a thread at 32 threads. Software drivers have 8 or fewer threads, and
// compile the unrolled queries on one thread before the first token.
uint32_t queries_per_tile(const Device& device) { return device.capabilities().software ? 4 : 8; }

}  // namespace

Attention::Attention(Device& device) : variants_(device, "attention", 7, sizeof(shader::AttentionParams)) {}

std::string Attention::work(const HeadShape& shape, KvType type, bool decode) {
    return format_text("attention %s %u %s", type == KvType::f32 ? "f32" : "f16", shape.head_dim,
                       decode ? "decode" : "prefill");
}

std::vector<Rung> Attention::candidates(KvType, bool) { return {}; }

uint32_t Attention::local_splits(uint32_t window) {
    return std::clamp((window + kSplitKeys - 1) / kSplitKeys, 1u, kMaxSplits);
}

uint64_t Attention::parts_bytes(const HeadShape& shape, uint32_t rows) {
    return uint64_t{rows} * shape.heads * kMaxSplits * (shape.padded_dim() + 4) * 4;
}

uint64_t Attention::arrivals_bytes(const HeadShape& shape, uint32_t rows) {
    return uint64_t{rows} * shape.kv_heads * 4;
}

void Attention::record_prefill(Recorder& recorder, const Slice& q, const KvLayer& layer,
                               const Slice& rows, const HeadShape& shape, float softcap,
                               const Activation& dst, const AttentionScratch& scratch,
                               uint32_t first, uint32_t count) {
    const uint32_t group = shape.heads / shape.kv_heads;
    const Range range{first, count > 0 ? first + count : dst.rows};
    record(recorder, std::max(1u, queries_per_tile(variants_.device()) / group), false, {}, q, layer,
           rows, range, shape, softcap, dst, scratch);
}

void Attention::record_decode(Recorder& recorder, const Slice& q, const KvLayer& layer,
                              const Slice& rows, const Slice& grid, const HeadShape& shape,
                              float softcap, const Activation& dst,
                              const AttentionScratch& scratch) {
    const bool split = grid.buffer || local_splits(layer.window) > 1;
    record(recorder, 1, split, grid, q, layer, rows, {0, dst.rows}, shape, softcap, dst, scratch);
}

void Attention::record(Recorder& recorder, uint32_t tokens, bool split, const Slice& grid,
                       const Slice& q, const KvLayer& layer, const Slice& rows, Range range,
                       const HeadShape& shape, float softcap, const Activation& dst,
                       const AttentionScratch& scratch) {
    assert(range.first < range.end && range.end <= dst.rows);
    assert(dst.cols == shape.heads * shape.head_dim && shape.heads % shape.kv_heads == 0);
    const uint32_t threads = variants_.subgroup_threads();
    const uint32_t quads = (shape.padded_dim() / 4 + threads - 1) / threads;
    const Pipeline& pipeline = variants_.get(
        "attention_" + variants_.kv_suffix(layer.type) + variants_.subgroup_suffix(), threads,
        {shape.heads / shape.kv_heads, tokens, quads, split ? 1u : 0u, softcap > 0 ? 1u : 0u});
    const shader::AttentionParams params{.heads = shape.heads,
                                         .kv_heads = shape.kv_heads,
                                         .head_dim = shape.head_dim,
                                         .padded_dim = shape.padded_dim(),
                                         .first_row = range.first,
                                         .rows = range.end,
                                         .capacity = layer.capacity,
                                         .window = layer.window,
                                         .dst_stride = dst.stride,
                                         .softcap = softcap};
    const std::initializer_list<Slice> buffers = {q,    layer.keys,   layer.values,    rows,
                                                  dst.slice, scratch.parts, scratch.arrivals};
    if (grid.buffer)
        recorder.dispatch_indirect(pipeline, buffers, params, grid);
    else
        recorder.dispatch(pipeline, buffers, params,
                          {.x = shape.kv_heads,
                           .y = (range.end - range.first + tokens - 1) / tokens,
                           .z = split ? local_splits(layer.window) : 1});
}

}  // namespace olivine
