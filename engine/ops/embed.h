// dst[r] = table[rows[r].token] * scale; normed[r] = rms_norm(dst[r], weight).     Shader: shaders/embed.comp
#pragma once

#include "engine/matrix.h"
#include "engine/ops/activation.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

class Embed {
public:
    explicit Embed(Device& device);
    // rows: [dst.rows] shader::Row, every token below table.rows(); normed[r] = rms_norm(dst[r], weight), as
    // engine/ops/rms_norm.h says. One dispatch a piece of the table.
    void record(Recorder& recorder, const Matrix& table, const Slice& rows, const Activation& dst,
                float scale, const Slice& weight, const Activation& normed, float eps);

private:
    Variants variants_;
};

}  // namespace olivine
