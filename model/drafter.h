// A small model that guesses what a large one is going to draw.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/context.h"

namespace olivine {

// Runs beside the large model, on the same text with the same vocabulary, and draws with the same random
// numbers: those of a position. So it also guesses right where an id is drawn by chance, as long as the two
// models' probabilities are alike.
class Drafter {
public:
    // model outlives it. context: positions, as many as the large model's has.
    Drafter(Model& model, uint32_t context, KvType kv);

    // Runs what of `text` has not run yet, but for its last id. Pictures, which it does not see, and rows
    // that its vocabulary lacks are blanks to it. A stop ends it, which is no error here.
    // Throws device_lost, out_of_memory.
    void read(std::span<const int32_t> text, const Cancelled& cancelled = {});
    // Up to `count` ids behind `text`, which it reads; none when that is stopped. allowed: of the
    // large model's vocabulary, [vocab] bits.
    std::vector<int32_t> guess(std::span<const int32_t> text, uint32_t count, const SamplerOptions& sampler,
                               std::span<const uint32_t> allowed, const Cancelled& cancelled = {});

private:
    bool run(std::span<const int32_t> text, bool last_logits, const Cancelled& cancelled);

    Remade<Context> context_;
    uint32_t vocab_;
};

}  // namespace olivine
