#version 450
// Three lights: the low sun with a shadow map, the fire with shadows of those who sit around it, and
// the sky, which the ground takes away from whoever is near it.
#extension GL_GOOGLE_include_directive : require
#include "frame.h"
#include "light.glsl"

layout(location = 0) in vec3 world;
layout(location = 1) in vec3 world_normal;
layout(location = 2) flat in vec4 colour;
layout(location = 3) in vec2 local;
layout(binding = 0) uniform Frames { Frame frame; };
layout(binding = 2) uniform sampler2DShadow shadow_map;
layout(binding = 3) uniform sampler2D picture;

layout(location = 0) out vec4 seen;

float sunlight() {
    const vec4 at = frame.sun_projection * vec4(world, 1);
    return texture(shadow_map, vec3(at.xy * 0.5 + 0.5, at.z));
}

// How much of the fire a point sees past the casters, upright pillars with soft edges.
float firelight(vec3 to_fire) {
    float light = 1;
    for (int i = 0; i < 3; ++i) {
        const vec3 feet = frame.casters[i].xyz;
        const float radius = frame.casters[i].w;
        const vec2 way = to_fire.xz, to_pillar = feet.xz - world.xz;
        const float along = dot(to_pillar, way) / dot(way, way);
        if (along <= 0.06 || along >= 1)  // behind, or the pillar's own surface
            continue;
        const float off = length(to_pillar - way * along);
        const float height = world.y + to_fire.y * along;
        const float solid = (1 - smoothstep(0.4 * radius, 1.25 * radius, off)) *
                            (1 - smoothstep(1.2, 1.7, height));
        light *= 1 - solid;
    }
    return light;
}

// The sky that feet and the ground around them do not see.
float openness() {
    float open = 0.55 + 0.45 * smoothstep(0.0, 0.9, world.y);
    if (world_normal.y > 0.5 * length(world_normal) || world.y < 0.3)
        for (int i = 0; i < 3; ++i) {
            const float off = length(world.xz - frame.casters[i].xz) / frame.casters[i].w;
            open *= 1 - 0.65 * exp(-off * off * 0.7);
        }
    return open;
}

void main() {
    vec3 base = colour.rgb;
    float glow = colour.a;
    if (glow > 1.5) {
        base = pow(texture(picture, vec2(local.x, -local.y) * 0.5 + 0.5).rgb, vec3(2.2));
        glow = 0.14;  // or nobody could see it at night
    }
    const vec3 normal = normalize(world_normal);
    const vec3 to_fire = frame.fire.xyz - world;
    const float distance2 = dot(to_fire, to_fire);

    vec3 light = vec3(0.060, 0.075, 0.150) * (0.6 + 0.4 * normal.y) * openness();
    light += vec3(0.95, 0.42, 0.22) * max(dot(normal, frame.sun.xyz), 0) * sunlight();
    // Half wrapped around, as flames are large.
    const float facing = max((dot(normal, to_fire) * inversesqrt(distance2) + 0.25) / 1.25, 0);
    light += vec3(1.00, 0.42, 0.12) * frame.fire.w * facing * firelight(to_fire) /
             (0.35 + distance2);
    const vec3 lit = base * light + base * glow * 2.2;
    seen = vec4(to_screen(through_air(lit, world - frame.eye.xyz, frame.sun.xyz)), 1);
}
