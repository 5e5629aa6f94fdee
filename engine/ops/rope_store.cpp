#include "engine/ops/rope_store.h"

#include <cassert>
#include <cmath>
#include <vector>

#include "shaders/params.h"

namespace olivine {
namespace {

constexpr uint32_t kFinePositions = 1024;  // as in the shader

uint32_t coarse_steps_for(uint32_t positions) {
    return (positions + kFinePositions - 1) / kFinePositions;
}

}  // namespace

RopeTable::RopeTable(Device& device, uint32_t head_dim, double theta, double factor,
                     uint32_t positions)
    : coarse_steps_(coarse_steps_for(positions)) {
    const uint32_t pairs = head_dim / 2;
    std::vector<float> table;
    table.reserve(size_t{kFinePositions + coarse_steps_} * pairs * 2);
    for (uint32_t entry = 0; entry < kFinePositions + coarse_steps_; ++entry) {
        const double position = entry < kFinePositions
                                    ? double(entry)
                                    : double(entry - kFinePositions) * kFinePositions;
        for (uint32_t i = 0; i < pairs; ++i) {
            const double angle = position * std::pow(theta, -2.0 * i / head_dim) / factor;
            table.push_back(static_cast<float>(std::cos(angle)));
            table.push_back(static_cast<float>(std::sin(angle)));
        }
    }
    buffer_ = Buffer(device, Arena::weights, table.size() * sizeof(float));
    write(device, buffer_.slice(), std::as_bytes(std::span(table)));
}

uint64_t RopeTable::bytes(uint32_t head_dim, uint32_t positions) {
    return uint64_t{kFinePositions + coarse_steps_for(positions)} * (head_dim / 2) * 8;
}

RopeStore::RopeStore(Device& device) : variants_(device, "rope_store", 8, sizeof(shader::RopeStoreParams)) {}

void RopeStore::record(Recorder& recorder, const Activation& qkv, const Slice& rows,
                       const RopeTable* table, const Slice& norms, const HeadShape& shape,
                       float query_scale, float eps, const Slice& q, const KvLayer& layer) {
    assert(qkv.cols == (shape.heads + 2 * shape.kv_heads) * shape.head_dim);
    const uint32_t norm = norms.buffer != nullptr;
    const Pipeline& pipeline = variants_.get(
        "rope_store_" + variants_.kv_suffix(layer.type) + variants_.subgroup_suffix(),
        variants_.subgroup_threads(), {norm, table ? 1u : 0u});
    shader::RopeStoreParams params{.heads = shape.heads,
                                   .kv_heads = shape.kv_heads,
                                   .head_dim = shape.head_dim,
                                   .padded_dim = shape.padded_dim(),
                                   .qkv_stride = qkv.stride,
                                   .capacity = layer.capacity,
                                   .pages = layer.pages,
                                   .key_first = 0,
                                   .key_end = 0,
                                   .coarse_steps = table ? table->coarse_steps() : 1,
                                   .query_scale = query_scale,
                                   .eps = eps};
    // Where there is no table or no norm, the shader does not read that binding.
    for (const KvPiece& piece : layer.pieces) {
        params.key_first = piece.first;
        params.key_end = piece.end;
        recorder.dispatch(pipeline,
                          {qkv.slice, rows, table ? table->slice() : qkv.slice, norm ? norms : qkv.slice,
                           q, piece.keys, piece.values, KvLayer::table_of(piece)},
                          params, {.x = shape.heads + 2 * shape.kv_heads, .y = qkv.rows});
    }
}

}  // namespace olivine
