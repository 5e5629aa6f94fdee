#version 450
// matmul_coopmat: y[t][m] = sum_k weight[m][k] * x[t][k]      for many tokens t, by matrix units
//
// A workgroup computes a tile of kTileTokens tokens by kTileRows weight rows, each of its subgroups
// kMatsTokens x kMatsRows matrices of it. Steps of 32 along k: unpack the weights and copy the
// activations into shared memory, then multiply matrices from there. Activations are the left factor,
// the rows of the weight the columns of the right one. Rows of the shared tiles lie 16 bytes further
// apart than they need to, so that eight of them cover all banks.
//
//   COOPMAT        f16 x f16 + f32; the weights with their scales, the activations as row_scale
//                  leaves them
//   COOPMAT2       the same with VK_NV_cooperative_matrix2: matrices as large as a subgroup's part
//                  of the tile, and a function of each element that writes y. With EPILOGUE_GEGLU one
//                  matrix has the gate rows and the next the up rows.
//   COOPMAT_INT8   int8 x int8 + int32, from block_scale. A step is one block, whose scales are
//                  applied to its sums: matrices with the same value along a row or column.
//
//   binding 0  quants    [rows][units]      storage type   read
//   binding 1  scales    [rows][scales]     f16 in words   read (quantised types only)
//   binding 2  x         [tokens][cols]     packed         read, padded with zeros to 32 columns
//   binding 3  y         [tokens][rows]     f32            write (and read, where it is added to)
//   binding 4  bias      [rows]             f32            read (by epilogues that add it)
//   binding 5  x_scales  [tokens][blocks]   f32            read (COOPMAT, COOPMAT2: [tokens])
//
// C++ side: engine/ops/linear.cpp      Test: tests/ops/linear_test.cpp
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#ifdef COOPMAT2
#extension GL_NV_cooperative_matrix2 : require
#endif
#pragma use_vulkan_memory_model
#include "params.h"

layout(local_size_x_id = 0) in;                       // whole subgroups
layout(constant_id = 2) const uint kMatTokens = 16;   // tokens, rows and k of one matrix product
layout(constant_id = 3) const uint kMatRows = 16;
layout(constant_id = 4) const uint kMatDepth = 16;
layout(constant_id = 5) const uint kMatsTokens = 2;   // matrices of a subgroup
layout(constant_id = 6) const uint kMatsRows = 2;
layout(constant_id = 7) const uint kGroupsTokens = 2; // subgroups of the workgroup
layout(constant_id = 8) const uint kGroupsRows = 2;
#define FORMAT_ID 10
#include "include/weights.glsl"

#ifdef COOPMAT_INT8
#define CHUNK uvec2  // eight values
#else
#define CHUNK uvec4
#endif
layout(binding = 2) readonly buffer X { CHUNK x[]; };
layout(binding = 5) readonly buffer XScales { float x_scales[]; };
layout(push_constant) uniform Push { LinearParams p; };
#define EPILOGUE_ID 9
#include "include/linear_out.glsl"

const uint kGroupTokens = kMatsTokens * kMatTokens;
const uint kGroupRows = kMatsRows * kMatRows;
const uint kTileTokens = kGroupsTokens * kGroupTokens;
const uint kTileRows = kGroupsRows * kGroupRows;

#ifdef COOPMAT_INT8
#define FACTOR int8_t
#define PRODUCT int
const uint kChunkWords = 2;
#else
#define FACTOR float16_t
#define PRODUCT float
const uint kChunkWords = 4;
#endif
const uint kParts = 4;                               // chunks of a row of a tile: 32 values
const uint kPitch = kParts + 4 / kChunkWords;        // chunks from row to row
const uint kTileW = kTileTokens * kPitch;            // where the weights begin in the shared tiles
const uint kTileChunks = (kTileTokens + kTileRows) * kPitch;
#ifdef COOPMAT2
const uint kSharedChunks = kTileChunks;
#else
const uint kSumsPitch = (kTileRows + 4) / kChunkWords;  // the sums end up in the same memory, as f32
const uint kSumsChunks = kTileTokens * kSumsPitch;
const uint kSharedChunks = kTileChunks > kSumsChunks ? kTileChunks : kSumsChunks;
#endif

