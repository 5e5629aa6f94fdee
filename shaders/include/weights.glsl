// Reads 16 (weight16) or 4 (weight4) neighbouring weights of one row, for every storage type.
//
// A row is cut into units of 16 elements, padded with zeros to whole blocks of 32 (two units):
//
//   type   plane "quants", one unit                     plane "scales"
//   F32    4 uvec4, float bits                          -
//   F16    2 uvec4, two halves a word                   -
//   BF16   2 uvec4, two values a word                   -
//   Q8_0   1 uvec4, four int8 a word                    one f16 a block of 32, two a word
//   Q4_0   1 uvec2, eight nibbles a word, value - 8     one f16 a block of 32, two a word
//
// engine/pack.cpp writes this layout. The including shader defines exactly one WEIGHT_* macro.

#if defined(WEIGHT_F32)
layout(binding = 0) readonly buffer Quants { uvec4 quants[]; };
#elif defined(WEIGHT_F16) || defined(WEIGHT_BF16) || defined(WEIGHT_Q8_0)
layout(binding = 0) readonly buffer Quants { uvec4 quants[]; };
#elif defined(WEIGHT_Q4_0)
layout(binding = 0) readonly buffer Quants { uvec2 quants[]; };
#endif

#if defined(WEIGHT_Q8_0) || defined(WEIGHT_Q4_0)
layout(binding = 1) readonly buffer Scales { uint scales[]; };

float block_scale(uint row, uint block, uint row_scales) {
    const vec2 pair = unpackHalf2x16(scales[row * row_scales + block / 2]);
    return (block & 1u) == 0u ? pair.x : pair.y;
}

// The four low nibbles less 8, as int8 a byte: n + 0x78 has bit 7 set from n = 8 on.
uint nibble_bytes(uint word) {
    const uint pairs = (word & 0xffu) | (word & 0xff00u) << 8;
    return (((pairs | pairs << 4) & 0x0f0f0f0fu) + 0x78787878u) ^ 0x80808080u;
}

// The 16 values of a unit before scaling, as int8, four a word.
uvec4 weight16_bytes(uint row, uint unit, uint row_units) {
#if defined(WEIGHT_Q8_0)
    return quants[row * row_units + unit];
#else
    const uvec2 a = quants[row * row_units + unit];
    return uvec4(nibble_bytes(a.x), nibble_bytes(a.x >> 16), nibble_bytes(a.y), nibble_bytes(a.y >> 16));
#endif
}
#endif

vec4 bf16_pair_of_words(uint low, uint high) {
    return uintBitsToFloat(uvec4(low << 16, low & 0xffff0000u, high << 16, high & 0xffff0000u));
}

vec4 signed_bytes(uint word) {
    return vec4(ivec4(word << 24, word << 16, word << 8, word) >> 24);
}

vec4 nibbles(uint word) {
    return vec4((uvec4(word) >> uvec4(0, 4, 8, 12)) & 15u) - 8.0;
}

// Fills w with the unit's values before scaling and returns their scale.
float weight16(uint row, uint unit, uint row_units, uint row_scales, out vec4 w[4]) {
    const uint at = row * row_units + unit;
#if defined(WEIGHT_F32)
    for (uint i = 0; i < 4; ++i)
        w[i] = uintBitsToFloat(quants[at * 4 + i]);
    return 1.0;
#elif defined(WEIGHT_F16)
    const uvec4 a = quants[at * 2], b = quants[at * 2 + 1];
    w[0] = vec4(unpackHalf2x16(a.x), unpackHalf2x16(a.y));
    w[1] = vec4(unpackHalf2x16(a.z), unpackHalf2x16(a.w));
    w[2] = vec4(unpackHalf2x16(b.x), unpackHalf2x16(b.y));
    w[3] = vec4(unpackHalf2x16(b.z), unpackHalf2x16(b.w));
    return 1.0;
#elif defined(WEIGHT_BF16)
    const uvec4 a = quants[at * 2], b = quants[at * 2 + 1];
    w[0] = bf16_pair_of_words(a.x, a.y);
    w[1] = bf16_pair_of_words(a.z, a.w);
    w[2] = bf16_pair_of_words(b.x, b.y);
    w[3] = bf16_pair_of_words(b.z, b.w);
    return 1.0;
#else
    const float scale = block_scale(row, unit / 2, row_scales);  // asked for first, to wait less
#if defined(WEIGHT_Q8_0)
    const uvec4 a = quants[at];
    w[0] = signed_bytes(a.x);
    w[1] = signed_bytes(a.y);
    w[2] = signed_bytes(a.z);
    w[3] = signed_bytes(a.w);
#else
    const uvec2 a = quants[at];
    w[0] = nibbles(a.x);
    w[1] = nibbles(a.x >> 16);
    w[2] = nibbles(a.y);
    w[3] = nibbles(a.y >> 16);
#endif
    return scale;
#endif
}

// The scaled values of elements 4 * quad to 4 * quad + 3 of a row.
vec4 weight4(uint row, uint quad, uint row_units, uint row_scales) {
#if defined(WEIGHT_F32)
    return uintBitsToFloat(quants[row * row_units * 4 + quad]);
#elif defined(WEIGHT_F16)
    const uint at = row * row_units * 2 + quad / 2, half_at = (quad & 1u) * 2;
    return vec4(unpackHalf2x16(quants[at][half_at]), unpackHalf2x16(quants[at][half_at + 1]));
#elif defined(WEIGHT_BF16)
    const uint at = row * row_units * 2 + quad / 2, half_at = (quad & 1u) * 2;
    return bf16_pair_of_words(quants[at][half_at], quants[at][half_at + 1]);
#else
    const float scale = block_scale(row, quad / 8, row_scales);
#if defined(WEIGHT_Q8_0)
    return signed_bytes(quants[row * row_units + quad / 4][quad & 3u]) * scale;
#else
    return nibbles(quants[row * row_units + quad / 4][(quad >> 1) & 1u] >> (16 * (quad & 1u))) * scale;
#endif
#endif
}
