// Makes the next step's rows from what was just sampled.     Shader: shaders/advance.comp
#pragma once

#include "engine/ops/kv_layer.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

struct AdvanceBuffers {
    Slice chosen;   // [rows] ids
    Slice rows;     // [rows] shader::Row
    Slice seen;     // [rows][mask_words]
    Slice history;  // count, then [kHistory][rows] ids
    Slice grid;     // shader::GridArguments of attention
    Slice stops;    // [rows][kStops] ids that end it all
    Slice running;  // one word, 0 once a row has drawn one of its stops: then nothing advances
};

class Advance {
public:
    explicit Advance(Device& device);
    void record(Recorder& recorder, const AdvanceBuffers& buffers, uint32_t rows, uint32_t vocab,
                const HeadShape& shape);

    static constexpr uint32_t kHistory = 64;  // steps whose ids the ring keeps
    static constexpr uint32_t kStops = 8;     // of a row; Sampling::kNoToken where it has fewer
    static uint64_t history_bytes(uint32_t rows) { return (1 + uint64_t{kHistory} * rows) * 4; }

private:
    Variants variants_;
};

}  // namespace olivine