shared CHUNK tiles[kSharedChunks];  // [token][part], then [row][part]; at the end [token][row]
#ifdef COOPMAT_INT8
shared float scales_x[kTileTokens];
shared float scales_w[kTileRows];
#endif

#define SUM coopmat<float, gl_ScopeSubgroup, kMatTokens, kMatRows, gl_MatrixUseAccumulator>
#define PART coopmat<PRODUCT, gl_ScopeSubgroup, kMatTokens, kMatRows, gl_MatrixUseAccumulator>
#define LEFT coopmat<FACTOR, gl_ScopeSubgroup, kMatTokens, kMatDepth, gl_MatrixUseA>
#define RIGHT coopmat<FACTOR, gl_ScopeSubgroup, kMatDepth, kMatRows, gl_MatrixUseB>

// Half a block of one row.
void load_weights(uint row, uint source_row, uint block, uint half_index) {
    const uint unit = block * 2 + half_index;
    const uint at = kTileW + row * kPitch;
#ifdef COOPMAT_INT8
    const uvec4 bytes = weight16_bytes(source_row, unit, p.row_units);
    tiles[at + half_index * 2] = bytes.xy;
    tiles[at + half_index * 2 + 1] = bytes.zw;
    if (half_index == 0)
        scales_w[row] = block_scale(source_row, block, p.row_scales);
#else
    vec4 w[4];
    const float scale = weight16(source_row, unit, p.row_units, p.row_scales, w);
    for (uint i = 0; i < 2; ++i) {
        const vec4 a = w[i * 2] * scale, b = w[i * 2 + 1] * scale;
        tiles[at + half_index * 2 + i] = uvec4(packHalf2x16(a.xy), packHalf2x16(a.zw),
                                               packHalf2x16(b.xy), packHalf2x16(b.zw));
    }
#endif
}

#ifdef COOPMAT2
// Functions of one element, at (token, row) of a matrix that begins at (first_token, first_row).
#ifdef EPILOGUE_GEGLU
float finish(const in uint32_t token, const in uint32_t row, const in float gate, const in float up,
             const in uint first_token, const in uint first_row) {
    const uint t = first_token + token, r = first_row + row * 2;
    if (t < p.tokens && r + 1 < p.rows)
        put_geglu(t, r, gate * x_scales[t], up * x_scales[t]);
    return gate;
}
#else
float finish(const in uint32_t token, const in uint32_t row, const in float sum,
             const in uint first_token, const in uint first_row) {
    const uint t = first_token + token, r = first_row + row;
    if (t < p.tokens && r < p.rows)
        put(t, r, sum * x_scales[t]);
    return sum;
}
#endif
#endif

