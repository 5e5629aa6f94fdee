#version 450
// rope_store: from the fused projection [q heads | k heads | v heads] of each row
//   q = rope(norm(q), position) * query_scale   -> q buffer
//   k = rope(norm(k), position)                 -> cache, slot position % capacity
//   v = v                                       -> cache
//
// norm(h)[i] = h[i] / sqrt(mean(h^2) + eps) * (1 + weight[i]), per head, only with kNorm.
// rope rotates the pairs (i, i + head_dim / 2) by position * frequency[i], only with kRotate.
//
// The angle is never formed: a float product is off by 1e-2 at position 100,000. Sine and cosine
// come from two tables made in double: fine (positions 0..1023) and coarse (multiples of 1024),
// joined by the addition theorem. Measured against double: 2e-7 at any position up to 1,000,000.
//
// One workgroup per head and row. A thread owns vec4s of the result, and reads the partner of each of
// its numbers too: nothing is shared, so nothing waits. Heads are padded to padded_dim with zeros, so
// that attention reads whole vec4s whatever head_dim is.
//
//   binding 0  qkv     [rows][(heads + 2 kv_heads) * head_dim]          f32         read
//   binding 1  rows    [rows]                                           Row         read
//   binding 2  rope    [1024 + coarse_steps][head_dim / 2]              cos, sin    read
//   binding 3  norms   [2][head_dim]: q norm, then k norm               f32         read
//   binding 4  q       [rows][heads][padded_dim]                        f32         write
//   binding 5  keys    [sequence][capacity][kv_heads][padded_dim]       f32 or f16  write
//   binding 6  values  [sequence][capacity][kv_heads][padded_dim]       f32 or f16  write
//
// C++ side: engine/ops/rope_store.cpp      Test: tests/ops/rope_store_test.cpp
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "params.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const bool kNorm = true;
layout(constant_id = 3) const bool kRotate = true;
#include "include/reduce.glsl"

#define KV_ACCESS writeonly
#define KV_BINDING_K 5
#define KV_BINDING_V 6
#include "include/kv.glsl"

layout(binding = 0) readonly buffer Qkv { float qkv[]; };
layout(binding = 1) readonly buffer Rows { Row rows[]; };
layout(binding = 2) readonly buffer Rope { vec2 rope[]; };
layout(binding = 3) readonly buffer Norms { float norms[]; };
layout(binding = 4) writeonly buffer Q { vec4 q[]; };
layout(push_constant) uniform Push { RopeStoreParams p; };

const uint kFinePositions = 1024;

void main() {
    const uint head = gl_WorkGroupID.x;
    const uint r = gl_WorkGroupID.y;
    const Row row = rows[r];
    const uint src_at = r * p.qkv_stride + head * p.head_dim;
    const uint half_dim = p.head_dim / 2;
    const bool is_value = head >= p.heads + p.kv_heads;
    const bool is_key = !is_value && head >= p.heads;

    float norm_scale = 1.0;
    if (kNorm && !is_value) {
        float squares = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < p.head_dim; i += gl_WorkGroupSize.x)
            squares += qkv[src_at + i] * qkv[src_at + i];
        norm_scale = inversesqrt(group_sum(squares) / float(p.head_dim) + p.eps);
    }

    const uint norm_at = is_key ? p.head_dim : 0;
    const uint fine_at = (row.position % kFinePositions) * half_dim;
    const uint step_index = min(row.position / kFinePositions, p.coarse_steps - 1);  // in the table
    const uint coarse_at = (kFinePositions + step_index) * half_dim;

    for (uint quad = gl_LocalInvocationID.x; quad * 4 < p.padded_dim; quad += gl_WorkGroupSize.x) {
        vec4 value = vec4(0.0);
        [[dont_unroll]] for (uint j = 0; j < 4; ++j) {
            const uint i = quad * 4 + j;
            if (i >= p.head_dim)
                break;
            float own = qkv[src_at + i];
            if (!is_value) {
                const bool first_half = i < half_dim;
                const uint pair = first_half ? i : i - half_dim;
                const uint partner_at = first_half ? i + half_dim : pair;
                float partner = qkv[src_at + partner_at];
                if (kNorm) {
                    own *= norm_scale * (1.0 + norms[norm_at + i]);
                    partner *= norm_scale * (1.0 + norms[norm_at + partner_at]);
                }
                if (kRotate) {
                    const vec2 fine = rope[fine_at + pair], coarse = rope[coarse_at + pair];
                    const float c = coarse.x * fine.x - coarse.y * fine.y;
                    const float s = coarse.y * fine.x + coarse.x * fine.y;
                    own = own * c + (first_half ? -partner : partner) * s;
                }
            }
            value[j] = own;
        }
        if (!is_value && !is_key) {
            q[(r * p.heads + head) * (p.padded_dim / 4) + quad] = value * p.query_scale;
            continue;
        }
        const uint kv_head = head - p.heads - (is_value ? p.kv_heads : 0);
        const uint to = kv_index(row.sequence, row.position % p.capacity, kv_head, p.capacity, p.kv_heads,
                                 p.padded_dim) + quad;
        if (is_value)
            values[to] = kv_pack(value);
        else
            keys[to] = kv_pack(value);
    }
}
