#version 450
// Upright squares that face the camera: 0 the fire's halo, 1 to 4 its tongues, then sparks.
#extension GL_GOOGLE_include_directive : require
#include "frame.h"

layout(binding = 0) uniform Frames { Frame frame; };
layout(location = 0) out vec2 at;
layout(location = 1) flat out int kind;

void main() {
    const vec2 corners[] = {{-1, -1}, {1, -1}, {1, 1}, {-1, -1}, {1, 1}, {-1, 1}};
    at = corners[gl_VertexIndex];
    kind = gl_InstanceIndex;
    const vec3 right = normalize(frame.right.xyz);
    vec3 centre = frame.fire.xyz;
    vec2 size = vec2(2.6);  // the halo
    if (kind >= 1 && kind <= 4) {
        const float turn = float(kind) * 1.9;
        centre += vec3(0.16 * cos(turn), -0.12 + 0.05 * kind, 0.16 * sin(turn));
        size = vec2(0.30, 0.52 - 0.05 * kind);
    } else if (kind > 4) {  // a spark rises for three seconds
        const float number = float(kind) * 0.61803;
        const float age = fract(frame.eye.w * 0.33 + number);
        const float sway = sin(frame.eye.w * 2 + number * 30) * 0.25 * age;
        centre += vec3((fract(number * 7) - 0.5) * 0.5 + sway, age * 2.4, (fract(number * 13) - 0.5) * 0.5);
        size = vec2(0.022) * (1 - age);
    }
    const vec3 world = centre + right * at.x * size.x + vec3(0, 1, 0) * at.y * size.y;
    gl_Position = frame.view_projection * vec4(world, 1);
}
