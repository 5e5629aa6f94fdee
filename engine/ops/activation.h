// Rows of f32 values on the device: what operations read and write besides weights.
#pragma once

#include "engine/buffer.h"

namespace olivine {

// [rows][cols], row r at r * stride floats. stride is a multiple of 4, so that rows can be read as
// vec4; what lies between cols and stride is never read as a number.
struct Activation {
    Slice slice;
    uint32_t rows = 0;
    uint32_t cols = 0;
    uint32_t stride = 0;

    // Its first `count` rows.
    Activation first(uint32_t count) const { return middle(0, count); }
    // Rows [begin, begin + count). Any device can bind them where begin is a multiple of 16.
    Activation middle(uint32_t begin, uint32_t count) const {
        const uint64_t row_bytes = uint64_t{stride} * 4;
        return {{slice.buffer, slice.offset + begin * row_bytes, count * row_bytes}, count, cols, stride};
    }
    static uint32_t stride_of(uint32_t cols) { return (cols + 3) / 4 * 4; }
    static uint64_t bytes_of(uint32_t rows, uint32_t cols) {
        return uint64_t{rows} * stride_of(cols) * 4;
    }
};

}  // namespace olivine
