// The forward pass of Gemma 2 and 3, recorded once.
#pragma once

#include "engine/recorder.h"
#include "model/context.h"

namespace olivine {

// Where a recorded step finds its rows.
struct StepRows {
    Slice rows;            // shader::Row
    // Where each row's token is looked up, and as which row of it (shader::Row). Null:
    // activations.stream holds the rows' input, a picture's soft tokens.
    const Matrix* table = nullptr;
    Slice table_rows;
    bool decode = false;   // one row a sequence; else consecutive rows of one sequence
    Slice grid;            // attention's indirect grid, decode only
    uint32_t layers_a_slice = 0;  // after so many it can be stopped, and others get the device; 0 = nowhere
    bool fine = false;            // also within layers: for devices where one takes long
};

// Records everything from token ids to the final norm: afterwards activations.normed holds the rows
// that the head multiplies. All keys and values of the rows are in the cache.
void record_forward(Recorder& recorder, Model& model, const KvCache& cache, const StepRows& step,
                    const Activations& activations, const AttentionScratch& scratch);

}  // namespace olivine
