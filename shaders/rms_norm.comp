#version 450
// rms_norm: dst[r][c] = src[r][c] / sqrt(mean(src[r]^2) + eps) * (1 + weight[c])
//
// One workgroup per row: threads stride across the row, then add up their partial sums.
// Sums are f32, since an fp16 square overflows at 256. The weight is an offset from one.
//
//   binding 0  src     [rows][cols]  f32  read
//   binding 1  weight  [cols]        f32  read
//   binding 2  dst     [rows][cols]  f32  write
//
// C++ side: engine/ops/rms_norm.cpp      Test: tests/ops/rms_norm_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"

layout(local_size_x_id = 0) in;
#include "include/reduce.glsl"

layout(binding = 0) readonly buffer Src { float src[]; };
layout(binding = 1) readonly buffer Weight { float weight[]; };
layout(binding = 2) writeonly buffer Dst { float dst[]; };
layout(push_constant) uniform Push { RmsNormParams p; };

void main() {
    const uint src_at = gl_WorkGroupID.x * p.src_stride;
    const uint dst_at = gl_WorkGroupID.x * p.dst_stride;
    float squares = 0.0;
    for (uint c = gl_LocalInvocationID.x; c < p.cols; c += gl_WorkGroupSize.x)
        squares += src[src_at + c] * src[src_at + c];
    const float scale = inversesqrt(group_sum(squares) / float(p.cols) + p.eps);
    for (uint c = gl_LocalInvocationID.x; c < p.cols; c += gl_WorkGroupSize.x)
        dst[dst_at + c] = src[src_at + c] * scale * (1.0 + weight[c]);
}
