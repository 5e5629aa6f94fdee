#version 450
// resize: one direction of a separable filter over 8-bit pixels, exact to the integer
//   v[line][i] = clamp((sum over t of weights[i][t] * src[line][first[i] + t] + 2^21) >> 22, 0, 255)
//
// Weights are 22-bit fixed point whose sum is 2^22, so that a sum of 8-bit values fits 32 bits.
// Two passes make a picture: along x into 8-bit pixels again, then along y, where the second writes
// what the picture encoder takes: planes of (v / 255 - mean) / deviation.
//
//   binding 0  src      pixels, R in the lowest byte, or B with kBlueFirst   read
//   binding 1  first    [out]                           read
//   binding 2  weights  [out][taps]                     read
//   binding 3  dst      pixels, or with kPlanes f32 [3][lines or out][...] as bits   write
//
// C++ side: engine/ops/resize.cpp      Test: tests/ops/resize_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 2) const bool kPlanes = false;
layout(constant_id = 3) const bool kBlueFirst = false;  // src has B in the lowest byte
layout(binding = 0) readonly buffer Src { uint src[]; };
layout(binding = 1) readonly buffer First { uint first[]; };
layout(binding = 2) readonly buffer Weights { int weights[]; };
layout(binding = 3) writeonly buffer Dst { uint dst[]; };
layout(push_constant) uniform Push { ResizeParams p; };

void main() {
    // Along x, neighbouring threads are neighbouring outputs; along y, neighbouring lines.
    const uint fast = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    const uint i = kPlanes ? gl_WorkGroupID.y : fast;
    const uint line = kPlanes ? fast : gl_WorkGroupID.y;
    if (i >= p.out_size || line >= p.lines)
        return;
    ivec3 sum = ivec3(1 << 21);
    const uint src_at = line * p.src_line + first[i] * p.src_step;
    for (uint t = 0; t < p.taps; ++t) {
        const int weight = weights[i * p.taps + t];
        if (weight == 0)
            continue;  // taps beyond the filter's end lie outside the picture
        const uint pixel = src[src_at + t * p.src_step];
        sum += weight * ivec3(pixel & 255u, (pixel >> 8) & 255u, (pixel >> 16) & 255u);
    }
    ivec3 v = clamp(sum >> 22, 0, 255);
    if (kBlueFirst)
        v = v.bgr;
    if (!kPlanes) {
        dst[line * p.out_size + i] = uint(v.x) | uint(v.y) << 8 | uint(v.z) << 16 | 0xff000000u;
        return;
    }
    const vec3 value = vec3(v) * vec3(p.red_scale, p.green_scale, p.blue_scale) +
                       vec3(p.red_offset, p.green_offset, p.blue_offset);
    for (uint c = 0; c < 3; ++c)
        dst[p.dst_first + (c * p.out_size + i) * p.lines + line] = floatBitsToUint(value[c]);
}
