#include "engine/ops/sampling.h"

#include "shaders/params.h"

namespace olivine {

Sampling::Sampling(Device& device)
    : filter_(device, "sampling", 5, sizeof(shader::LogitFilterParams)),
      select_(device, "sampling", 5, sizeof(shader::SampleSelectParams)) {}

void Sampling::record(Recorder& recorder, const Activation& logits,
                      const SamplingBuffers& buffers) {
    const std::string suffix = filter_.subgroup_suffix();
    const shader::LogitFilterParams filter{.vocab = logits.cols,
                                           .logits_stride = logits.stride,
                                           .shards = kShards,
                                           .mask_words = mask_words(logits.cols)};
    recorder.dispatch(filter_.get("logit_filter" + suffix, filter_.row_threads()),
                      {logits.slice, buffers.params, buffers.seen, buffers.allowed, buffers.peaks},
                      filter, {.x = kShards, .y = logits.rows});
    const shader::SampleSelectParams select{
        .vocab = logits.cols, .logits_stride = logits.stride, .shards = kShards};
    recorder.dispatch(select_.get("sample" + suffix, filter_.row_threads()),
                      {logits.slice, buffers.params, buffers.peaks, buffers.rows, buffers.chosen},
                      select, {.x = logits.rows});
}

}  // namespace olivine
