#include "engine/ops/random_fill.h"

#include <cassert>

#include "engine/block_format.h"
#include "shaders/params.h"

namespace olivine {
namespace {

enum Kind : uint32_t { f32_values, f16_pairs, bf16_pairs, int8_quants, nibble_quants, f16_scales };

Kind kind_of(DataType type) {
    switch (type) {
    case DataType::f32: return f32_values;
    case DataType::f16: return f16_pairs;
    case DataType::bf16: return bf16_pairs;
    case DataType::q8_0: return int8_quants;
    case DataType::q4_0: return nibble_quants;
    default: return f32_values;
    }
}

}  // namespace

RandomFill::RandomFill(Device& device) : variants_(device, "random_fill", 1, sizeof(shader::RandomFillParams)) {}

void RandomFill::fill(Recorder& recorder, const Slice& slice, uint32_t kind, uint32_t seed, float scale) {
    constexpr uint32_t kThreads = 64;
    const uint32_t words = static_cast<uint32_t>(slice.bytes / 4);
    const shader::RandomFillParams params{.words = words, .kind = kind, .seed = seed, .scale = scale};
    recorder.dispatch(variants_.get("random_fill", kThreads), {slice}, params,
                      folded((words + kThreads * 4 - 1) / (kThreads * 4)));
}

void RandomFill::record(Recorder& recorder, const Matrix& matrix, uint32_t seed, float scale) {
    for (const MatrixPiece& piece : matrix.pieces()) {
        const DataType type = piece.layout.type;
        assert(!is_blocks(type));
        fill(recorder, piece.quants, kind_of(type), seed, scale);
        if (piece.layout.scale_words > 0)  // quants reach 127 and 8
            fill(recorder, piece.scales, f16_scales, seed,
                 scale / (type == DataType::q8_0 ? 127.0f : 8.0f));
        ++seed;
    }
}

void RandomFill::record(Recorder& recorder, const KvLayer& layer, uint32_t seed, float scale) {
    const Kind kind = layer.type == KvType::f32 ? f32_values : f16_pairs;
    // Any bits are quants; the halves among them are the scales.
    const float size = layer.type == KvType::q8_0 ? scale / 127 : scale;
    for (const KvPiece& piece : layer.pieces) {
        fill(recorder, piece.keys, kind, seed, size);
        fill(recorder, piece.values, kind, seed + 1, size);
    }
}

}  // namespace olivine
