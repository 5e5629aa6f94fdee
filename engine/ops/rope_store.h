// q/k norm, rotary embedding, and keys and values into the cache.     Shader: shaders/rope_store.comp
#pragma once

#include "engine/ops/activation.h"
#include "engine/ops/kv_layer.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

// cos and sin of position * frequency in two levels, joined in the shader by the addition theorem:
// fine [1024][head_dim / 2], then coarse [ceil(positions / 1024)][head_dim / 2]. Made in double.
class RopeTable {
public:
    RopeTable() = default;
    // frequency_i = theta^(-2i / head_dim) / factor radians a position (Su et al., RoFormer,
    // arXiv 2104.09864; factor: linear position scaling). positions: how many there can be.
    RopeTable(Device& device, uint32_t head_dim, double theta, double factor, uint32_t positions);

    Slice slice() const { return buffer_.slice(); }
    uint32_t coarse_steps() const { return coarse_steps_; }
    static uint64_t bytes(uint32_t head_dim, uint32_t positions);

private:
    Buffer buffer_;
    uint32_t coarse_steps_ = 0;
};

class RopeStore {
public:
    explicit RopeStore(Device& device);
    // qkv: [rows][(heads + 2 kv_heads) * head_dim]; rows: [rows] shader::Row, positions below what
    // the table holds; table: null for no rotation; norms: [2][head_dim] f32, q then k, or an empty
    // slice for none; q: [rows][heads][padded_dim] f32.
    void record(Recorder& recorder, const Activation& qkv, const Slice& rows,
                const RopeTable* table, const Slice& norms, const HeadShape& shape,
                float query_scale, float eps, const Slice& q, const KvLayer& layer);

private:
    Variants variants_;
};

}  // namespace olivine
