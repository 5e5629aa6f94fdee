#version 450
// rope_store: from the fused projection [q heads | k heads | v heads] of each row
//   q = rope(norm(q), position) * query_scale   -> q buffer
//   k = rope(norm(k), position)                 -> cache, the slot of its position
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
//   binding 5  keys    include/kv.glsl                                              write
//   binding 6  values  like keys                                                    write
//   binding 7  pages   [sequences][pages]                               uint        read, unless a ring
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
#define KV_BINDING_PAGES 7
#include "include/kv.glsl"

layout(binding = 0) readonly buffer Qkv { float qkv[]; };
layout(binding = 1) readonly buffer Rows { Row rows[]; };
layout(binding = 2) readonly buffer Rope { vec2 rope[]; };
layout(binding = 3) readonly buffer Norms { float norms[]; };
layout(binding = 4) writeonly buffer Q { vec4 q[]; };
layout(push_constant) uniform Push { RopeStoreParams p; };

const uint kFinePositions = 1024;

// What main() has found of its head.
uint src_at, half_dim, norm_at, fine_at, coarse_at;
float norm_scale;
bool is_value;

// Numbers 4 * quad to 4 * quad + 3 of the head, zeros beyond it.
vec4 quad_of(uint quad) {
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
    return value;
}

void main() {
    const uint head = gl_WorkGroupID.x;
    const uint r = gl_WorkGroupID.y;
    const Row row = rows[r];
    src_at = r * p.qkv_stride + head * p.head_dim;
    half_dim = p.head_dim / 2;
    is_value = head >= p.heads + p.kv_heads;
    const bool is_query = head < p.heads;
    // A piece takes the keys and values of its positions; the first one all queries.
    if (is_query ? p.key_first > 0 : row.position < p.key_first || row.position >= p.key_end)
        return;

    norm_scale = 1.0;
    if (kNorm && !is_value) {
        float squares = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < p.head_dim; i += gl_WorkGroupSize.x)
            squares += qkv[src_at + i] * qkv[src_at + i];
        norm_scale = inversesqrt(group_sum(squares) / float(p.head_dim) + p.eps);
    }
    norm_at = is_query ? 0 : p.head_dim;
    fine_at = (row.position % kFinePositions) * half_dim;
    const uint step_index = min(row.position / kFinePositions, p.coarse_steps - 1);  // in the table
    coarse_at = (kFinePositions + step_index) * half_dim;

    if (is_query) {
        for (uint quad = gl_LocalInvocationID.x; quad * 4 < p.padded_dim; quad += gl_WorkGroupSize.x)
            q[(r * p.heads + head) * (p.padded_dim / 4) + quad] = quad_of(quad) * p.query_scale;
        return;
    }
    const uint kv_head = head - p.heads - (is_value ? p.kv_heads : 0);
    const uint to = kv_head_at(kv_slot(row.sequence, row.position), kv_head);
#ifdef KV_Q8_0
    // Two blocks share the word of their scales.
    for (uint two = gl_LocalInvocationID.x; two * 2 < kv_blocks; two += gl_WorkGroupSize.x) {
        vec2 scales = vec2(0.0);
        [[dont_unroll]] for (uint b = 0; b < 2 && two * 2 + b < kv_blocks; ++b) {
            const uint first = (two * 2 + b) * kBlockQuads;
            vec4 block[kBlockQuads];
            float largest = 0.0;
            for (uint i = 0; i < kBlockQuads; ++i) {
                block[i] = quad_of(first + i);
                const vec4 size = abs(block[i]);
                largest = max(largest, max(max(size.x, size.y), max(size.z, size.w)));
            }
            // The scale as it is stored, unless a compiler takes the two for nothing: then the steps are off by
            // what it is rounded by.
            scales[b] = unpackHalf2x16(packHalf2x16(vec2(largest / 127.0, 0.0))).x;
            const float inverse = scales[b] > 0.0 ? 1.0 / scales[b] : 0.0;
            for (uint i = 0; i < kBlockQuads; ++i) {
                const ivec4 quants = ivec4(clamp(round(block[i] * inverse), -127.0, 127.0)) & 0xff;
                const uint word =
                    uint(quants.x | quants.y << 8 | quants.z << 16 | quants.w << 24);
                if (is_value)
                    values[to + first + i] = word;
                else
                    keys[to + first + i] = word;
            }
        }
        const uint word = packHalf2x16(scales);
        if (is_value)
            values[to + kv_blocks * kBlockQuads + two] = word;
        else
            keys[to + kv_blocks * kBlockQuads + two] = word;
    }
#else
    for (uint quad = gl_LocalInvocationID.x; quad * 4 < p.padded_dim; quad += gl_WorkGroupSize.x) {
        const vec4 value = quad_of(quad);
        if (is_value)
            values[to + quad] = kv_pack(value);
        else
            keys[to + quad] = kv_pack(value);
    }
#endif
}
