#include "mesh.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <glm/gtc/constants.hpp>

#include "random.h"

namespace {

// Two triangles with corners in order around; flat normals where `normals` is null.
void add_quad(Mesh& mesh, const glm::vec3 (&at)[4], const glm::vec3* normals = nullptr) {
    for (const auto& corners : {std::array{0, 1, 2}, std::array{0, 2, 3}}) {
        const glm::vec3 a = at[corners[0]], b = at[corners[1]], c = at[corners[2]];
        const glm::vec3 across = glm::cross(b - a, c - a);
        if (glm::length(across) < 1e-9f)  // a corner of the axis: one triangle is enough
            continue;
        for (const int corner : corners)
            mesh.push_back({at[corner], normals ? normals[corner] : glm::normalize(across)});
    }
}

}  // namespace

Mesh turned(std::span<const glm::vec2> profile, uint32_t sides, bool smooth) {
    Mesh mesh;
    const auto at = [&](size_t i, uint32_t side) {
        const float angle =
            glm::two_pi<float>() * static_cast<float>(side) / static_cast<float>(sides);
        return glm::vec3(profile[i].x * std::cos(angle), profile[i].y,
                         profile[i].x * std::sin(angle));
    };
    const auto normal = [&](size_t i, uint32_t side) {
        const glm::vec2 along =
            profile[std::min(i + 1, profile.size() - 1)] - profile[i > 0 ? i - 1 : 0];
        const float angle =
            glm::two_pi<float>() * static_cast<float>(side) / static_cast<float>(sides);
        return glm::normalize(
            glm::vec3(along.y * std::cos(angle), -along.x, along.y * std::sin(angle)));
    };
    for (size_t i = 0; i + 1 < profile.size(); ++i)
        for (uint32_t side = 0; side < sides; ++side) {
            const glm::vec3 corners[] = {at(i, side), at(i + 1, side), at(i + 1, side + 1),
                                         at(i, side + 1)};
            const glm::vec3 normals[] = {normal(i, side), normal(i + 1, side),
                                         normal(i + 1, side + 1), normal(i, side + 1)};
            add_quad(mesh, corners, smooth ? normals : nullptr);
        }
    return mesh;
}

Mesh ball(uint32_t sides, uint32_t rings) {
    std::vector<glm::vec2> profile;
    for (uint32_t i = 0; i <= rings; ++i) {
        const float angle =
            glm::pi<float>() * (static_cast<float>(i) / static_cast<float>(rings) - 0.5f);
        profile.emplace_back(i == 0 || i == rings ? 0 : std::cos(angle), std::sin(angle));
    }
    return turned(profile, sides, true);
}

Mesh box() {
    Mesh mesh;
    for (int axis = 0; axis < 3; ++axis)
        for (const float side : {-1.0f, 1.0f}) {
            glm::vec3 corners[4];
            for (int i = 0; i < 4; ++i) {
                corners[i][axis] = side;
                corners[i][(axis + 1) % 3] = (i == 1 || i == 2 ? 1.0f : -1.0f) * side;
                corners[i][(axis + 2) % 3] = i >= 2 ? 1.0f : -1.0f;
            }
            add_quad(mesh, corners);
        }
    return mesh;
}

Mesh stone(uint32_t seed) {
    Mesh round = ball(7, 5);
    for (size_t i = 0; i + 2 < round.size(); i += 3) {
        for (size_t j = i; j < i + 3; ++j) {
            // The same dent for the same place, whichever triangle it belongs to.
            const glm::ivec3 place = glm::round(round[j].place * 64.0f);
            uint32_t state =
                seed + 1 +
                static_cast<uint32_t>(place.x * 73856093 ^ place.y * 19349663 ^ place.z * 83492791);
            random_unit(state);
            round[j].place *= 0.8f + 0.35f * random_unit(state);
        }
        const glm::vec3 across =
            glm::cross(round[i + 1].place - round[i].place, round[i + 2].place - round[i].place);
        for (size_t j = i; j < i + 3; ++j)
            round[j].normal = glm::normalize(across);
    }
    return round;
}

Mesh terrain(uint32_t cells, float size, const std::function<float(float, float)>& height) {
    Mesh mesh;
    const auto at = [&](uint32_t column, uint32_t row) {
        const float x = size * (static_cast<float>(column) / static_cast<float>(cells) - 0.5f);
        const float z = size * (static_cast<float>(row) / static_cast<float>(cells) - 0.5f);
        return glm::vec3(x, height(x, z), z);
    };
    for (uint32_t row = 0; row < cells; ++row)
        for (uint32_t column = 0; column < cells; ++column) {
            const glm::vec3 corners[] = {at(column, row), at(column, row + 1),
                                         at(column + 1, row + 1), at(column + 1, row)};
            add_quad(mesh, corners);
        }
    return mesh;
}
