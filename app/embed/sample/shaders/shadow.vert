#version 450
// What the sun sees.
#extension GL_GOOGLE_include_directive : require
#include "frame.h"

layout(location = 0) in vec3 place;
layout(binding = 0) uniform Frames { Frame frame; };
layout(binding = 1) readonly buffer Looks { Look looks[]; };

void main() { gl_Position = frame.sun_projection * (looks[gl_InstanceIndex].model * vec4(place, 1)); }