void main() {
    const uint lane = gl_LocalInvocationID.x;
    const uint first_row =
        (gl_WorkGroupID.z * gl_NumWorkGroups.x + gl_WorkGroupID.x) * kTileRows;
    if (first_row >= p.rows)
        return;
    const uint first_token = gl_WorkGroupID.y * kTileTokens;
    const uint group_token = gl_SubgroupID % kGroupsTokens * kGroupTokens;
    const uint group_row = gl_SubgroupID / kGroupsTokens * kGroupRows;
    const uint blocks = p.row_units / 2;

    SUM sums[kMatsTokens * kMatsRows];
    [[unroll]] for (uint i = 0; i < kMatsTokens * kMatsRows; ++i)
        sums[i] = SUM(0.0);

    for (uint block = 0; block < blocks; ++block) {
        // Rows and tokens beyond the end repeat the last one; what becomes of them is not written.
        for (uint i = lane; i < kTileRows * 2; i += gl_WorkGroupSize.x)
            load_weights(i / 2, min(first_row + i / 2, p.rows - 1), block, i % 2);
        for (uint i = lane; i < kTileTokens * kParts; i += gl_WorkGroupSize.x) {
            const uint token = i / kParts, part = i % kParts;
            const uint source = min(first_token + token, p.tokens - 1);
            tiles[token * kPitch + part] = x[(source * blocks + block) * kParts + part];
#ifdef COOPMAT_INT8
            if (part == 0)
                scales_x[token] = x_scales[source * blocks + block];
#endif
        }
        barrier();
#ifdef COOPMAT_INT8
        PART parts[kMatsTokens * kMatsRows];
        [[unroll]] for (uint i = 0; i < kMatsTokens * kMatsRows; ++i)
            parts[i] = PART(0);
#else
#define parts sums
#endif
        [[unroll]] for (uint k = 0; k < 32; k += kMatDepth) {
            LEFT left[kMatsTokens];
            [[unroll]] for (uint t = 0; t < kMatsTokens; ++t)
                coopMatLoad(left[t], tiles,
                            (group_token + t * kMatTokens) * kPitch + k / 8, kPitch,
                            gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint r = 0; r < kMatsRows; ++r) {
                RIGHT right;
#if defined(COOPMAT2) && defined(EPILOGUE_GEGLU)
                coopMatLoad(right, tiles, kTileW + (group_row + r) * kPitch + k / 8,
                            kPitch * 2, gl_CooperativeMatrixLayoutColumnMajor);
#else
                coopMatLoad(right, tiles,
                            kTileW + (group_row + r * kMatRows) * kPitch + k / 8, kPitch,
                            gl_CooperativeMatrixLayoutColumnMajor);
#endif
                [[unroll]] for (uint t = 0; t < kMatsTokens; ++t)
                    parts[t * kMatsRows + r] =
                        coopMatMulAdd(left[t], right, parts[t * kMatsRows + r]);
            }
        }
#ifdef COOPMAT_INT8
        [[unroll]] for (uint t = 0; t < kMatsTokens; ++t) {
            SUM scale_x;
            coopMatLoad(scale_x, scales_x, group_token + t * kMatTokens, 0,
                        gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint r = 0; r < kMatsRows; ++r) {
                SUM scale_w;
                coopMatLoad(scale_w, scales_w, group_row + r * kMatRows, 0,
                            gl_CooperativeMatrixLayoutRowMajor);
                const uint i = t * kMatsRows + r;
                sums[i] += SUM(parts[i]) * scale_x * scale_w;
            }
        }
#endif
        barrier();
    }

#ifdef COOPMAT2
    [[unroll]] for (uint t = 0; t < kMatsTokens; ++t) {
        const uint mat_token = first_token + group_token + t * kMatTokens;
#ifdef EPILOGUE_GEGLU
        coopMatPerElementNV(sums[t * 2], sums[t * 2], finish, sums[t * 2 + 1], mat_token,
                            first_row + group_row);
#else
        [[unroll]] for (uint r = 0; r < kMatsRows; ++r)
            coopMatPerElementNV(sums[t * kMatsRows + r], sums[t * kMatsRows + r], finish, mat_token,
                                first_row + group_row + r * kMatRows);
#endif
    }
#else
    [[unroll]] for (uint t = 0; t < kMatsTokens; ++t)
        [[unroll]] for (uint r = 0; r < kMatsRows; ++r)
            coopMatStore(sums[t * kMatsRows + r], tiles,
                         (group_token + t * kMatTokens) * kSumsPitch +
                             (group_row + r * kMatRows) / kChunkWords,
                         kSumsPitch, gl_CooperativeMatrixLayoutRowMajor);
    barrier();
    for (uint i = lane; i < kTileTokens * kTileRows / 4; i += gl_WorkGroupSize.x) {
        const uint quad = i % (kTileRows / 4), tile_token = i / (kTileRows / 4);
        const uint token = first_token + tile_token, row = first_row + quad * 4;
        if (token >= p.tokens)
            continue;
        const uint at = tile_token * kSumsPitch + quad * (4 / kChunkWords);
#ifdef COOPMAT_INT8
        const vec4 values = uintBitsToFloat(uvec4(tiles[at], tiles[at + 1]));
#else
        const vec4 values = uintBitsToFloat(tiles[at]) * x_scales[token];
#endif
#ifdef EPILOGUE_GEGLU
        for (uint r = 0; r < 4; r += 2)
            if (row + r + 1 < p.rows)
                put_geglu(token, row + r, values[r], values[r + 1]);
#else
        for (uint r = 0; r < 4; ++r)
            if (row + r < p.rows)
                put(token, row + r, values[r]);
#endif
    }
#endif
}
