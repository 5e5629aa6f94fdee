// Which weights stay on the device and which are streamed to it, told before anything is allocated.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "model/sizes.h"

namespace olivine {

// The first layers are resident, as many as fit; then, if all are, the first rows of the head. What
// is left is streamed in groups, a layer or a run of the head's rows each. With a streamed head the
// embedding is looked up on the host.
struct Residency {
    bool fits = false;        // within the budget, streamed or not
    bool streams = false;     // else everything is resident
    uint32_t layers = 0;      // that are resident
    uint32_t head_rows = 0;   // that are resident
    uint32_t group_rows = 0;  // rows of a group of the head; only if it streams
    uint64_t resident_bytes = 0, streamed_bytes = 0;  // of the weights
    uint64_t extra_bytes =
        0;  // device memory that streaming itself takes: slots, staging, looked-up rows
    uint64_t least_bytes =
        0;  // device memory with which the model runs at all, everything included
};

// others: device bytes that are not the model's and its context's, such as a picture encoder's.
Residency residency(const Config& config, const ModelBytes& bytes, const ContextOptions& options,
                    uint64_t budget, uint64_t others = 0);

// "weights 12, keys and values 3, scratch 4": what a model needs, in bytes, for messages.
std::string needs_text(const ModelBytes& bytes, uint64_t others);

// Throws out_of_memory with all numbers unless it fits.
void require_fit(const Residency& residency, const ModelBytes& bytes, uint64_t budget,
                 uint64_t others);

// Longest context with which the model fits `budget` bytes, streamed if need be; 0 when not even
// one position does. others: bytes of what else there is, some of which has a context of that
// length, such as a draft model.
uint32_t longest_context(const Config& config, const ModelBytes& bytes,
                         const ContextOptions& options, uint64_t budget,
                         const std::function<uint64_t(uint32_t context)>& others = {});

}  // namespace olivine
