#version 450
// matmul: y[t][m] = sum_k weight[m][k] * x[t][k]      for many tokens t
//
// Prefill spends its time here. A workgroup computes a tile of kTileRows weight rows by kTileTokens
// tokens. Steps of 16 along k: unpack the weights and transpose the activations into shared memory,
// then every thread adds kRowsEach x kTokensEach outer products held in registers. Threads are laid
// out kLanesTokens wide along the tokens, so that neighbouring threads read neighbouring activations
// and the same weight.
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

layout(local_size_x_id = 0) in;                           // kLanesTokens * kLanesRows
layout(constant_id = 2) const uint kLanesTokens = 8;
layout(constant_id = 3) const uint kLanesRows = 8;
layout(constant_id = 4) const bool kWholeUnits = false;   // cols is a multiple of 16
layout(constant_id = 5) const uint kRowsEach = 4;         // even where EPILOGUE_GEGLU
layout(constant_id = 6) const uint kTokensEach = 4;
#include "include/reduce.glsl"
#define FORMAT_ID 8
#include "include/weights.glsl"

layout(binding = 2) readonly buffer X { vec4 x[]; };
layout(push_constant) uniform Push { LinearParams p; };
#define EPILOGUE_ID 7
#include "include/linear_out.glsl"

const uint kDepth = 16;
const uint kTileRows = kLanesRows * kRowsEach;
const uint kTileTokens = kLanesTokens * kTokensEach;

shared float tile_w[kDepth * kTileRows];    // [k][row]
shared float tile_x[kDepth * kTileTokens];  // [k][token]

vec4 load_x(uint token, uint column) {
    if (token >= p.tokens || column >= p.cols)
        return vec4(0.0);
    const vec4 value = x[token * p.x_stride + column / 4];
    if (kWholeUnits)
        return value;
    return mix(vec4(0.0), value, lessThan(uvec4(column) + uvec4(0, 1, 2, 3), uvec4(p.cols)));
}

void main() {
    const uint lane = gl_LocalInvocationID.x;
    const uint first_row =
        (gl_WorkGroupID.z * gl_NumWorkGroups.x + gl_WorkGroupID.x) * kTileRows;
    if (first_row >= p.rows)
        return;
    const uint first_token = gl_WorkGroupID.y * kTileTokens;
    const uint lane_token = lane % kLanesTokens;
    const uint lane_row = lane / kLanesTokens;

    float sums[kRowsEach * kTokensEach];
    for (uint i = 0; i < kRowsEach * kTokensEach; ++i)
        sums[i] = 0.0;

    for (uint unit = 0; unit * 16 < p.cols; ++unit) {
        for (uint r = lane; r < kTileRows; r += gl_WorkGroupSize.x) {
            vec4 w[4];
            const float scale = weight16(min(first_row + r, p.rows - 1), unit, p.row_units,
                                         p.row_scales, w);
            for (uint k = 0; k < kDepth; ++k)
                tile_w[k * kTileRows + r] = w[k / 4][k % 4] * scale;
        }
        for (uint i = lane; i < kTileTokens * 4; i += gl_WorkGroupSize.x) {
            const uint token = i % kTileTokens, quad = i / kTileTokens;
            const vec4 value = load_x(first_token + token, unit * 16 + quad * 4);
            for (uint k = 0; k < 4; ++k)
                tile_x[(quad * 4 + k) * kTileTokens + token] = value[k];
        }
        sync_group();
        for (uint k = 0; k < kDepth; ++k) {
            float xs[kTokensEach];
            for (uint t = 0; t < kTokensEach; ++t)
                xs[t] = tile_x[k * kTileTokens + lane_token + t * kLanesTokens];
            for (uint r = 0; r < kRowsEach; ++r) {
                const float w = tile_w[k * kTileRows + lane_row * kRowsEach + r];
                for (uint t = 0; t < kTokensEach; ++t)
                    sums[r * kTokensEach + t] += w * xs[t];
            }
        }
        sync_group();
    }

    for (uint t = 0; t < kTokensEach; ++t) {
        const uint token = first_token + lane_token + t * kLanesTokens;
        if (token >= p.tokens)
            continue;
        const uint row = first_row + lane_row * kRowsEach;
#ifdef EPILOGUE_GEGLU
        for (uint r = 0; r < kRowsEach; r += 2)
            if (row + r + 1 < p.rows)
                put_geglu(token, row + r, sums[r * kTokensEach + t],
                          sums[(r + 1) * kTokensEach + t]);
#else
        for (uint r = 0; r < kRowsEach; ++r)
            if (row + r < p.rows)
                put(token, row + r, sums[r * kTokensEach + t]);
#endif
    }
}
