// stream += rms_norm(branch, post_weight); dst = rms_norm(stream, next_weight), row by row.
// Shader: shaders/residual_norm.comp
#pragma once

#include "engine/ops/activation.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

class ResidualNorm {
public:
    explicit ResidualNorm(Device& device);
    // Weights: [cols] f32, offsets from one.
    void record(Recorder& recorder, const Activation& branch, const Slice& post_weight,
                const Slice& next_weight, const Activation& stream, const Activation& dst, float eps);

private:
    Variants variants_;
};

}  // namespace olivine
