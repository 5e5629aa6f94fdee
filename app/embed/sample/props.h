// What stands in the clearing, and where: meshes with places and colours.
#pragma once

#include <array>
#include <cstdint>
#include <glm/glm.hpp>
#include <vector>

#include "mesh.h"
#include "shaders/frame.h"

enum class Shape : uint32_t { ground, trunk, cone, stone, robe, ball, box, blade, bead };
constexpr size_t kShapes = 9;

// Instances of each shape, in the order of Shape.
using Looks = std::array<std::vector<shader::Look>, kShapes>;

constexpr size_t kActors = 3;
struct Actor {
    glm::vec3 place;      // of the feet
    glm::vec3 fur, robe;  // linear colours
    bool talking = false;
};

constexpr glm::vec3 kFire{0, 0.38f, 0.35f};  // the middle of its flames
constexpr float kActorRadius = 0.42f, kActorHeight = 1.55f;

std::array<Mesh, kShapes> make_meshes();
// What never moves. eye: from where it is seen; no tree stands in between.
void add_clearing(Looks& looks, const glm::vec3& eye, uint32_t seed);
// An animal in a robe that looks at `eye`, breathes, blinks, and nods while it talks; which of
// three.
void add_actor(Looks& looks, const Actor& actor, size_t which, const glm::vec3& eye, float seconds);
