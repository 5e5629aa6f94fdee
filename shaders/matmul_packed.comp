#version 450
// matmul_packed: y[t][m] = sum_k weight[m][k] * x[t][k]      for many tokens t, several k a word
//
// What matmul computes, with both factors in words of shared memory that hold several values:
//
//   INT_DOT   four int8, multiplied and summed by one instruction. A step of 32 along k is one block
//             of the weights and one of the activations: their scales are applied to its sum.
//   FP16      two halves. Sums of 4 products in each half of a word, then in f32: with 8, logits are
//             off by 4.6e-3 (relative L2, tests/model/forward_test.cpp). Quants are halves exactly,
//             so that their scales are applied to these sums as well.
//
// A workgroup computes a tile of kTileRows weight rows by kTileTokens tokens, a thread kRowsEach x
// kTokensEach of it. block_scale or row_scale has packed the activations.
//
//   binding 0  quants    [rows][units]      storage type   read
//   binding 1  scales    [rows][scales]     f16 in words   read (quantised types only)
//   binding 2  x         [tokens][cols]     packed         read, padded with zeros to 32 columns
//   binding 3  y         [tokens][rows]     f32            write (and read, where it is added to)
//   binding 4  bias      [rows]             f32            read (by epilogues that add it)
//   binding 5  x_scales  [tokens][blocks]   f32            read (FP16: [tokens])
//
// C++ side: engine/ops/linear.cpp      Test: tests/ops/linear_test.cpp
#extension GL_GOOGLE_include_directive : require
#ifdef INT_DOT
#extension GL_EXT_integer_dot_product : require
#else
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#include "params.h"

layout(local_size_x_id = 0) in;                     // kLanesTokens * kLanesRows
layout(constant_id = 2) const uint kLanesTokens = 8;
layout(constant_id = 3) const uint kLanesRows = 8;
layout(constant_id = 4) const uint kRowsEach = 4;   // even where EPILOGUE_GEGLU
layout(constant_id = 5) const uint kTokensEach = 4;
#define FORMAT_ID 7
#include "include/weights.glsl"

layout(binding = 2) readonly buffer X { uvec4 x[]; };
layout(binding = 5) readonly buffer XScales { float x_scales[]; };
layout(push_constant) uniform Push { LinearParams p; };
#define EPILOGUE_ID 6
#include "include/linear_out.glsl"

const uint kTileRows = kLanesRows * kRowsEach;
const uint kTileTokens = kLanesTokens * kTokensEach;
#ifdef INT_DOT
#define PARTIAL int
const uint kWords = 8;         // of 32 values
const uint kWordsEachSum = 8;  // words that are summed before a scale is applied
const uint kScales = 1;        // of a row in 32 values
PARTIAL joined(PARTIAL sum, uint w, uint v) { return sum + dotPacked4x8EXT(int(w), int(v)); }
float total(PARTIAL sum) { return float(sum); }
#else
#define PARTIAL f16vec2
const uint kWords = 16;
const uint kWordsEachSum = 4;
const uint kScales = 2;
PARTIAL joined(PARTIAL sum, uint w, uint v) {
    return fma(unpackFloat2x16(w), unpackFloat2x16(v), sum);
}
float total(PARTIAL sum) { return float(sum.x) + float(sum.y); }
#endif
const uint kSums = kWords / kWordsEachSum;

shared uint tile_w[kWords * kTileRows];    // [word][row]
shared uint tile_x[kWords * kTileTokens];  // [word][token]
shared float scales_w[kScales * kTileRows];  // [scale][row]
#ifdef INT_DOT
shared float scales_x[kTileTokens];
#endif

