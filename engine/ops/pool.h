// Averages of square cells of a square grid of rows.     Shader: shaders/pool.comp
#pragma once

#include "engine/ops/activation.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

class Pool {
public:
    explicit Pool(Device& device);
    // src: [pictures * (out_side * cell)^2][cols]; dst: [pictures * out_side^2][cols]; grids are in
    // row-major order.
    void record(Recorder& recorder, const Activation& src, uint32_t cell, uint32_t out_side,
                const Activation& dst);

private:
    Variants variants_;
};

}  // namespace olivine
