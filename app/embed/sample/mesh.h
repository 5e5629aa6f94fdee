// The shapes that the scene is put together from, made by rules: there are no files to load.
#pragma once

#include <cstdint>
#include <functional>
#include <glm/glm.hpp>
#include <span>
#include <vector>

struct Vertex {
    glm::vec3 place, normal;
};
using Mesh = std::vector<Vertex>;  // three to a triangle

// A profile of (radius, height), from the bottom up, turned around the y axis. smooth: normals go
// around the corners; else each side is flat.
Mesh turned(std::span<const glm::vec2> profile, uint32_t sides, bool smooth);
Mesh ball(uint32_t sides, uint32_t rings);  // of radius 1, smooth
Mesh box();                                 // from -1 to 1
Mesh stone(uint32_t seed);                  // about as large as ball()
// A square of `cells` by `cells`, `size` wide; height(x, z) gives its y.
Mesh terrain(uint32_t cells, float size, const std::function<float(float, float)>& height);
