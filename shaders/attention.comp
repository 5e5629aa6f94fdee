#version 450
// attention: dst[r][h] = sum_s softmax_s(cap(q[r][h] . k[s][h / group])) v[s][h / group]
//            over the keys s that row r sees: s <= last_visible(r), |s - position(r)| < window
//
// Flash attention: keys are visited in tiles of one key a thread, the softmax is carried along as a
// running maximum and sum, and no score ever goes to memory. A workgroup owns one key/value head, so
// that the kGroup query heads sharing it, and kTokens neighbouring rows, read every key once.
//
//   scores: a thread owns a key and walks head_dim; the queries are the same for all threads.
//   output: a thread owns vec4s of head_dim and walks the tile's keys, whose probabilities it gets
//           from the threads that own them.
//
// Tiles outside the window are never visited. In decode the key range is cut over gl_WorkGroupID.z
// (split-KV): each piece writes its maximum, sum and output to `parts`, and the workgroup that
// arrives last for a head, told by a counter, joins them. Nobody waits for anybody, so no forward
// progress is assumed. Rows of one tile belong to one sequence and have consecutive positions.
//
// A cache in pieces (kCarry) is a dispatch a piece, in their order. What a tile's rows have summed so far
// lies behind the parts, in the same form; the piece that has the last key they see writes dst.
//
//   binding 0  q         [rows][heads][padded_dim]                    f32         read
//   binding 1  keys      include/kv.glsl                                          read
//   binding 2  values    like keys                                                read
//   binding 3  rows      [rows]                                       Row         read
//   binding 4  dst       [rows][heads * head_dim]                     f32         write
//   binding 5  parts     [tile][kv head][split][kQueries][padded_dim + 4]  f32    read and write
//   binding 6  arrivals  [tile][kv head]: left at zero                uint        read and write
//   binding 7  pages     [sequences][pages]                           uint        read, unless a ring
//
// C++ side: engine/ops/attention.cpp      Test: tests/ops/attention_test.cpp
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "params.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint kGroup = 1;    // query heads a key/value head
layout(constant_id = 3) const uint kTokens = 1;   // rows a tile
layout(constant_id = 4) const uint kQuads = 8;    // vec4s of head_dim each thread owns
layout(constant_id = 5) const bool kSplit = false;
layout(constant_id = 6) const bool kSoftcap = true;
layout(constant_id = 7) const bool kCarry = false;
#include "include/reduce.glsl"
#include "include/activation.glsl"

#define KV_ACCESS readonly
#define KV_BINDING_K 1
#define KV_BINDING_V 2
#define KV_BINDING_PAGES 7
#include "include/kv.glsl"

layout(binding = 0) readonly buffer Q { vec4 q[]; };
layout(binding = 3) readonly buffer Rows { Row rows[]; };
layout(binding = 4) writeonly buffer Dst { float dst[]; };
layout(binding = 5) coherent buffer Parts { vec4 parts[]; };
layout(binding = 6) coherent buffer Arrivals { uint arrivals[]; };
layout(push_constant) uniform Push { AttentionParams p; };

const uint kQueries = kGroup * kTokens;
const float kMinusInfinity = -3.0e38;  // finite, so that differences of two of them are zero

shared uint arrived;

// Gives every thread each thread's value: by the subgroup where it is the whole workgroup, else
// through shared memory. `share` and `unshare` stand around the reads.
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
shared float everyones[kOneSubgroup ? 1 : kQueries * gl_WorkGroupSize.x];

void share(float own[kQueries]) {
    if (kOneSubgroup)
        return;
    for (uint i = 0; i < kQueries; ++i)
        everyones[i * gl_WorkGroupSize.x + gl_LocalInvocationID.x] = own[i];
    barrier();
}

float shared_by(uint thread, uint i, float own) {
#ifdef SUBGROUP
    if (kOneSubgroup)
        return subgroupShuffle(own, thread);
#endif
    return everyones[i * gl_WorkGroupSize.x + thread];
}

void unshare() {
    if (!kOneSubgroup)
        barrier();
}

