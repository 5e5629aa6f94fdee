#version 450
// matvec: y[t][m] = sum_k weight[m][k] * x[t][k]      for 1 to 16 tokens t
//
// Decode spends its time here, reading every weight once. A workgroup owns kRows weight rows and
// walks them together, so that each activation it loads serves all of them; its threads stride
// over units of 16 elements. Weights of the kRows rows are unpacked once and used for all kTokens.
// With kOneSubgroup the sums need no barrier; without subgroups all of them together need two.
//
// INT_DOT (rung "int_dot"; Q8_0, Q4_0): threads stride over blocks of 32 and turn the block's
// activations into int8, so that packed dot products do the rest. Every workgroup does so for itself:
// a dispatch of its own would cost more.
//
// With kOrdered the order of a sum is spelt out, so that a driver's compiler makes the same of every kTokens
// (DeviceOptions::deterministic). Else it may choose: told an order, RADV has some of them wait longer.
//
// RESIDUAL_NORM: one token, and the workgroup that comes last adds and norms (include/linear_out.glsl).
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
layout(constant_id = 2) const uint kRows = 4;            // even where EPILOGUE_GEGLU
layout(constant_id = 3) const uint kTokens = 1;
layout(constant_id = 4) const bool kWholeUnits = false;  // cols is a multiple of 16
#include "include/reduce.glsl"
layout(constant_id = 8) const bool kOrdered = false;
#define FORMAT_ID 6
#include "include/weights.glsl"

layout(binding = 2) readonly buffer X { vec4 x[]; };
layout(push_constant) uniform Push { LinearParams p; };
#define EPILOGUE_ID 5
#include "include/linear_out.glsl"

#ifdef INT_DOT
#extension GL_EXT_integer_dot_product : require
#include "include/int8_block.glsl"
#endif

#ifndef SUBGROUP
shared float partial[kRows * kTokens * gl_WorkGroupSize.x];  // [sum][thread]
#endif

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
    const uint group = gl_WorkGroupID.z * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    const uint first = group * kRows;
    if (first >= p.rows)
        return;

    float sums[kRows * kTokens];
    for (uint i = 0; i < kRows * kTokens; ++i)
        sums[i] = 0.0;

#ifdef INT_DOT
    for (uint block = gl_LocalInvocationID.x; block * 32 < p.cols; block += gl_WorkGroupSize.x) {
        uvec4 w[kRows][2];
        float scale[kRows];
        for (uint r = 0; r < kRows; ++r) {
            const uint row = min(first + r, p.rows - 1);
            w[r][0] = weight16_bytes(row, block * 2, p.row_units);
            w[r][1] = weight16_bytes(row, block * 2 + 1, p.row_units);
            scale[r] = block_scale(row, block, p.row_scales);
        }
        for (uint t = 0; t < kTokens; ++t) {
            const uint token = min(t, p.tokens - 1);
            vec4 values[8];
            for (uint i = 0; i < 8; ++i)
                values[i] = x[token * p.x_stride + block * 8 + i];
            uvec4 bytes[2];
            const float scale_x = int8_block(values, bytes);
            for (uint r = 0; r < kRows; ++r) {
                int dots = 0;
                for (uint i = 0; i < 8; ++i)
                    dots += dotPacked4x8EXT(int(w[r][i / 4][i % 4]), int(bytes[i / 4][i % 4]));
                sums[r * kTokens + t] += scale[r] * scale_x * float(dots);
            }
        }
    }
#else
    for (uint unit = gl_LocalInvocationID.x; unit * 16 < p.cols; unit += gl_WorkGroupSize.x) {
        vec4 w[kRows][4];
        float scale[kRows];
        for (uint r = 0; r < kRows; ++r) {
            vec4 unpacked[4];
            scale[r] = weight16(min(first + r, p.rows - 1), unit, p.row_units, p.row_scales, unpacked);
            w[r] = unpacked;
        }
        for (uint t = 0; t < kTokens; ++t) {
            const uint token = min(t, p.tokens - 1);
            const vec4 x0 = load_x(token, unit * 16), x1 = load_x(token, unit * 16 + 4);
            const vec4 x2 = load_x(token, unit * 16 + 8), x3 = load_x(token, unit * 16 + 12);
            for (uint r = 0; r < kRows; ++r) {
                if (kOrdered) {
                    precise vec4 products = fma(w[r][1], x1, w[r][0] * x0);
                    products = fma(w[r][3], x3, fma(w[r][2], x2, products));
                    precise const float unit_sum = (products.x + products.y) + (products.z + products.w);
                    sums[r * kTokens + t] = fma(scale[r], unit_sum, sums[r * kTokens + t]);
                    continue;
                }
                const vec4 products = w[r][0] * x0 + w[r][1] * x1 + w[r][2] * x2 + w[r][3] * x3;
                sums[r * kTokens + t] += scale[r] * (products.x + products.y + products.z + products.w);
            }
        }
    }
#endif

#ifdef SUBGROUP
    for (uint i = 0; i < kRows * kTokens; ++i)
        sums[i] = group_sum(sums[i]);
#else
    const uint lane = gl_LocalInvocationID.x;
    for (uint i = 0; i < kRows * kTokens; ++i)
        partial[i * gl_WorkGroupSize.x + lane] = sums[i];
    barrier();
    for (uint i = lane; i < kRows * kTokens; i += gl_WorkGroupSize.x) {
        float total = 0.0;
        for (uint t = 0; t < gl_WorkGroupSize.x; ++t)
            total += partial[i * gl_WorkGroupSize.x + t];
        partial[i * gl_WorkGroupSize.x] = total;
    }
    barrier();
    for (uint i = 0; i < kRows * kTokens; ++i)
        sums[i] = partial[i * gl_WorkGroupSize.x];
#endif

    for (uint t = 0; t < kTokens; ++t) {
        if (t >= p.tokens || gl_LocalInvocationID.x != 0)
            break;
#ifdef EPILOGUE_GEGLU
        for (uint r = 0; r < kRows; r += 2)
            if (first + r + 1 < p.rows)
                put_geglu(t, first + r, sums[r * kTokens + t], sums[(r + 1) * kTokens + t]);
#else
        for (uint r = 0; r < kRows; ++r)
            if (first + r < p.rows)
                put(t, first + r, sums[r * kTokens + t]);
#endif
    }
#ifdef RESIDUAL_NORM
    arrive_and_norm((p.rows + kRows - 1) / kRows);
#endif
}
