#version 450
// matmul_direct: y[t][m] = sum_k weight[m][k] * x[t][k]      for many tokens t, without shared memory
//
// What matmul computes, laid out for drivers that run on the CPU. There a load costs one instruction
// when its address is the same for the whole subgroup and one a lane when it is not, and a barrier
// costs thousands. So the lanes lie along the tokens, all of them read the same weights, and each
// activation that a lane loads serves kRowsEach weight rows. The loop over k is not unrolled, since
// such drivers compile a shader on one thread before its first use.
//
//   binding 0  quants  [rows][units]    storage type   read
//   binding 1  scales  [rows][scales]   f16 in words   read (quantised types only)
//   binding 2  x       [tokens][cols]   f32            read
//   binding 3  y       [tokens][rows]   f32            write (and read, where it is added to)
//   binding 4  bias    [rows]           f32            read (by epilogues that add it)
//
// C++ side: engine/ops/linear.cpp      Test: tests/ops/linear_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const bool kWholeQuads = false;  // cols is a multiple of 4
layout(constant_id = 3) const uint kRowsEach = 4;        // even where EPILOGUE_GEGLU
layout(constant_id = 4) const uint kTokensEach = 4;
#define FORMAT_ID 6
#include "include/weights.glsl"

layout(binding = 2) readonly buffer X { vec4 x[]; };
layout(push_constant) uniform Push { LinearParams p; };
#define EPILOGUE_ID 5
#include "include/linear_out.glsl"

vec4 load_x(uint token, uint quad) {
    const vec4 value = x[token * p.x_stride + quad];
    if (kWholeQuads)
        return value;
    return mix(vec4(0.0), value, lessThan(uvec4(quad * 4) + uvec4(0, 1, 2, 3), uvec4(p.cols)));
}

void main() {
    const uint first_row =
        (gl_WorkGroupID.z * gl_NumWorkGroups.x + gl_WorkGroupID.x) * kRowsEach;
    if (first_row >= p.rows)
        return;
    const uint first_token =
        gl_WorkGroupID.y * gl_WorkGroupSize.x * kTokensEach + gl_LocalInvocationID.x;

    float sums[kRowsEach * kTokensEach];
    for (uint i = 0; i < kRowsEach * kTokensEach; ++i)
        sums[i] = 0.0;

    for (uint quad = 0; quad * 4 < p.cols; ++quad) {
        vec4 w[kRowsEach];
        for (uint r = 0; r < kRowsEach; ++r)
            w[r] = weight4(min(first_row + r, p.rows - 1), quad, p.row_units, p.row_scales);
        for (uint t = 0; t < kTokensEach; ++t) {
            const uint token = min(first_token + t * gl_WorkGroupSize.x, p.tokens - 1);
            const vec4 v = load_x(token, quad);
            for (uint r = 0; r < kRowsEach; ++r) {
                const vec4 products = w[r] * v;
                sums[r * kTokensEach + t] += (products.x + products.y) + (products.z + products.w);
            }
        }
    }

    for (uint t = 0; t < kTokensEach; ++t) {
        const uint token = first_token + t * gl_WorkGroupSize.x;
        if (token >= p.tokens)
            continue;
#ifdef EPILOGUE_GEGLU
        for (uint r = 0; r < kRowsEach; r += 2)
            if (first_row + r + 1 < p.rows)
                put_geglu(token, first_row + r, sums[r * kTokensEach + t],
                          sums[(r + 1) * kTokensEach + t]);
#else
        for (uint r = 0; r < kRowsEach; ++r)
            if (first_row + r < p.rows)
                put(token, first_row + r, sums[r * kTokensEach + t]);
#endif
    }
}
