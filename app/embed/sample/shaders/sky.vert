#version 450
// One triangle over the whole view, at the far end of it.
#extension GL_GOOGLE_include_directive : require
#include "frame.h"

layout(binding = 0) uniform Frames { Frame frame; };
layout(location = 0) out vec3 direction;

void main() {
    const vec2 corner = vec2(gl_VertexIndex == 1 ? 3 : -1, gl_VertexIndex == 2 ? 3 : -1);
    direction = frame.ahead.xyz + corner.x * frame.right.xyz - corner.y * frame.up.xyz;
    gl_Position = vec4(corner, 1, 1);
}
