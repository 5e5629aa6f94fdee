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
//   BLOCKS 1 uvec2, eight nibbles a word, or one word   three parts, one after the other
//          of sixteen codes of 2 bits
//
// BLOCKS are the ten types of engine/block_format.h, told apart by a specialization constant:
// value = d * s * q + m * t. Parts of a row in "scales", of which a type has one to three:
//
//   high bits of the codes   a word a block of 32 where there is one, a word a unit where there are two
//   halves                   d, two a word, or (d, m); for 32 weights, or for 256
//   groups                   a byte s and a byte t for 32 weights, or one byte for 16: s, or s | t << 4;
//                            IQ4_XS: a byte s for 32
//
// Rows lie one after the other or, on drivers that run on the CPU, in groups of kInterleave rows whose words
// alternate.
//
// With BY_ADDRESS defined, the eight lanes of a subgroup have the rows of such a group, and the shader sets
// group_quants and group_scales to where the group begins. Every lane loads all lanes' words, and keeps its
// own: of that lavapipe makes a single load of eight words (matmul_straight.comp).
//
// engine/matrix.cpp and engine/pack.cpp write this layout. The including shader defines exactly one
// WEIGHT_* macro, and FORMAT_ID, the first of two constant ids that it does not use.

layout(constant_id = FORMAT_ID + 1) const uint kInterleave = 1;

#if defined(WEIGHT_F32)
const uint kUnitWords = 16;
#elif defined(WEIGHT_F16) || defined(WEIGHT_BF16)
const uint kUnitWords = 8;
#elif defined(WEIGHT_Q8_0)
const uint kUnitWords = 4;
#else
const uint kUnitWords = 2;
#endif
#if defined(WEIGHT_Q4_0) || defined(WEIGHT_BLOCKS)
#define QUANTS uvec2
const uint kPartWords = 2;
#else
#define QUANTS uvec4
const uint kPartWords = 4;
#endif
const uint kUnitParts = kUnitWords / kPartWords;  // that a unit is loaded in

#ifdef BY_ADDRESS
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Words { uvec4 words[]; };
Words group_quants, group_scales;

// The lane's word number `i` of a plane.
uint lane_word(Words plane, uint i) {
    const uvec4 a = plane.words[2 * i], b = plane.words[2 * i + 1];
    const uint lane = gl_SubgroupInvocationID;
    const uint low = lane == 0 ? a.x : lane == 1 ? a.y : lane == 2 ? a.z : a.w;
    return lane == 4 ? b.x : lane == 5 ? b.y : lane == 6 ? b.z : lane == 7 ? b.w : low;
}

uint unit_word(uint row, uint i, uint count) { return lane_word(group_quants, i); }
uint scale_word(uint row, uint i, uint count) { return lane_word(group_scales, i); }
#else
layout(binding = 0) readonly buffer Quants { QUANTS quants[]; };
layout(binding = 0) readonly buffer QuantWords { uint quant_words[]; };
#if defined(WEIGHT_Q8_0) || defined(WEIGHT_Q4_0) || defined(WEIGHT_BLOCKS)
layout(binding = 1) readonly buffer Scales { uint scales[]; };
#endif

// Where word `i` of a row lies in a plane that has `count` words a row.
uint word_at(uint row, uint i, uint count) {
    return (row / kInterleave * count + i) * kInterleave + row % kInterleave;
}

uint unit_word(uint row, uint i, uint count) { return quant_words[word_at(row, i, count)]; }
#if defined(WEIGHT_Q8_0) || defined(WEIGHT_Q4_0) || defined(WEIGHT_BLOCKS)
uint scale_word(uint row, uint i, uint count) { return scales[word_at(row, i, count)]; }
#endif
#endif

// A part of a unit, of the kUnitParts in which it is loaded.
QUANTS unit_part(uint row, uint unit, uint row_units, uint part) {
#ifndef BY_ADDRESS
    if (kInterleave == 1)
        return quants[(row * row_units + unit) * kUnitParts + part];
#endif
    const uint first = unit * kUnitWords + part * kPartWords, count = row_units * kUnitWords;
    return QUANTS(unit_word(row, first, count), unit_word(row, first + 1, count)
#if !(defined(WEIGHT_Q4_0) || defined(WEIGHT_BLOCKS))
                  , unit_word(row, first + 2, count), unit_word(row, first + 3, count)
#endif
    );
}

