#include "props.h"

#include <algorithm>
#include <cmath>
#include <glm/gtc/constants.hpp>
#include <glm/gtc/matrix_transform.hpp>

#include "random.h"

namespace {

using glm::mat4;
using glm::vec3;

mat4 moved(const vec3& by) {
    return glm::translate(mat4(1), by);
}
mat4 turned_by(float angle, const vec3& axis) {
    return glm::rotate(mat4(1), angle, axis);
}
mat4 scaled(const vec3& by) {
    return glm::scale(mat4(1), by);
}
constexpr vec3 kUp{0, 1, 0};

void add(Looks& looks, Shape shape, const mat4& model, const vec3& colour, float glow = 0) {
    looks[static_cast<size_t>(shape)].push_back({model, glm::vec4(colour, glow)});
}

float ground_height(float x, float z) {
    const float away = std::max(std::hypot(x, z) - 4.0f, 0.0f);  // the clearing is flat
    return 0.10f * std::min(away, 6.0f) *
               (0.7f + 0.3f * std::sin(x * 0.7f) + 0.3f * std::cos(z * 0.9f)) +
           0.015f * std::sin(x * 3.1f) * std::sin(z * 2.7f);
}

void add_tree(Looks& looks, const vec3& place, float size, float turn, float shade) {
    const mat4 root = moved(place) * turned_by(turn, kUp) * scaled(vec3(size));
    add(looks, Shape::trunk, root * scaled({0.16f, 1.2f, 0.16f}), {0.10f, 0.055f, 0.035f});
    for (int layer = 0; layer < 3; ++layer) {
        const float part = static_cast<float>(layer);
        add(looks, Shape::cone,
            root * moved({0, 0.75f + 0.85f * part, 0}) * turned_by(part * 1.3f, kUp) *
                scaled({1.15f - 0.28f * part, 1.5f - 0.15f * part, 1.15f - 0.28f * part}),
            vec3(0.035f, 0.115f, 0.060f) * shade * (1 + 0.25f * part));
    }
}

void add_fireplace(Looks& looks) {
    const mat4 middle = moved({kFire.x, 0, kFire.z});
    for (int i = 0; i < 9; ++i) {
        const float angle = glm::two_pi<float>() * static_cast<float>(i) / 9;
        const mat4 around = middle * turned_by(angle, kUp);
        add(looks, Shape::stone,
            around * moved({0.62f, 0.06f, 0}) * turned_by(angle * 5, kUp) *
                scaled({0.15f, 0.12f, 0.17f}),
            {0.20f, 0.19f, 0.20f});
        if (i % 3 == 0)  // a log that leans inwards
            add(looks, Shape::trunk,
                around * moved({0.42f, 0.05f, 0}) * turned_by(1.05f, {0, 0, 1}) *
                    scaled({0.075f, 0.62f, 0.075f}),
                {0.13f, 0.06f, 0.03f}, 0.05f);
    }
    add(looks, Shape::stone, middle * scaled({0.36f, 0.07f, 0.36f}), {1.0f, 0.25f, 0.05f},
        0.5f);  // embers
}

void add_easel(Looks& looks, const vec3& eye) {
    const vec3 place{3.05f, 0, -0.75f};
    const float yaw = std::atan2(eye.x - place.x, eye.z - place.z);
    const mat4 root = moved(place) * turned_by(yaw, kUp);
    const vec3 wood{0.22f, 0.12f, 0.06f};
    for (const float side : {-1.0f, 1.0f})
        add(looks, Shape::box,
            root * moved({0.40f * side, 0.85f, -0.05f}) * turned_by(-0.16f * side, {0, 0, 1}) *
                scaled({0.035f, 0.90f, 0.03f}),
            wood);
    add(looks, Shape::box,
        root * moved({0, 0.75f, -0.45f}) * turned_by(0.42f, {1, 0, 0}) *
            scaled({0.03f, 0.85f, 0.03f}),
        wood);
    const mat4 sheet = root * moved({0, 1.12f, 0.05f}) * turned_by(-0.14f, {1, 0, 0});
    add(looks, Shape::box, sheet * moved({0, 0, -0.03f}) * scaled({0.60f, 0.60f, 0.02f}), wood);
    add(looks, Shape::box, sheet * scaled({0.55f, 0.55f, 0.012f}), vec3(1), 2);
    add(looks, Shape::box, sheet * moved({0, -0.62f, 0.02f}) * scaled({0.62f, 0.03f, 0.07f}), wood);
}

}  // namespace

std::array<Mesh, kShapes> make_meshes() {
    using Profile = std::vector<glm::vec2>;
    return {terrain(30, 44, ground_height),
            turned(Profile{{1, 0}, {0.85f, 1}, {0, 1}}, 7, false),
            turned(Profile{{0, 0.06f}, {1, 0}, {0, 1}}, 8, false),
            stone(7),
            turned(Profile{{0, 0},
                           {0.43f, 0},
                           {0.44f, 0.06f},
                           {0.40f, 0.30f},
                           {0.30f, 0.66f},
                           {0.19f, 0.92f},
                           {0.10f, 1.0f},
                           {0, 1.02f}},
                   18, true),
            ball(16, 10),
            box(),
            turned(Profile{{1, 0}, {0, 1}}, 3, false),
            ball(8, 5)};
}

