#version 450
// layer_norm: dst[r][c] = (src[r][c] - mean(src[r])) / sqrt(var(src[r]) + eps) * weight[c] + bias[c]
//
// One workgroup per row. The variance is that of the differences from the mean, in a second pass:
// mean(x^2) - mean(x)^2 loses every digit where the mean is large.
//
//   binding 0  src     [rows][cols]  f32  read
//   binding 1  weight  [cols]        f32  read
//   binding 2  bias    [cols]        f32  read
//   binding 3  dst     [rows][cols]  f32  write
//
// C++ side: engine/ops/layer_norm.cpp      Test: tests/ops/layer_norm_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"

layout(local_size_x_id = 0) in;
#include "include/reduce.glsl"

layout(binding = 0) readonly buffer Src { float src[]; };
layout(binding = 1) readonly buffer Weight { float weight[]; };
layout(binding = 2) readonly buffer Bias { float bias[]; };
layout(binding = 3) writeonly buffer Dst { float dst[]; };
layout(push_constant) uniform Push { LayerNormParams p; };

void main() {
    const uint src_at = gl_WorkGroupID.x * p.src_stride;
    const uint dst_at = gl_WorkGroupID.x * p.dst_stride;
    float sum = 0.0;
    for (uint c = gl_LocalInvocationID.x; c < p.cols; c += gl_WorkGroupSize.x)
        sum += src[src_at + c];
    const float mean = group_sum(sum) / float(p.cols);
    float squares = 0.0;
    for (uint c = gl_LocalInvocationID.x; c < p.cols; c += gl_WorkGroupSize.x) {
        const float difference = src[src_at + c] - mean;
        squares += difference * difference;
    }
    const float scale = inversesqrt(group_sum(squares) / float(p.cols) + p.eps);
    for (uint c = gl_LocalInvocationID.x; c < p.cols; c += gl_WorkGroupSize.x)
        dst[dst_at + c] = (src[src_at + c] - mean) * scale * weight[c] + bias[c];
}
