// Philox4x32-10: a counter-based generator, so that a number depends on (seed, counter) alone and
// not on who asks first. J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011;
// the constants are that paper's.
uvec4 philox(uvec4 counter, uvec2 key) {
    for (uint round_index = 0; round_index < 10; ++round_index) {
        uint high0, low0, high1, low1;
        umulExtended(0xD2511F53u, counter.x, high0, low0);
        umulExtended(0xCD9E8D57u, counter.z, high1, low1);
        counter = uvec4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key += uvec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}