void add_clearing(Looks& looks, const vec3& eye, uint32_t seed) {
    uint32_t state = random_state(seed);
    const auto between = [&](float low, float high) {
        return low + (high - low) * random_unit(state);
    };
    add(looks, Shape::ground, mat4(1), {0.105f, 0.125f, 0.055f});
    for (int i = 0; i < 52; ++i) {
        const float angle = between(0, glm::two_pi<float>()), away = between(6.0f, 18.0f);
        const vec3 place{away * std::sin(angle), 0, -away * std::cos(angle)};
        const float size = between(0.75f, 1.25f), turn = between(0, 6), shade = between(0.6f, 1.3f);
        if (place.z < 2.5f && glm::distance(place, eye) > 9.0f)
            add_tree(looks, {place.x, ground_height(place.x, place.z) - 0.05f, place.z}, size, turn,
                     shade);
    }
    for (int i = 0; i < 46; ++i) {
        const float angle = between(0, glm::two_pi<float>()), away = between(1.6f, 9.0f);
        const float x = away * std::sin(angle), z = -away * std::cos(angle),
                    size = between(0.04f, 0.26f);
        if (away < 3 && size > 0.1f)
            continue;
        add(looks, Shape::stone,
            moved({x, ground_height(x, z), z}) * turned_by(between(0, 6), kUp) *
                scaled({size, size * 0.7f, size * 1.2f}),
            vec3(between(0.13f, 0.22f)));
    }
    for (int i = 0; i < 420; ++i) {
        const float angle = between(0, glm::two_pi<float>()),
                    away = std::sqrt(between(1.2f, 70.0f));
        const float x = away * std::sin(angle), z = -away * std::cos(angle),
                    size = between(0.08f, 0.24f);
        add(looks, Shape::blade,
            moved({x, ground_height(x, z), z}) * turned_by(between(0, 6), kUp) *
                turned_by(between(-0.3f, 0.3f), {1, 0, 0}) * scaled({0.025f, size, 0.025f}),
            vec3(0.10f, 0.19f, 0.05f) * between(0.6f, 1.5f));
    }
    add_fireplace(looks);
    add_easel(looks, eye);
}

void add_actor(Looks& looks, const Actor& actor, size_t which, const vec3& eye, float seconds) {
    const float phase = seconds * 2.0f + static_cast<float>(which) * 2.1f;
    const float breath = 1 + 0.018f * std::sin(phase);
    const float nod =
        actor.talking ? 0.10f * std::sin(seconds * 9) : 0.02f * std::sin(phase * 0.7f);
    const float yaw = std::atan2(eye.x - actor.place.x, eye.z - actor.place.z);
    const mat4 root = moved(actor.place) * turned_by(yaw, kUp);
    const vec3 fur = actor.fur, pale = glm::mix(fur, vec3(0.85f), 0.65f);
    const vec3 black{0.012f, 0.010f, 0.010f};

    add(looks, Shape::robe, root * scaled({1, breath, 1}), actor.robe);
    for (const float side : {-1.0f, 1.0f})
        add(looks, Shape::ball,
            root * moved({0.31f * side, 0.52f * breath, 0.17f}) *
                turned_by(0.5f * side, {0, 0, 1}) * scaled({0.095f, 0.17f, 0.095f}),
            fur);
    add(looks, Shape::ball, root * moved({0, 0.95f * breath, 0}) * scaled({0.19f, 0.07f, 0.19f}),
        pale);  // a scarf

    const float bob = actor.talking ? 0.02f * std::abs(std::sin(seconds * 9)) : 0;
    const mat4 head = root * moved({0, 1.17f * breath + bob, 0.02f}) * turned_by(nod, {1, 0, 0});
    add(looks, Shape::ball, head * scaled({0.27f, 0.25f, 0.25f}), fur);
    add(looks, Shape::ball, head * moved({0, -0.07f, 0.20f}) * scaled({0.12f, 0.09f, 0.11f}), pale);
    add(looks, Shape::bead, head * moved({0, -0.03f, 0.305f}) * scaled(vec3(0.034f)), black);
    const bool blinks = std::fmod(seconds + static_cast<float>(which) * 1.3f, 3.7f) < 0.13f;
    for (const float side : {-1.0f, 1.0f}) {
        const mat4 eye_at = head * moved({0.105f * side, 0.055f, 0.215f});
        add(looks, Shape::bead, eye_at * scaled({0.040f, blinks ? 0.006f : 0.046f, 0.030f}), black);
        if (!blinks)
            add(looks, Shape::bead, eye_at * moved({0.014f, 0.018f, 0.022f}) * scaled(vec3(0.011f)),
                vec3(1), 0.5f);
        const mat4 ear =
            head * moved({0.15f * side, 0.16f, -0.02f}) * turned_by(-0.35f * side, {0, 0, 1});
        if (which == 0)  // a fox
            add(looks, Shape::cone, ear * scaled({0.10f, 0.25f, 0.06f}), fur);
        else if (which == 1)  // a rabbit
            add(looks, Shape::ball, ear * moved({0, 0.20f, 0}) * scaled({0.060f, 0.24f, 0.045f}),
                fur);
        else  // a bear
            add(looks, Shape::ball,
                ear * moved({0.02f * side, 0.03f, 0}) * scaled({0.095f, 0.095f, 0.05f}), fur);
    }
}