#ifdef WEIGHT_BLOCKS
layout(constant_id = FORMAT_ID) const uint kFormat = 10;  // enum DataType of engine/data_type.h
const uint kQ4_1 = 5, kQ5_0 = 6, kQ5_1 = 7, kQ2_K = 8, kQ3_K = 9, kQ4_K = 10, kQ5_K = 11, kQ6_K = 12,
           kIQ4_NL = 13, kIQ4_XS = 14;
const bool kTwoBits = kFormat == kQ2_K || kFormat == kQ3_K;
const bool kOneHighBit = kFormat == kQ5_0 || kFormat == kQ5_1 || kFormat == kQ5_K || kFormat == kQ3_K;
const bool kTwoHighBits = kFormat == kQ6_K;
const bool kMinimum = kFormat == kQ4_1 || kFormat == kQ5_1 || kFormat == kQ2_K || kFormat == kQ4_K ||
                      kFormat == kQ5_K;
const bool kSuper = (kFormat >= kQ2_K && kFormat <= kQ6_K) || kFormat == kIQ4_XS;  // blocks of 256
const bool kTable = kFormat == kIQ4_NL || kFormat == kIQ4_XS;
const uint kOffset = kFormat == kQ6_K ? 32u : kFormat == kQ5_0 ? 16u : kFormat == kQ3_K ? 4u : 0u;
const float kCodebook[16] = float[](-127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0,
                                    25.0, 38.0, 53.0, 69.0, 89.0, 113.0);

int signed_byte(uint word, uint i) { return int(word << (24 - 8 * i)) >> 24; }

// d * s and m * t of a unit.
vec2 unit_scales(uint row, uint unit, uint row_units, uint row_scales) {
    const uint halves = kTwoHighBits ? row_units : kOneHighBit ? row_units / 2 : 0;
    const uint blocks = kSuper ? row_units / 16 : row_units / 2;
    const uint block = kSuper ? unit / 16 : unit / 2;
    vec2 d;
    if (kMinimum)
        d = unpackHalf2x16(scale_word(row, halves + block, row_scales));
    else
        d = vec2(unpackHalf2x16(scale_word(row, halves + block / 2, row_scales))[block & 1u], 0.0);
    const uint groups = halves + (kMinimum ? blocks : (blocks + 1) / 2);
    if (kFormat == kQ4_K || kFormat == kQ5_K) {
        const uint both = scale_word(row, groups + unit / 4, row_scales) >> (16 * ((unit >> 1) & 1u));
        d *= vec2(both & 0xffu, (both >> 8) & 0xffu);
    } else if (kFormat == kQ2_K) {
        const uint both = scale_word(row, groups + unit / 4, row_scales) >> (8 * (unit & 3u));
        d *= vec2(both & 15u, (both >> 4) & 15u);
    } else if (kFormat == kQ3_K || kFormat == kQ6_K) {
        d.x *= float(signed_byte(scale_word(row, groups + unit / 4, row_scales), unit & 3u));
    } else if (kFormat == kIQ4_XS) {
        d.x *= float(signed_byte(scale_word(row, groups + unit / 8, row_scales), (unit >> 1) & 3u));
    }
    return d;
}

uvec2 unit_low_bits(uint row, uint unit, uint row_units) {
    return kTwoBits ? uvec2(unit_word(row, unit, row_units), 0) : unit_part(row, unit, row_units, 0);
}

uint unit_high_bits(uint row, uint unit, uint row_scales) {
    if (kTwoHighBits)
        return scale_word(row, unit, row_scales);
    return kOneHighBit ? scale_word(row, unit / 2, row_scales) >> (16 * (unit & 1u)) : 0;
}

// q of elements 4 * i to 4 * i + 3 of a unit.
vec4 unit_quants(uvec2 low, uint high, uint i) {
    uvec4 codes;
    if (kTwoBits)
        codes = (uvec4(low.x) >> (8 * i + uvec4(0, 2, 4, 6))) & 3u;
    else
        codes = (uvec4(i < 2 ? low.x : low.y) >> (16 * (i & 1u) + uvec4(0, 4, 8, 12))) & 15u;
    if (kOneHighBit)
        codes |= ((uvec4(high) >> (4 * i + uvec4(0, 1, 2, 3))) & 1u) << (kTwoBits ? 2 : 4);
    if (kTwoHighBits)
        codes |= ((uvec4(high) >> (8 * i + uvec4(0, 2, 4, 6))) & 3u) << 4;
    if (kTable)
        return vec4(kCodebook[codes.x], kCodebook[codes.y], kCodebook[codes.z], kCodebook[codes.w]);
    return vec4(codes) - float(kOffset);
}
#endif

