#version 450
// The texture is the coverage of glyphs and lines.
layout(location = 0) in vec2 uv;
layout(location = 1) in vec4 colour;
layout(binding = 0) uniform sampler2D glyphs;
layout(location = 0) out vec4 seen;

void main() { seen = vec4(colour.rgb, colour.a * texture(glyphs, uv).r); }
