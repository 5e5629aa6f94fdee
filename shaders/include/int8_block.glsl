// Turns a block of 32 activations into int8, four a word: value = scale * byte, with the scale that
// makes the largest magnitude 127. Returns the scale. The rounding is off by at most half a scale:
// 0.4 % of the block's largest value.
//
// A block with an infinity or NaN becomes zeros with the scale NaN, so that its sums are NaN.
float int8_block(vec4 values[8], out uvec4 bytes[2]) {
    uint top = 0;  // magnitudes compare like their bits, infinity and NaN above all
    for (uint i = 0; i < 8; ++i) {
        const uvec4 bits = floatBitsToUint(values[i]) & 0x7fffffffu;
        top = max(top, max(max(bits.x, bits.y), max(bits.z, bits.w)));
    }
    const bool finite = top < 0x7f800000u;
    const float largest = uintBitsToFloat(top);
    // Below 1e-30 lies nothing that matters, and 1 / largest stays finite.
    const float inverse = finite && largest > 1e-30 ? 1.0 / largest : 0.0;
    for (uint i = 0; i < 8; ++i)
        bytes[i / 4][i % 4] = finite ? packSnorm4x8(values[i] * inverse) : 0u;
    return finite ? largest * (1.0 / 127.0) : uintBitsToFloat(0x7fc00000u);
}
