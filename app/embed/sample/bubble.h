// What a character says, above its head.
#pragma once

#include <glm/glm.hpp>

#include "characters.h"

struct BubblePlace {
    glm::vec2 mouth;  // pixels: what the bubble's tail points at
    glm::vec2 view;   // pixels: the bubble stays inside
    float scale = 1;  // of margins and lines
    bool picked = false;
};

// The name, the question, and as much of the answer's end as has room; the name alone before the
// first question. Behind all of ImGui's windows.
void draw_bubble(const Character& character, const BubblePlace& place);
