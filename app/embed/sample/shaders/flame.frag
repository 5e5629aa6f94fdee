#version 450
// Adds light: the colour runs from white at the root to red at the tips.
#extension GL_GOOGLE_include_directive : require
#include "frame.h"
#include "light.glsl"

layout(location = 0) in vec2 at;
layout(location = 1) flat in int kind;
layout(binding = 0) uniform Frames { Frame frame; };
layout(location = 0) out vec4 seen;

void main() {
    if (kind == 0) {
        const float halo = pow(max(1 - length(at), 0), 2.2);
        seen = vec4(vec3(1, 0.42, 0.12) * halo, 0.050 * frame.fire.w);
        return;
    }
    if (kind > 4) {
        seen = vec4(1, 0.6, 0.2, smoothstep(1.0, 0.2, length(at)));
        return;
    }
    const float time = frame.eye.w * (5 + 0.7 * kind) + kind * 7;
    const float rise = at.y * 0.5 + 0.5;  // 0 at the root
    const float lean = (sin(time + at.y * 4) * 0.16 + sin(time * 1.7 + at.y * 7) * 0.09) * rise;
    const float width = 0.75 * sqrt(rise + 0.02) * (1 - rise) * 2.0;
    const float inside = 1 - abs(at.x + lean) / max(width, 1e-3);
    const float heat = clamp(inside, 0, 1) * (1 - rise * rise);
    const vec3 colour = mix(vec3(1.0, 0.22, 0.03), vec3(1.0, 0.85, 0.45), smoothstep(0.2, 0.9, heat));
    seen = vec4(colour, smoothstep(0.0, 0.55, heat) * 0.85);
}
