// One direction of a separable filter over 8-bit pixels, exact to the integer.
// Shader: shaders/resize.comp
#pragma once

#include <array>

#include "engine/buffer.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

// On the device: [out] first sample of each output, and [out][taps] weights in 22-bit fixed point,
// each output's summing to about 2^22. A tap of weight zero may lie outside the picture.
struct FilterSlices {
    Slice first;
    Slice weights;
    uint32_t out = 0;
    uint32_t taps = 0;
};

class Resize {
public:
    explicit Resize(Device& device);
    // Along x. src: [lines][width] words, R in the lowest byte, then G and B, or the reverse where
    // `begins_with_blue`; dst: [lines][out], R lowest.
    void record_rows(Recorder& recorder, const Slice& src, uint32_t width, uint32_t lines,
                     const FilterSlices& filter, const Slice& dst, bool begins_with_blue = false);
    // Along y, into f32 planes. src: [height][width] words; dst: [3][out][width] from float
    // dst_first on, each v * scale + offset of its channel.
    void record_columns(Recorder& recorder, const Slice& src, uint32_t width,
                        const FilterSlices& filter, const std::array<float, 3>& scale,
                        const std::array<float, 3>& offset, const Slice& dst, uint32_t dst_first);

private:
    Variants variants_;
};

}  // namespace olivine
