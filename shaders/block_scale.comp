#version 450
// block_scale: packed[t][c] = round(x[t][c] / scale[t][c / 32])      as int8, four a word
//
// What matmul multiplies on the rungs "int_dot" and "coopmat_int8": activations in blocks of 32, each
// with its own scale, like the weights of Q8_0. A thread owns a block.
//
//   binding 0  x       [tokens][cols]       f32            read, cols a multiple of 32
//   binding 1  packed  [tokens][cols]       int8 in words  write
//   binding 2  scales  [tokens][cols / 32]  f32            write
//
// C++ side: engine/ops/linear.cpp      Test: tests/ops/linear_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"
#include "include/int8_block.glsl"

layout(local_size_x_id = 0) in;

layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) writeonly buffer Packed { uvec4 packed_x[]; };
layout(binding = 2) writeonly buffer Scales { float scales[]; };
layout(push_constant) uniform Push { ScaleParams p; };

void main() {
    const uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    const uint index = group * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    const uint blocks = p.cols / 32;
    if (index >= p.tokens * blocks)
        return;
    const uint token = index / blocks, block = index % blocks;
    vec4 values[8];
    for (uint i = 0; i < 8; ++i)
        values[i] = x[token * p.x_stride + block * 8 + i];
    uvec4 bytes[2];
    scales[index] = int8_block(values, bytes);
    packed_x[index * 2] = bytes[0];
    packed_x[index * 2 + 1] = bytes[1];
}
