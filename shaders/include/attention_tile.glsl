// One workgroup's tiles for attention by matrices: queries, keys and values in shared memory, as
// halves, zero beyond the head and beyond the last key.
//
// A row of f32 numbers need not fit a half. Each is divided by its unit, the power of two that leaves
// its largest magnitude in [1, 2), so that nothing overflows, nothing that matters is lost below, and
// the units multiply the scores, or the probabilities, exactly. Halves of the cache stay as they are.
//
// A tile has kRows queries: the kGroup query heads of a key/value head for each of kTokens rows, in
// that order. The including shader has SUBGROUP's shuffles and full subgroups of a known size.
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "params.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint kGroup = 1;      // query heads a key/value head
layout(constant_id = 3) const uint kRows = 16;      // of the query tile, at least kGroup
layout(constant_id = 4) const uint kKeys = 16;      // of a tile
layout(constant_id = 5) const uint kDim = 16;       // head_dim, rounded up to whole matrices
layout(constant_id = 6) const uint kSubgroups = 1;  // in the workgroup
layout(constant_id = 7) const uint kM = 16;         // a product is [kM][kK] x [kK][kN]
layout(constant_id = 8) const uint kN = 16;
layout(constant_id = 9) const uint kK = 16;
layout(constant_id = 10) const bool kSoftcap = true;
#include "include/activation.glsl"

#define KV_ACCESS readonly
#define KV_BINDING_K 1
#define KV_BINDING_V 2
#define KV_BINDING_PAGES 5
#include "include/kv.glsl"

layout(binding = 0) readonly buffer Q { vec4 q[]; };
layout(binding = 3) readonly buffer Rows { Row rows[]; };
layout(binding = 4) writeonly buffer Dst { float dst[]; };
layout(push_constant) uniform Push { AttentionParams p; };

const uint kTokens = kRows / kGroup;
const uint kStride = kDim / 4 + 2;    // of a tile's row, in f16vec4; 16 bytes more spread the banks
const float kMinusInfinity = -3.0e38; // finite, so that differences of two of them are zero

shared f16vec4 q_tile[kRows * kStride];
shared f16vec4 kv_tile[kKeys * kStride];
shared float q_unit[kRows];
shared uint q_position[kRows], q_last[kRows];
#ifdef KV_F32
shared float kv_unit[2 * kKeys];  // of the tile's keys, then of its values
#endif

// What the workgroup works on: keys [begin, end) for rows [first_row, last_row] of `sequence`.
struct Task {
    uint kv_head, sequence, first_row, last_row, begin, end;
};

Task task() {
    Task t;
    t.kv_head = gl_WorkGroupID.x;
    t.first_row = p.first_row + gl_WorkGroupID.y * kTokens;
    t.last_row = min(t.first_row + kTokens, p.rows) - 1;
    t.sequence = rows[t.first_row].sequence;
    const uint first_position = rows[t.first_row].position;
    t.begin = p.window > 0 && first_position + 1 > p.window ? first_position + 1 - p.window : 0;
    t.end = 0;
    for (uint r = t.first_row; r <= t.last_row; ++r)
        t.end = max(t.end, rows[r].last_visible + 1);
    return t;
}

float unit_of(float largest) {
    return uintBitsToFloat(floatBitsToUint(largest) & 0x7f800000u);
}
float inverse(float unit) {  // 2^127 for a row of zeros; not finite for one that is not finite
    return uintBitsToFloat(0x7f000000u - floatBitsToUint(unit));
}

// A team of lanes copies a row.
const uint kTeam = 8;
const uint kTeams = gl_WorkGroupSize.x / kTeam;
const uint kQuadsEach = (kDim / 4 + kTeam - 1) / kTeam;

float team_max(vec4 own[kQuadsEach]) {
    vec4 most = vec4(0.0);
    for (uint i = 0; i < kQuadsEach; ++i)
        most = max(most, abs(own[i]));
    float largest = max(max(most.x, most.y), max(most.z, most.w));
    for (uint step = 1; step < kTeam; step *= 2)
        largest = max(largest, subgroupShuffleXor(largest, step));
    return largest;
}

