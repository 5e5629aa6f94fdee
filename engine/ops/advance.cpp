#include "engine/ops/advance.h"

#include "engine/ops/attention.h"
#include "engine/ops/sampling.h"
#include "shaders/params.h"

namespace olivine {

Advance::Advance(Device& device) : variants_(device, "advance", 7, sizeof(shader::AdvanceParams)) {}

void Advance::record(Recorder& recorder, const AdvanceBuffers& buffers, uint32_t rows,
                     uint32_t vocab, const HeadShape& shape) {
    const shader::AdvanceParams params{.rows = rows,
                                       .mask_words = Sampling::mask_words(vocab),
                                       .history = kHistory,
                                       .stops = kStops,
                                       .kv_heads = shape.kv_heads,
                                       .split_keys = Attention::kSplitKeys,
                                       .max_splits = Attention::kMaxSplits};
    recorder.dispatch(
        variants_.get("advance" + variants_.subgroup_suffix(), variants_.subgroup_threads()),
        {buffers.chosen, buffers.rows, buffers.seen, buffers.history, buffers.grid, buffers.stops,
         buffers.running},
        params, {});
}

}  // namespace olivine
