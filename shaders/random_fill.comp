#version 450
// random_fill: words of random weights, for models that exist only to be measured.
//
//   kind 0 f32, 1 two f16, 2 two bf16: uniform in +-scale;  3 four int8, 4 eight nibbles: any bits;
//   5 two f16 scales, both = scale
//
//   binding 0  dst  [words]  uint  write
//
// C++ side: engine/ops/random_fill.cpp      Test: tests/ops/random_fill_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"

layout(local_size_x_id = 0) in;
#include "include/random.glsl"

layout(binding = 0) writeonly buffer Dst { uint dst[]; };
layout(push_constant) uniform Push { RandomFillParams p; };

void main() {
    const uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    const uint quad = group * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    if (quad * 4 >= p.words)
        return;
    const uvec4 bits = philox(uvec4(quad, 0, 0, 0), uvec2(p.seed, 0));
    for (uint i = 0; i < 4 && quad * 4 + i < p.words; ++i) {
        const uint b = bits[i];
        const vec2 pair = (vec2(b & 0xffffu, b >> 16) * (2.0 / 65535.0) - 1.0) * p.scale;
        uint word = b;
        if (p.kind == 0)
            word = floatBitsToUint(pair.x);
        else if (p.kind == 1)
            word = packHalf2x16(pair);
        else if (p.kind == 2)
            word = (floatBitsToUint(pair.x) >> 16) | (floatBitsToUint(pair.y) & 0xffff0000u);
        else if (p.kind == 5)
            word = packHalf2x16(vec2(p.scale));
        dst[quad * 4 + i] = word;
    }
}
