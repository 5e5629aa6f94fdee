// Numbers for where things stand: the same on every machine.
#pragma once

#include <cstdint>

// Evenly from 0 up to 1. The state is never 0.
inline float random_unit(uint32_t& state) {  // xorshift
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return static_cast<float>(state >> 8) / static_cast<float>(1u << 24);
}

inline uint32_t random_state(uint32_t seed) {
    return seed * 2654435761u | 1;
}
