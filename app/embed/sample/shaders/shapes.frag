#version 450
// The painting: a sheet with up to four coloured shapes in a grid of 4 x 4, which is what the
// built-in model knows to describe (assets/pebble/train/world.py).
layout(push_constant) uniform Push {
    ivec4 shapes;  // a byte each: cell, shape (0 circle, 1 square, 2 triangle), colour; -1: none
    float size;    // of the sheet, in pixels
};
layout(location = 0) out vec4 seen;

const vec3 kPaints[] = {{215, 40, 40}, {40, 70, 215}, {30, 150, 60}, {235, 200, 30}, {30, 30, 30}, {145, 50, 175}};

void main() {
    vec3 sheet = vec3(240, 240, 240);
    for (int i = 0; i < 4; ++i) {
        if (shapes[i] < 0)
            continue;
        const ivec3 part = ivec3(shapes[i], shapes[i] >> 8, shapes[i] >> 16) & 255;
        const vec2 centre = vec2(part.x % 4, part.x / 4) + 0.5;
        const vec2 off = (gl_FragCoord.xy * 4 / size - centre) * 28;  // the model's pixels, from the middle
        const float radius = 10.5;
        float inside = radius - length(off);
        if (part.y == 1)
            inside = 0.88 * radius - max(abs(off.x), abs(off.y));
        else if (part.y == 2)
            inside = min(0.58 * radius - off.y, 0.58 * radius + 0.5 * off.y - 0.866 * abs(off.x));
        sheet = mix(sheet, kPaints[part.z], clamp(inside * size / 112 + 0.5, 0, 1));
    }
    seen = vec4(sheet / 255, 1);
}
