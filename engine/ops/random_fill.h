// Random weights made on the device.     Shader: shaders/random_fill.comp
#pragma once

#include "engine/matrix.h"
#include "engine/ops/kv_layer.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

class RandomFill {
public:
    explicit RandomFill(Device& device);
    // Fills a matrix with values of about +-scale. The same seed gives the same values.
    void record(Recorder& recorder, const Matrix& matrix, uint32_t seed, float scale);
    // The same for keys and values of all sequences.
    void record(Recorder& recorder, const KvLayer& layer, uint32_t seed, float scale);

private:
    void fill(Recorder& recorder, const Slice& slice, uint32_t kind, uint32_t seed, float scale);

    Variants variants_;
};

}  // namespace olivine