// Half a block of one row.
void load_weights(uint row, uint source_row, uint block, uint half_index) {
    const uint unit = block * 2 + half_index;
#ifdef INT_DOT
    const uvec4 words = weight16_bytes(source_row, unit, p.row_units);
    for (uint i = 0; i < 4; ++i)
        tile_w[(half_index * 4 + i) * kTileRows + row] = words[i];
    if (half_index == 0)
        scales_w[row] = block_scale(source_row, block, p.row_scales);
#else
    vec4 w[4];
    scales_w[half_index * kTileRows + row] =
        weight16(source_row, unit, p.row_units, p.row_scales, w);
    for (uint i = 0; i < 4; ++i) {
        tile_w[(half_index * 8 + i * 2) * kTileRows + row] = packHalf2x16(w[i].xy);
        tile_w[(half_index * 8 + i * 2 + 1) * kTileRows + row] = packHalf2x16(w[i].zw);
    }
#endif
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
    const uint blocks = p.row_units / 2;

    float sums[kRowsEach * kTokensEach];
    for (uint i = 0; i < kRowsEach * kTokensEach; ++i)
        sums[i] = 0.0;

    for (uint block = 0; block < blocks; ++block) {
        // Rows and tokens beyond the end repeat the last one; what becomes of them is not written.
        for (uint i = lane; i < kTileRows * 2; i += gl_WorkGroupSize.x)
            load_weights(i % kTileRows, min(first_row + i % kTileRows, p.rows - 1), block,
                         i / kTileRows);
        for (uint i = lane; i < kTileTokens * kWords / 4; i += gl_WorkGroupSize.x) {
            const uint token = i % kTileTokens, part = i / kTileTokens;
            const uint source = min(first_token + token, p.tokens - 1);
            const uvec4 words = x[(source * blocks + block) * (kWords / 4) + part];
            for (uint k = 0; k < 4; ++k)
                tile_x[(part * 4 + k) * kTileTokens + token] = words[k];
#ifdef INT_DOT
            if (part == 0)
                scales_x[token] = x_scales[source * blocks + block];
#endif
        }
        barrier();
        for (uint s = 0; s < kSums; ++s) {
            PARTIAL parts[kRowsEach * kTokensEach];
            for (uint i = 0; i < kRowsEach * kTokensEach; ++i)
                parts[i] = PARTIAL(0);
            for (uint word = s * kWordsEachSum; word < (s + 1) * kWordsEachSum; ++word) {
                uint xs[kTokensEach];
                for (uint t = 0; t < kTokensEach; ++t)
                    xs[t] = tile_x[word * kTileTokens + lane_token + t * kLanesTokens];
                for (uint r = 0; r < kRowsEach; ++r) {
                    const uint w = tile_w[word * kTileRows + lane_row * kRowsEach + r];
                    for (uint t = 0; t < kTokensEach; ++t)
                        parts[r * kTokensEach + t] = joined(parts[r * kTokensEach + t], w, xs[t]);
                }
            }
            for (uint r = 0; r < kRowsEach; ++r)
                for (uint t = 0; t < kTokensEach; ++t) {
                    float scale = scales_w[s * kScales / kSums * kTileRows + lane_row * kRowsEach + r];
#ifdef INT_DOT
                    scale *= scales_x[lane_token + t * kLanesTokens];
#endif
                    sums[r * kTokensEach + t] += scale * total(parts[r * kTokensEach + t]);
                }
        }
        barrier();
    }

    for (uint t = 0; t < kTokensEach; ++t) {
        const uint token = first_token + lane_token + t * kLanesTokens;
        if (token >= p.tokens)
            continue;
        const uint row = first_row + lane_row * kRowsEach;
#ifdef INT_DOT
        const float scale = 1.0;
#else
        const float scale = x_scales[token];
#endif
#ifdef EPILOGUE_GEGLU
        for (uint r = 0; r < kRowsEach; r += 2)
            if (row + r + 1 < p.rows)
                put_geglu(token, row + r, scale * sums[r * kTokensEach + t],
                          scale * sums[(r + 1) * kTokensEach + t]);
#else
        for (uint r = 0; r < kRowsEach; ++r)
            if (row + r < p.rows)
                put(token, row + r, scale * sums[r * kTokensEach + t]);
#endif
    }
}
