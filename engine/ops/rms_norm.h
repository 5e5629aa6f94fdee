// dst = src / rms(src) * (1 + weight), row by row.     Shader: shaders/rms_norm.comp
#pragma once

#include "engine/ops/activation.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

class RmsNorm {
public:
    explicit RmsNorm(Device& device);
    // weight: [cols] f32.
    void record(Recorder& recorder, const Activation& src, const Slice& weight,
                const Activation& dst, float eps);

private:
    Variants variants_;
};

}  // namespace olivine
