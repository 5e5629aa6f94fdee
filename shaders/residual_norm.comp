#version 450
// residual_norm: stream[r] += rms_norm(branch[r], post_weight);
//                dst[r]     = rms_norm(stream[r], next_weight)
//
// The end of one half of a block and the beginning of the next in one pass: the branch's own norm,
// the residual addition, and the norm that the following multiplication wants. One workgroup per
// row. An invocation reads back only those elements of the stream that it wrote itself.
//
//   binding 0  branch       [rows][cols]  f32  read
//   binding 1  post_weight  [cols]        f32  read
//   binding 2  next_weight  [cols]        f32  read
//   binding 3  stream       [rows][cols]  f32  read and write
//   binding 4  dst          [rows][cols]  f32  write
//
// C++ side: engine/ops/residual_norm.cpp      Test: tests/ops/residual_norm_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"

layout(local_size_x_id = 0) in;
#include "include/reduce.glsl"

layout(binding = 0) readonly buffer Branch { float branch[]; };
layout(binding = 1) readonly buffer PostWeight { float post_weight[]; };
layout(binding = 2) readonly buffer NextWeight { float next_weight[]; };
layout(binding = 3) buffer Stream { float stream[]; };
layout(binding = 4) writeonly buffer Dst { float dst[]; };
layout(push_constant) uniform Push { ResidualNormParams p; };

void main() {
    const uint branch_at = gl_WorkGroupID.x * p.branch_stride;
    const uint stream_at = gl_WorkGroupID.x * p.stream_stride;
    const uint dst_at = gl_WorkGroupID.x * p.dst_stride;

    float squares = 0.0;
    for (uint c = gl_LocalInvocationID.x; c < p.cols; c += gl_WorkGroupSize.x)
        squares += branch[branch_at + c] * branch[branch_at + c];
    const float post_scale = inversesqrt(group_sum(squares) / float(p.cols) + p.eps);

    squares = 0.0;
    for (uint c = gl_LocalInvocationID.x; c < p.cols; c += gl_WorkGroupSize.x) {
        const float x = stream[stream_at + c] +
                        branch[branch_at + c] * post_scale * (1.0 + post_weight[c]);
        stream[stream_at + c] = x;
        squares += x * x;
    }
    const float next_scale = inversesqrt(group_sum(squares) / float(p.cols) + p.eps);

    for (uint c = gl_LocalInvocationID.x; c < p.cols; c += gl_WorkGroupSize.x)
        dst[dst_at + c] = stream[stream_at + c] * next_scale * (1.0 + next_weight[c]);
}
