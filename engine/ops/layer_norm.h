// dst = (src - mean(src)) / deviation(src) * weight + bias, row by row.
// Shader: shaders/layer_norm.comp
#pragma once

#include "engine/ops/activation.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

class LayerNorm {
public:
    explicit LayerNorm(Device& device);
    // weight, bias: [cols] f32. deviation^2 = variance + eps.
    void record(Recorder& recorder, const Activation& src, const Slice& weight, const Slice& bias,
                const Activation& dst, float eps);

private:
    Variants variants_;
};

}  // namespace olivine