void load_queries(Task t) {
    const uint member = gl_LocalInvocationID.x % kTeam;
    for (uint i = gl_LocalInvocationID.x / kTeam; i < kRows; i += kTeams) {
        const uint r = min(t.first_row + i / kGroup, t.last_row);
        const uint at = (r * p.heads + t.kv_head * kGroup + i % kGroup) * (p.padded_dim / 4);
        vec4 own[kQuadsEach];
        for (uint j = 0; j < kQuadsEach; ++j) {
            const uint c = j * kTeam + member;
            own[j] = c < p.padded_dim / 4 ? q[at + c] : vec4(0.0);
        }
        const float unit = unit_of(team_max(own));
        for (uint j = 0; j < kQuadsEach; ++j) {
            const uint c = j * kTeam + member;
            if (c < kDim / 4)
                q_tile[i * kStride + c] = f16vec4(own[j] * inverse(unit));
        }
        if (member == 0) {
            q_unit[i] = unit;
            q_position[i] = rows[r].position;
            q_last[i] = rows[r].last_visible;
        }
    }
}

#if defined(KV_F16)
f16vec4 halves_of(KV_ELEMENT e) { return f16vec4(unpackFloat2x16(e.x), unpackFloat2x16(e.y)); }
#define halves(plane, at, quad) halves_of(plane[(at) + (quad)])
#elif defined(KV_Q8_0)
#define halves(plane, at, quad) f16vec4(kv_quad(plane, at, quad))
#endif

// Loads the tile that begins at first_key; values instead of keys if `of_values`.
void load_tile(const bool of_values, Task t, uint first_key) {
    const uint member = gl_LocalInvocationID.x % kTeam;
    // A tile is asked for once: it lies within a page, which begins with one, or goes around the ring.
    const uint first_slot = kv_slot(t.sequence, first_key);
    const uint end_slot = p.pages > 0 ? 0xffffffffu : (t.sequence + 1) * p.capacity;
    for (uint s = gl_LocalInvocationID.x / kTeam; s < kKeys; s += kTeams) {
        const bool real = first_key + s < t.end;
        const uint slot = first_slot + s < end_slot ? first_slot + s : first_slot + s - p.capacity;
        const uint at = kv_head_at(slot, t.kv_head);
#ifdef KV_F32
        vec4 own[kQuadsEach];
        for (uint j = 0; j < kQuadsEach; ++j) {
            const uint c = j * kTeam + member;
            own[j] = vec4(0.0);
            if (real && c < p.padded_dim / 4)
                own[j] = of_values ? kv_quad(values, at, c) : kv_quad(keys, at, c);
        }
        const float unit = unit_of(team_max(own));
        if (member == 0)
            kv_unit[(of_values ? kKeys : 0) + s] = unit;
#endif
        for (uint j = 0; j < kQuadsEach; ++j) {
            const uint c = j * kTeam + member;
            f16vec4 four = f16vec4(0.0);
#ifdef KV_F32
            four = f16vec4(own[j] * inverse(unit));
#else
            if (real && c < p.padded_dim / 4)
                four = of_values ? halves(values, at, c) : halves(keys, at, c);
#endif
            if (c < kDim / 4)
                kv_tile[s * kStride + c] = four;
        }
    }
}

// The score of query i with key s of the tile from `dot`, the product of their halves.
float score_of(float dot_of_halves, uint i, uint s, uint first_key) {
    const uint key = first_key + s, position = q_position[i];
    const uint distance = key > position ? key - position : position - key;
    if (key > q_last[i] || (p.window > 0 && distance >= p.window))
        return kMinusInfinity;
    float score = dot_of_halves * q_unit[i];
#ifdef KV_F32
    score *= kv_unit[s];
#endif
    return kSoftcap ? capped(score, p.softcap) : score;
}

// exp(score - maximum) of a key that is seen. A score that is not a number stays one.
float weight_of(float score, float maximum) {
    return score == kMinusInfinity ? 0.0 : exp(score - maximum);
}

// Probabilities are multiplied by kLift on their way to halves, so that none that counts is below
// what a half holds, and the sums of their products divided by it in the end.
const float kLift = 32768.0;

// Number d of the output of query i, where there is one.
void write(uint i, uint d, float value) {
    const uint r = p.first_row + gl_WorkGroupID.y * kTokens + i / kGroup;
    if (i < kTokens * kGroup && r < p.rows && d < p.head_dim)
        dst[r * p.dst_stride + (gl_WorkGroupID.x * kGroup + i % kGroup) * p.head_dim + d] = value;
}
