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
    // norms: [2][cols] f32, offsets from one: post_weight, then next_weight.
    void record(Recorder& recorder, const Activation& branch, const Slice& norms, const Activation& stream,
                const Activation& dst, float eps);

private:
    Variants variants_;
};

}  // namespace olivine
