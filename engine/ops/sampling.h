// Chooses one id a row from logits, on the device.
// Shaders: shaders/logit_filter.comp, then shaders/sample.comp
#pragma once

#include "engine/ops/activation.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

// What sampling reads and writes, all [rows] in the first dimension.
struct SamplingBuffers {
    Slice params;   // shader::SampleParams
    Slice seen;     // [mask_words] bits: ids that the repetition penalty counts
    Slice allowed;  // [mask_words] bits: ids that may be chosen
    Slice peaks;    // [kShards] two words of scratch
    Slice rows;     // shader::Row, for the position that keys the random numbers
    Slice chosen;   // one id; kNoToken when no logit is a finite number
};

class Sampling {
public:
    explicit Sampling(Device& device);
    // logits: [rows][vocab]; they are overwritten with their filtered values.
    void record(Recorder& recorder, const Activation& logits, const SamplingBuffers& buffers);

    // Also the largest top-k that sampling finds in one pass over the logits.
    static constexpr uint32_t kShards = 256;
    static constexpr uint32_t kNoToken = 0xffffffff;
    static uint32_t mask_words(uint32_t vocab) { return (vocab + 31) / 32; }

private:
    Variants filter_;
    Variants select_;
};

}  // namespace olivine