#if defined(WEIGHT_Q8_0) || defined(WEIGHT_Q4_0)
float block_scale(uint row, uint block, uint row_scales) {
    const vec2 pair = unpackHalf2x16(scale_word(row, block / 2, row_scales));
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
    return unit_part(row, unit, row_units, 0);
#else
    const uvec2 a = unit_part(row, unit, row_units, 0);
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

// Words of a row in "quants".
uint row_words(uint row_units) {
#ifdef WEIGHT_BLOCKS
    return kTwoBits ? row_units : row_units * 2;
#else
    return row_units * kUnitWords;
#endif
}

// Fills w with the unit's values before scaling and returns their scale.
float weight16(uint row, uint unit, uint row_units, uint row_scales, out vec4 w[4]) {
#if defined(WEIGHT_F32)
    for (uint i = 0; i < 4; ++i)
        w[i] = uintBitsToFloat(unit_part(row, unit, row_units, i));
    return 1.0;
#elif defined(WEIGHT_F16)
    const uvec4 a = unit_part(row, unit, row_units, 0), b = unit_part(row, unit, row_units, 1);
    w[0] = vec4(unpackHalf2x16(a.x), unpackHalf2x16(a.y));
    w[1] = vec4(unpackHalf2x16(a.z), unpackHalf2x16(a.w));
    w[2] = vec4(unpackHalf2x16(b.x), unpackHalf2x16(b.y));
    w[3] = vec4(unpackHalf2x16(b.z), unpackHalf2x16(b.w));
    return 1.0;
#elif defined(WEIGHT_BF16)
    const uvec4 a = unit_part(row, unit, row_units, 0), b = unit_part(row, unit, row_units, 1);
    w[0] = bf16_pair_of_words(a.x, a.y);
    w[1] = bf16_pair_of_words(a.z, a.w);
    w[2] = bf16_pair_of_words(b.x, b.y);
    w[3] = bf16_pair_of_words(b.z, b.w);
    return 1.0;
#elif defined(WEIGHT_BLOCKS)
    const vec2 d = unit_scales(row, unit, row_units, row_scales);  // asked for first, to wait less
    const uvec2 low = unit_low_bits(row, unit, row_units);
    const uint high = unit_high_bits(row, unit, row_scales);
    for (uint i = 0; i < 4; ++i)
        w[i] = kMinimum ? fma(unit_quants(low, high, i), vec4(d.x), vec4(d.y)) : unit_quants(low, high, i);
    return kMinimum ? 1.0 : d.x;
#else
    const float scale = block_scale(row, unit / 2, row_scales);  // asked for first, to wait less
#if defined(WEIGHT_Q8_0)
    const uvec4 a = unit_part(row, unit, row_units, 0);
    w[0] = signed_bytes(a.x);
    w[1] = signed_bytes(a.y);
    w[2] = signed_bytes(a.z);
    w[3] = signed_bytes(a.w);
#else
    const uvec2 a = unit_part(row, unit, row_units, 0);
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
    const uint unit = quad / 4;
#if defined(WEIGHT_F32)
    return uintBitsToFloat(unit_part(row, unit, row_units, quad & 3u));
#elif defined(WEIGHT_F16) || defined(WEIGHT_BF16)
    const uvec4 part = unit_part(row, unit, row_units, (quad >> 1) & 1u);
    const uvec2 a = (quad & 1u) == 0u ? part.xy : part.zw;
#if defined(WEIGHT_F16)
    return vec4(unpackHalf2x16(a.x), unpackHalf2x16(a.y));
#else
    return bf16_pair_of_words(a.x, a.y);
#endif
#elif defined(WEIGHT_BLOCKS)
    const vec2 d = unit_scales(row, unit, row_units, row_scales);
    return unit_quants(unit_low_bits(row, unit, row_units), unit_high_bits(row, unit, row_scales),
                       quad & 3u) * d.x + d.y;
#else
    const float scale = block_scale(row, quad / 8, row_scales);
#if defined(WEIGHT_Q8_0)
    return signed_bytes(unit_part(row, unit, row_units, 0)[quad & 3u]) * scale;
#else
    return nibbles(unit_part(row, unit, row_units, 0)[(quad >> 1) & 1u] >> (16 * (quad & 1u))) * scale;
#endif
#endif
}
