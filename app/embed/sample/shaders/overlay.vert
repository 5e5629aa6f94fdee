#version 450
// Dear ImGui's vertices: pixels, texels, sRGB colours.
layout(location = 0) in vec2 pixel;
layout(location = 1) in vec2 texel;
layout(location = 2) in vec4 tint;
layout(push_constant) uniform Push { vec2 scale; };  // 2 / the view's pixels
layout(location = 0) out vec2 uv;
layout(location = 1) out vec4 colour;

void main() {
    uv = texel;
    colour = tint;
    gl_Position = vec4(pixel * scale - 1, 0, 1);
}
