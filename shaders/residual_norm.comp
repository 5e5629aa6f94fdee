#version 450
// residual_norm: stream[r] += rms_norm(branch[r], post_weight);
//                dst[r]     = rms_norm(stream[r], next_weight)
//
// The end of one half of a block and the beginning of the next in one pass: the branch's own norm,
// the residual addition, and the norm that the following multiplication wants. One workgroup per
// row. An invocation reads back only those elements of the stream that it wrote itself.
//
//   binding 0  branch  [rows][cols]  f32  read
//   binding 1  norms   [2][cols]     f32  read: post_weight, then next_weight
//   binding 2  stream  [rows][cols]  f32  read and write
//   binding 3  dst     [rows][cols]  f32  write
//
// C++ side: engine/ops/residual_norm.cpp      Test: tests/ops/residual_norm_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"

layout(local_size_x_id = 0) in;
#include "include/reduce.glsl"

layout(binding = 0) readonly buffer Branch { float branch[]; };
layout(binding = 1) readonly buffer Norms { float norms[]; };
layout(binding = 2) buffer Stream { float stream[]; };
layout(binding = 3) writeonly buffer Dst { float dst[]; };
layout(push_constant) uniform Push { ResidualNormParams p; };
#include "include/residual_norm.glsl"

void main() {
    residual_norm(gl_WorkGroupID.x * p.branch_stride, gl_WorkGroupID.x * p.stream_stride,
                  gl_WorkGroupID.x * p.dst_stride, p.cols, p.eps);
}
