#version 450
// Dusk: the sky, hills along the horizon, stars and a moon.
#extension GL_GOOGLE_include_directive : require
#include "frame.h"
#include "light.glsl"

layout(location = 0) in vec3 direction;
layout(binding = 0) uniform Frames { Frame frame; };
layout(location = 0) out vec4 seen;

float random(vec3 cell) { return fract(sin(dot(cell, vec3(12.9898, 78.233, 37.719))) * 43758.5453); }

float hill(float angle, float size) {
    return size * (0.5 + 0.3 * sin(angle * 5 + size * 90) + 0.2 * sin(angle * 13 + size * 40));
}

void main() {
    const vec3 ray = normalize(direction);
    vec3 light = sky_colour(ray, frame.sun.xyz);

    const vec3 cell = floor(ray * 90);
    const float spark = random(cell);
    const float off = length(fract(ray * 90) - 0.5);
    const float twinkle = 0.75 + 0.25 * sin(frame.eye.w * 2 + spark * 700);
    light += vec3(0.8, 0.85, 1) * step(0.985, spark) * smoothstep(0.35, 0.0, off) * twinkle *
             smoothstep(0.06, 0.25, ray.y);

    const vec3 moon = normalize(vec3(0.17, 0.185, -1));
    const float towards = dot(ray, moon);
    light += vec3(0.85, 0.88, 1.0) * smoothstep(0.99920, 0.99935, towards);
    light += vec3(0.10, 0.12, 0.20) * pow(max(towards, 0), 350.0);

    const float angle = atan(ray.x, -ray.z), slope = ray.y / length(ray.xz);
    const vec3 haze = sky_colour(vec3(ray.x, 0, ray.z), frame.sun.xyz);
    if (slope < hill(angle, 0.13))
        light = haze * 0.42 + vec3(0.004, 0.008, 0.020);
    if (slope < hill(angle + 1, 0.08))
        light = haze * 0.22 + vec3(0.004, 0.008, 0.014);
    seen = vec4(to_screen(light), 1);
}
