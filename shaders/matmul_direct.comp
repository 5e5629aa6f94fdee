#version 450
// matmul_direct: y[t][m] = sum_k weight[m][k] * x[t][k]      for any number of tokens t
//
// What matvec and matmul compute, laid out for drivers that run on the CPU. There a load takes some
// ten instructions for every lane that has an address of its own, but for all of them together where
// the address is the same; a barrier takes thousands. So the lanes lie along the weight rows, which are
// interleaved for them (include/weights.glsl), all of them read the same activations, and each lane sums
// kRowsEach rows for kTokens tokens to the end: nothing is shared or summed between lanes. Unrolled over
// the tokens, the driver's code would outgrow the CPU's instruction cache.
//
//   binding 0  quants  [rows][units]    storage type   read
//   binding 1  scales  [rows][scales]   f16 in words   read (quantised types only)
//   binding 2  x       [tokens][cols]   f32            read
//   binding 3  y       [tokens][rows]   f32            write (and read, where it is added to)
//   binding 4  bias    [rows]           f32            read (by epilogues that add it)
//
// C++ side: engine/ops/linear.cpp      Test: tests/ops/linear_test.cpp
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "params.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const uint kRowsEach = 4;        // even where EPILOGUE_GEGLU
layout(constant_id = 3) const uint kTokens = 1;
layout(constant_id = 4) const bool kWholeUnits = false;  // cols is a multiple of 16
#define EPILOGUE_ID 5
#define FORMAT_ID 6
#include "include/weights.glsl"

layout(binding = 2) readonly buffer X { vec4 x[]; };
layout(push_constant) uniform Push { LinearParams p; };
#include "include/linear_out.glsl"

// Elements at and beyond cols are whatever lies in the padding, so they are not read as numbers.
vec4 load_x(uint token, uint column) {
    if (kWholeUnits)
        return x[token * p.x_stride + column / 4];
    vec4 value = vec4(0.0);
    if (column < p.cols) {
        value = x[token * p.x_stride + column / 4];
        value = mix(vec4(0.0), value, lessThan(uvec4(column) + uvec4(0, 1, 2, 3), uvec4(p.cols)));
    }
    return value;
}

void main() {
    // Neighbouring rows in neighbouring lanes; pairs of rows stay in one lane where GeGLU joins them.
#ifdef EPILOGUE_GEGLU
    const uint kPair = 2;
#else
    const uint kPair = 1;
#endif
    const uint group = gl_WorkGroupID.z * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    const uint first_row =
        group * gl_WorkGroupSize.x * kRowsEach + gl_LocalInvocationID.x * kPair;
    uint rows[kRowsEach];
    for (uint r = 0; r < kRowsEach; ++r)
        rows[r] = first_row + r / kPair * kPair * gl_WorkGroupSize.x + r % kPair;

    for (uint first_token = 0; first_token < p.tokens; first_token += kTokens) {
        float sums[kRowsEach * kTokens];
        for (uint i = 0; i < kRowsEach * kTokens; ++i)
            sums[i] = 0.0;
        for (uint unit = 0; unit * 16 < p.cols; ++unit) {
            vec4 w[kRowsEach][4];
            float scale[kRowsEach];
            for (uint r = 0; r < kRowsEach; ++r) {
                vec4 unpacked[4];
                scale[r] = weight16(min(rows[r], p.rows - 1), unit, p.row_units, p.row_scales, unpacked);
                w[r] = unpacked;
            }
            [[dont_unroll]] for (uint t = 0; t < kTokens; ++t) {
                const uint token = min(first_token + t, p.tokens - 1);
                const vec4 x0 = load_x(token, unit * 16), x1 = load_x(token, unit * 16 + 4);
                const vec4 x2 = load_x(token, unit * 16 + 8), x3 = load_x(token, unit * 16 + 12);
                for (uint r = 0; r < kRowsEach; ++r) {
                    const vec4 products = w[r][0] * x0 + w[r][1] * x1 + w[r][2] * x2 + w[r][3] * x3;
                    sums[r * kTokens + t] +=
                        scale[r] * ((products.x + products.y) + (products.z + products.w));
                }
            }
        }

        for (uint t = 0; t < kTokens; ++t) {
            const uint token = first_token + t;
            if (token >= p.tokens)
                break;
#ifdef EPILOGUE_GEGLU
            for (uint r = 0; r < kRowsEach; r += 2)
                if (rows[r] + 1 < p.rows)
                    put_geglu(token, rows[r], sums[r * kTokens + t], sums[(r + 1) * kTokens + t]);
#else
            for (uint r = 0; r < kRowsEach; ++r)
                if (rows[r] < p.rows)
                    put(token, rows[r], sums[r * kTokens + t]);
#endif
        }
    }
}
