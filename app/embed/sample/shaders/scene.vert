#version 450
// Instances of the meshes, in the world and in the sun's shadow map.
#extension GL_GOOGLE_include_directive : require
#include "frame.h"

layout(location = 0) in vec3 place;
layout(location = 1) in vec3 normal;
layout(binding = 0) uniform Frames { Frame frame; };
layout(binding = 1) readonly buffer Looks { Look looks[]; };

layout(location = 0) out vec3 world;
layout(location = 1) out vec3 world_normal;
layout(location = 2) flat out vec4 colour;
layout(location = 3) out vec2 local;

void main() {
    const Look look = looks[gl_InstanceIndex];
    world = (look.model * vec4(place, 1)).xyz;
    // Right for scales that differ between axes, too: the cofactors are the inverse transposed.
    const mat3 m = mat3(look.model);
    world_normal = mat3(cross(m[1], m[2]), cross(m[2], m[0]), cross(m[0], m[1])) * normal;
    colour = look.colour;
    local = place.xy;
    gl_Position = frame.view_projection * vec4(world, 1);
}