void write_head(uint query, uint quad, vec4 value, uint kv_head, uint first_row) {
    const uint r = first_row + query / kGroup;
    if (r >= p.rows)
        return;
    const uint head = kv_head * kGroup + query % kGroup;
    for (uint j = 0; j < 4; ++j)
        if (quad * 4 + j < p.head_dim)
            dst[r * p.dst_stride + head * p.head_dim + quad * 4 + j] = value[j];
}

void main() {
    const uint lane = gl_LocalInvocationID.x;
    const uint kv_head = gl_WorkGroupID.x;
    const uint tile = gl_WorkGroupID.y;
    const uint first_row = p.first_row + tile * kTokens;
    const uint last_row = min(first_row + kTokens, p.rows) - 1;
    const uint quads = p.padded_dim / 4;
    const uint sequence = rows[first_row].sequence;

    // The keys that any row of the tile sees: [begin, end).
    const uint first_position = rows[first_row].position;
    uint begin = 0;
    if (p.window > 0 && first_position + 1 > p.window)
        begin = first_position + 1 - p.window;
    uint end = 0;
    for (uint r = first_row; r <= last_row; ++r)
        end = max(end, rows[r].last_visible + 1);
    const bool ends = !kCarry || end <= p.key_end;
    if (kCarry) {
        if (end <= p.key_first)
            return;
        begin = max(begin, p.key_first);
        end = min(end, p.key_end);
    }

    uint piece_begin = begin, piece_end = end;
    if (kSplit) {
        const uint keys_each = (end - begin + gl_NumWorkGroups.z - 1) / gl_NumWorkGroups.z;
        piece_begin = min(begin + gl_WorkGroupID.z * keys_each, end);
        piece_end = min(piece_begin + keys_each, end);
    }

    uint q_at[kQueries];
    float maximum[kQueries], total[kQueries];
    vec4 sums[kQueries * kQuads];
    for (uint i = 0; i < kQueries; ++i) {
        const uint r = min(first_row + i / kGroup, last_row);
        q_at[i] = (r * p.heads + kv_head * kGroup + i % kGroup) * quads;
        maximum[i] = kMinusInfinity;
        total[i] = 0.0;
    }
    for (uint i = 0; i < kQueries * kQuads; ++i)
        sums[i] = vec4(0.0);
    // One part: the output's vec4s, then (maximum, total, -, -).
    const uint part_quads = quads + 1;
    const uint head_at = tile * p.kv_heads + kv_head;
    const uint carried_at = p.carried + head_at * kQueries * part_quads;
    if (kCarry && !kSplit && p.key_first > 0)
        [[dont_unroll]] for (uint i = 0; i < kQueries; ++i) {
            const uint at = carried_at + i * part_quads;
            maximum[i] = parts[at + quads].x;
            total[i] = parts[at + quads].y;
            for (uint c = 0; c < kQuads; ++c)
                sums[i * kQuads + c] = parts[at + min(c * gl_WorkGroupSize.x + lane, quads - 1)];
        }

    for (uint first_key = piece_begin; first_key < piece_end; first_key += gl_WorkGroupSize.x) {
        const uint key = first_key + lane;
        const uint keys_at = kv_head_at(kv_slot(sequence, min(key, piece_end - 1)), kv_head);
        float e[kQueries];
        for (uint i = 0; i < kQueries; ++i)
            e[i] = 0.0;
        for (uint c = 0; c < quads; ++c) {
            const vec4 k = kv_quad(keys, keys_at, c);
            for (uint i = 0; i < kQueries; ++i)
                e[i] += dot(q[q_at[i] + c], k);
        }
        for (uint i = 0; i < kQueries; ++i) {
            const Row row = rows[min(first_row + i / kGroup, last_row)];
            const uint distance = key > row.position ? key - row.position : row.position - key;
            const bool visible = key < piece_end && key <= row.last_visible &&
                                 (p.window == 0 || distance < p.window);
            const float score = !visible ? kMinusInfinity : kSoftcap ? capped(e[i], p.softcap) : e[i];
            const float larger = max(maximum[i], group_max(score));
            e[i] = visible ? exp(score - larger) : 0.0;
            const float shrink = exp(maximum[i] - larger);
            total[i] = total[i] * shrink + group_sum(e[i]);
            maximum[i] = larger;
            for (uint c = 0; c < kQuads; ++c)
                sums[i * kQuads + c] *= shrink;
        }
        share(e);
        const uint keys_here = min(gl_WorkGroupSize.x, piece_end - first_key);
        uint slot = 0;
        for (uint s = 0; s < keys_here; ++s) {
            slot = s == 0 || kv_slot_jumps(slot, first_key + s) ? kv_slot(sequence, first_key + s) : slot + 1;
            const uint values_at = kv_head_at(slot, kv_head);
            float probability[kQueries];
            for (uint i = 0; i < kQueries; ++i)
                probability[i] = shared_by(s, i, e[i]);
            for (uint c = 0; c < kQuads; ++c) {
                const uint quad = min(c * gl_WorkGroupSize.x + lane, quads - 1);
                const vec4 v = kv_quad(values, values_at, quad);
                for (uint i = 0; i < kQueries; ++i)
                    sums[i * kQuads + c] += probability[i] * v;
            }
        }
        unshare();
    }

    if (!kSplit && !ends) {
        [[dont_unroll]] for (uint i = 0; i < kQueries; ++i) {
            for (uint c = 0; c < kQuads; ++c)
                if (c * gl_WorkGroupSize.x + lane < quads)
                    parts[carried_at + i * part_quads + c * gl_WorkGroupSize.x + lane] =
                        sums[i * kQuads + c];
            if (lane == 0)
                parts[carried_at + i * part_quads + quads] = vec4(maximum[i], total[i], 0.0, 0.0);
        }
        return;
    }
    if (!kSplit) {
        for (uint i = 0; i < kQueries; ++i)
            for (uint c = 0; c < kQuads; ++c)
                write_head(i, c * gl_WorkGroupSize.x + lane, sums[i * kQuads + c] / total[i], kv_head,
                           first_row);
        return;
    }

    const uint parts_at = head_at * gl_NumWorkGroups.z * kQueries * part_quads;
    for (uint i = 0; i < kQueries; ++i) {
        const uint at = parts_at + (gl_WorkGroupID.z * kQueries + i) * part_quads;
        for (uint c = 0; c < kQuads; ++c) {
            const uint quad = c * gl_WorkGroupSize.x + lane;
            if (quad < quads)
                parts[at + quad] = sums[i * kQuads + c];
        }
        if (lane == 0)
            parts[at + quads] = vec4(maximum[i], total[i], 0.0, 0.0);
    }
    memoryBarrierBuffer();
    barrier();
    if (lane == 0)
        arrived = atomicAdd(arrivals[head_at], 1);
    barrier();
    if (arrived + 1 < gl_NumWorkGroups.z)
        return;
    memoryBarrierBuffer();

    const bool carries = kCarry && p.key_first > 0;
    [[dont_unroll]] for (uint i = 0; i < kQueries; ++i) {
        const uint own = carried_at + i * part_quads;
        const vec4 before = carries ? parts[own + quads] : vec4(kMinusInfinity, 0.0, 0.0, 0.0);
        float largest = before.x;
        for (uint s = 0; s < gl_NumWorkGroups.z; ++s)
            largest = max(largest, parts[parts_at + (s * kQueries + i) * part_quads + quads].x);
        float all = before.y * exp(before.x - largest);
        for (uint s = 0; s < gl_NumWorkGroups.z; ++s) {
            const vec4 part = parts[parts_at + (s * kQueries + i) * part_quads + quads];
            all += part.y * exp(part.x - largest);
        }
        if (kCarry && !ends)
            barrier();  // everyone has read what lane 0 writes over
        for (uint c = 0; c < kQuads; ++c) {
            const uint quad = c * gl_WorkGroupSize.x + lane;
            if (quad >= quads)
                continue;
            vec4 sum = carries ? parts[own + quad] * exp(before.x - largest) : vec4(0.0);
            for (uint s = 0; s < gl_NumWorkGroups.z; ++s) {
                const uint at = parts_at + (s * kQueries + i) * part_quads;
                sum += parts[at + quad] * exp(parts[at + quads].x - largest);
            }
            if (ends)
                write_head(i, quad, sum / all, kv_head, first_row);
            else
                parts[own + quad] = sum;
        }
        if (!ends && lane == 0)
            parts[own + quads] = vec4(largest, all, 0.0, 0.0);
    }
    if (lane == 0)
        arrivals[head_at] = 0;
}
