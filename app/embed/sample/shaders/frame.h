// What all shaders know of a frame: for GLSL, and for scene.cpp. std140: vectors of four alone.
#ifdef __cplusplus
#pragma once
#include <glm/glm.hpp>
namespace shader {
using glm::mat4;
using glm::vec4;
#endif

struct Frame {
    mat4 view_projection;
    mat4 sun_projection;  // from the world to the shadow map
    vec4 eye;             // xyz: where the camera is; w: seconds
    vec4 ahead;           // the camera's axes, `right` and `up` as long as half the view at distance 1
    vec4 right;
    vec4 up;
    vec4 sun;             // xyz: towards it
    vec4 fire;            // xyz: where it is; w: how bright
    vec4 casters[3];      // who stands in the fire's light: xyz: feet; w: radius
};

// Of an instance of a mesh.
struct Look {
    mat4 model;
    vec4 colour;  // rgb: linear; a: how much of it glows by itself; 2: the picture on the easel
};

#ifdef __cplusplus
}
#endif
