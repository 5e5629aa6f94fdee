// Square patches of pictures into rows: a convolution whose stride is its kernel's size, with bias
// and positions added.     Shader: shaders/patch_embed.comp
#pragma once

#include "engine/matrix.h"
#include "engine/ops/activation.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

// Sizes of what is cut into patches.
struct PatchGrid {
    uint32_t side = 0;        // pixels a side of a picture
    uint32_t patch_size = 0;  // pixels a side of a patch; what is left at the end is not read
    uint32_t per_side() const { return side / patch_size; }
    uint32_t patches() const { return per_side() * per_side(); }
};

class PatchEmbed {
public:
    explicit PatchEmbed(Device& device);
    // kernel: [out][3 * patch_size^2], a row ordered channel, y, x; pixels:
    // [pictures][3][side][side] f32; bias: [out] f32; positions: [patches][out] f32; dst: [pictures
    // * patches][out], patches in row-major order.
    void record(Recorder& recorder, const Matrix& kernel, const Slice& pixels, const Slice& bias,
                const Slice& positions, const PatchGrid& grid, const Activation& dst);

private:
    Variants variants_;
};

}  // namespace olivine
