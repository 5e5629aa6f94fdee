#version 450
// patch_embed: a convolution whose stride is its kernel's size, with the positions added
//   dst[patch][m] = bias[m] + position[patch][m]
//                 + sum over c, dy, dx of weight[m][c][dy][dx] * pixels[c][py * size + dy][px * size + dx]
//
// Lanes lie along the patches and read the same weights. It is a thousandth of the work of the layers
// behind it. Pixels at the right and at the bottom that fill no patch are not read.
//
//   binding 0  quants     [rows][units]                    storage type   read
//   binding 1  scales     [rows][scales]                   f16 in words   read (quantised types only)
//   binding 2  pixels     [pictures][3][side][side]        f32            read
//   binding 3  bias       [rows]                           f32            read
//   binding 4  positions  [patches of a picture][rows]     f32            read
//   binding 5  dst        [pictures * patches][rows]       f32            write
//
// C++ side: engine/ops/patch_embed.cpp      Test: tests/ops/patch_embed_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"

layout(local_size_x_id = 0) in;
#define FORMAT_ID 2
#include "include/weights.glsl"

layout(binding = 2) readonly buffer Pixels { float pixels[]; };
layout(binding = 3) readonly buffer Bias { float bias[]; };
layout(binding = 4) readonly buffer Positions { float positions[]; };
layout(binding = 5) writeonly buffer Dst { float dst[]; };
layout(push_constant) uniform Push { PatchEmbedParams p; };

const uint kRowsEach = 4;

void main() {
    const uint first_row = gl_WorkGroupID.x * kRowsEach;
    const uint patches = p.patches_per_side * p.patches_per_side;
    const uint row_of_all = gl_WorkGroupID.y * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    const uint at = min(row_of_all, patches * p.pictures - 1);
    const uint patch_index = at % patches;
    const uint corner = (at / patches) * 3 * p.side * p.side +
                        (patch_index / p.patches_per_side) * p.patch_size * p.side +
                        (patch_index % p.patches_per_side) * p.patch_size;

    float sums[kRowsEach];
    for (uint r = 0; r < kRowsEach; ++r)
        sums[r] = 0.0;
    uint channel = 0, dy = 0, dx = 0;
    for (uint quad = 0; quad * 4 < p.cols; ++quad) {
        vec4 v = vec4(0.0);
        for (uint j = 0; j < 4; ++j) {
            if (quad * 4 + j < p.cols)
                v[j] = pixels[corner + (channel * p.side + dy) * p.side + dx];
            if (++dx == p.patch_size) {
                dx = 0;
                if (++dy == p.patch_size) {
                    dy = 0;
                    ++channel;
                }
            }
        }
        for (uint r = 0; r < kRowsEach; ++r) {
            const uint row = min(first_row + r, p.rows - 1);
            sums[r] += dot(weight4(row, quad, p.row_units, p.row_scales), v);
        }
    }
    if (row_of_all >= patches * p.pictures)
        return;
    for (uint r = 0; r < kRowsEach; ++r) {
        const uint row = first_row + r, column = p.first_row + row;
        if (row < p.rows)
            dst[at * p.dst_stride + column] =
                sums[r] + bias[column] + positions[patch_index * p.dst_cols + column];
    }
}
