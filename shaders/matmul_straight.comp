#version 450
// matmul_straight: y[t][m] = sum_k weight[m][k] * x[t][k]
//
// What matmul_direct computes, for lavapipe, which compiles to vector instructions of the CPU. Its loads cost
// nearly nothing, and those of neighbours become one, under three conditions that this shader keeps:
//
//   by address       a bound buffer's loads are checked against its size, one by one
//   no control flow  within a loop it loads for the lanes that are active: so all units of a row are unrolled,
//                    their number is a constant
//   the same for     it takes an address for that if it is made of constants and push constants alone, however
//   all lanes        those are indexed: so the workgroup's number is put together from push constants
//
// A workgroup is a subgroup of eight lanes, which have the eight rows of a group (include/weights.glsl), and
// sums kTokens tokens for them.
//
// RESIDUAL_NORM: one token, and the workgroup that comes last adds and norms (include/linear_out.glsl).
//
//   binding 0  quants  [rows][units]    storage type   read, by address
//   binding 1  scales  [rows][scales]   f16 in words   read, by address (quantised types only)
//   binding 2  x       [tokens][cols]   f32            read, by address
//   binding 3  y       [tokens][rows]   f32            write (and read, where it is added to)
//   binding 4  bias    [rows]           f32            read (by epilogues that add it)
//
// C++ side: engine/ops/linear.cpp      Test: tests/ops/linear_test.cpp
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "params.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint kCols = 32;
layout(constant_id = 3) const uint kTokens = 1;
#define EPILOGUE_ID 4
#define FORMAT_ID 5
#define BY_ADDRESS
#include "include/weights.glsl"

layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Row4 { vec4 values[]; };
layout(push_constant) uniform Push {
    LinearParams p;
    uint digits[16];
    uint addresses[6];  // of bindings 0 to 2, low word first
};
#ifdef RESIDUAL_NORM
#include "include/reduce.glsl"
#endif
#include "include/linear_out.glsl"

// `number` below 16^count, as the driver sees that it is the same for all lanes.
uint uniform_number(uint number, uint count) {
    uint same = 0;
    [[unroll]] for (uint i = 0; i < count; ++i)
        same += digits[(number >> (4 * i)) & 15u] << (4 * i);
    return same;
}

// An address that lies `words` behind that of a binding.
uvec2 address(uint binding, uint words) {
    uint carry;
    const uint low = uaddCarry(addresses[2 * binding], words * 4, carry);
    return uvec2(low, addresses[2 * binding + 1] + carry);
}

// Elements at and beyond cols are whatever lies in the padding, so they are not read as numbers.
vec4 load_x(Row4 x, uint column) {
    if (column >= kCols)
        return vec4(0.0);
    return mix(vec4(0.0), x.values[column / 4], lessThan(uvec4(column) + uvec4(0, 1, 2, 3), uvec4(kCols)));
}

float add_products(float sum, vec4 a, vec4 b) { return (((sum + a.x * b.x) + a.y * b.y) + a.z * b.z) + a.w * b.w; }

void main() {
    // A grid that is folded has workgroups beyond the last group of rows; they must not read what lies there.
    const uint number = gl_WorkGroupID.z * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    const uint group = uniform_number(min(number, (p.rows - 1) / 8), 5);
    const uint first_token = uniform_number(gl_WorkGroupID.y, 4) * kTokens;
    const uint kUnits = (kCols + 15) / 16;
    group_quants = Words(address(0, group * 8 * row_words(p.row_units)));
    group_scales = Words(address(1, group * 8 * p.row_scales));

    float sums[kTokens];
    Row4 x[kTokens];
    [[unroll]] for (uint t = 0; t < kTokens; ++t) {
        sums[t] = 0.0;
        x[t] = Row4(address(2, min(first_token + t, p.tokens - 1) * p.x_stride * 4));
    }
    [[unroll]] for (uint unit = 0; unit < kUnits; ++unit) {
        vec4 w[4];
        const float scale = weight16(0, unit, p.row_units, p.row_scales, w);
        if (kTokens == 1) {
            const vec4 products = w[0] * load_x(x[0], unit * 16) + w[1] * load_x(x[0], unit * 16 + 4) +
                                  w[2] * load_x(x[0], unit * 16 + 8) + w[3] * load_x(x[0], unit * 16 + 12);
            sums[0] += scale * ((products.x + products.y) + (products.z + products.w));
            continue;
        }
        // One sum after the other, so that the driver has no choice: given one, it computes all products
        // first, and keeps them in memory.
        w = vec4[](w[0] * scale, w[1] * scale, w[2] * scale, w[3] * scale);
        [[unroll]] for (uint t = 0; t < kTokens; ++t) {
            sums[t] = add_products(sums[t], w[0], load_x(x[t], unit * 16));
            sums[t] = add_products(sums[t], w[1], load_x(x[t], unit * 16 + 4));
            sums[t] = add_products(sums[t], w[2], load_x(x[t], unit * 16 + 8));
            sums[t] = add_products(sums[t], w[3], load_x(x[t], unit * 16 + 12));
        }
    }

    // A loop, for which the sums must be there. The driver would put off what only these branches need.
    const uint row = number * 8 + gl_LocalInvocationID.x;
    [[dont_unroll]] for (uint t = 0; t < kTokens; ++t) {
        const uint token = first_token + t;
#ifdef EPILOGUE_GEGLU
        const float up = subgroupShuffleXor(sums[t], 1);
        if (token < p.tokens && row + 1 < p.rows && row % 2 == 0)
            put_geglu(token, row, sums[t], up);
#else
        if (token < p.tokens && row < p.rows)
            put(token, row, sums[t]);
#endif
    }
#ifdef RESIDUAL_NORM
    if (number < (p.rows + 7) / 8)
        arrive_and_norm((p.rows + 7) / 8);
#endif
}
