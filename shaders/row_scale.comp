#version 450
// row_scale: packed[t][c] = x[t][c] / scale[t]      as f16, two a word, zeros up to a multiple of 32
//
// What matmul multiplies on the rungs "fp16", "coopmat" and "coopmat2". f16 ends at 65504 and
// activations don't: the scale is the power of two that brings the largest magnitude of the row to
// 2^kTop or up to twice that, which costs no precision. Infinities and NaN stay what they are.
// One workgroup a row.
//
//   binding 0  x       [tokens][cols]             f32           read
//   binding 1  packed  [tokens][cols, padded]     f16 in words  write
//   binding 2  scales  [tokens]                   f32           write
//
// C++ side: engine/ops/linear.cpp      Test: tests/ops/linear_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const int kTop = 0;
#include "include/reduce.glsl"

layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) writeonly buffer Packed { uvec4 packed_x[]; };
layout(binding = 2) writeonly buffer Scales { float scales[]; };
layout(push_constant) uniform Push { ScaleParams p; };

vec4 load_x(uint row, uint quad) {
    if (quad * 4 >= p.cols)
        return vec4(0.0);
    const vec4 value = x[row * p.x_stride + quad];
    return mix(vec4(0.0), value, lessThan(uvec4(quad * 4) + uvec4(0, 1, 2, 3), uvec4(p.cols)));
}

// The magnitudes of those that are finite, 0 for the others.
vec4 magnitudes(vec4 value) {
    const uvec4 bits = floatBitsToUint(value) & 0x7fffffffu;
    return uintBitsToFloat(mix(uvec4(0), bits, lessThan(bits, uvec4(0x7f800000u))));
}

void main() {
    const uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    if (row >= p.tokens)
        return;
    float largest = 0.0;
    for (uint quad = gl_LocalInvocationID.x; quad * 4 < p.cols; quad += gl_WorkGroupSize.x) {
        const vec4 size = magnitudes(load_x(row, quad));
        largest = max(largest, max(max(size.x, size.y), max(size.z, size.w)));
    }
    largest = group_max(largest);

    // largest = 2^exponent * [1, 2). Rows below 2^-100 are scaled as those are.
    const int exponent = max(int(floatBitsToUint(largest) >> 23) - 127, -100);
    const float factor = uintBitsToFloat(uint(kTop - exponent + 127) << 23);
    if (gl_LocalInvocationID.x == 0)
        scales[row] = uintBitsToFloat(uint(exponent - kTop + 127) << 23);

    const uint parts = (p.cols + 31) / 32 * 4;  // of 8 values
    for (uint part = gl_LocalInvocationID.x; part < parts; part += gl_WorkGroupSize.x) {
        const vec4 a = load_x(row, part * 2) * factor, b = load_x(row, part * 2 + 1) * factor;
        packed_x[row * parts + part] = uvec4(packHalf2x16(a.xy), packHalf2x16(a.zw),
                                             packHalf2x16(b.xy), packHalf2x16(b.zw));
    }
}
