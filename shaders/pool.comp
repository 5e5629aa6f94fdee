#version 450
// pool: average of square cells of a square grid of rows
//   dst[picture][y * out_side + x][c] = mean over dy, dx < cell of
//                                       src[picture][(y * cell + dy) * side + x * cell + dx][c]
//
//   binding 0  src  [pictures * side^2][cols]      f32  read
//   binding 1  dst  [pictures * out_side^2][cols]  f32  write
//
// C++ side: engine/ops/pool.cpp      Test: tests/ops/pool_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"

layout(local_size_x_id = 0) in;
layout(binding = 0) readonly buffer Src { float src[]; };
layout(binding = 1) writeonly buffer Dst { float dst[]; };
layout(push_constant) uniform Push { PoolParams p; };

void main() {
    const uint cells = p.out_side * p.out_side;
    const uint picture = gl_WorkGroupID.x / cells, at = gl_WorkGroupID.x % cells;
    const uint side = p.out_side * p.cell;
    const uint first = picture * side * side + (at / p.out_side * side + at % p.out_side) * p.cell;
    for (uint c = gl_LocalInvocationID.x; c < p.cols; c += gl_WorkGroupSize.x) {
        float sum = 0.0;
        for (uint dy = 0; dy < p.cell; ++dy)
            for (uint dx = 0; dx < p.cell; ++dx)
                sum += src[(first + dy * side + dx) * p.src_stride + c];
        dst[gl_WorkGroupID.x * p.dst_stride + c] = sum / float(p.cell * p.cell);
    }
}
