// How many bytes a model needs, told before anything is allocated.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "engine/data_type.h"
#include "engine/ops/kv_layer.h"
#include "model/config.h"

namespace olivine {

class Checkpoint;

// Positions that a context may have, at most: what the tables of sines are made and tested for.
constexpr uint32_t kMostPositions = 1'000'000;

// Prompt tokens that run through the layers together, at most. Also decides the rings' length.
constexpr uint32_t kMaxChunk = 512;

// Sequences that decode side by side, at most: what matvec takes at once.
constexpr uint32_t kMaxSequences = 16;

struct ContextOptions {
    uint32_t context = 0;  // positions a sequence; 0 = min(model's, 8192)
    uint32_t sequences = 1;  // at most kMaxSequences
    uint64_t checkpoint_bytes = 1ull << 30;  // of the host, for Context::keep()
    uint32_t drafts = 0;     // ids that one step may check behind the drawn one, fewer than kMaxSequences
    double slice_seconds = 0.1;   // of a submission, at most, where the work can be cut that far
    double chain_seconds =
        0.02;  // decode steps in one submission; words then still come one by one to the eye
    KvType kv = KvType::f16;
    // For the least memory: the device has one sequence at a time, the others wait with the host, and
    // chunks are short.
    bool lean = false;
};

// min(model's, 8192) or what was asked for. Throws bad_input beyond kMostPositions.
uint32_t context_length(const Config& config, uint32_t asked);
// Positions that a model's tables of sines are made for: a context has as many at most.
uint32_t rope_positions(const Config& config, const ContextOptions& options);
// Longest chunk: min(kMaxChunk, context). Lean: kLeanChunk, or what a picture takes if that is more.
constexpr uint32_t kLeanChunk = 64;
uint32_t chunk_length(const Config& config, const ContextOptions& options);
// Sequences that are on the device at once.
constexpr uint32_t seats(const ContextOptions& options) { return options.lean ? 1 : options.sequences; }

// Rows of a decode step, at most.
constexpr uint32_t step_rows(const ContextOptions& options) {
    return std::max(seats(options), options.drafts + 1);
}

struct ModelBytes {
    uint64_t weights = 0;  // packed on the device, norms and RoPE tables included
    std::vector<uint64_t> layers;  // of them, the matrices of each layer
    DataType table = DataType::f32,
             head = DataType::f32;  // the embedding's rows and the head's: one if tied
    uint64_t kv = 0;       // when every sequence is full
    uint64_t scratch = 0;  // activations, logits, step buffers
    uint64_t vision = 0;   // of the picture encoder, from the first picture on; not in the total
    uint64_t total() const { return weights + kv + scratch; }
};

// Weights of one type throughout (embedding included), as --synthetic makes them.
ModelBytes model_bytes(const Config& config, DataType type, const ContextOptions& options);
// Weights as a checkpoint stores them.
ModelBytes model_bytes(const Checkpoint& checkpoint, const ContextOptions& options);
// The same weights with another context.
ModelBytes model_bytes(ModelBytes bytes, const Config& config, const ContextOptions& options);

// Longest sum of a layer's matrix multiplies.
uint32_t widest_linear(const Config& config);

// Slots of one sequence in a local layer: window + chunk - 1.
uint32_t ring_slots(const Config& config, const ContextOptions& options);
// In a global one: the context, in whole pages where sequences may share them.
uint32_t paged_slots(uint32_t context, uint32_t sequences);

}  // namespace olivine
