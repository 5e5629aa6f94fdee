// Before a model runs: does its device compute right, and on which rungs is it the fastest?
// See engine/selftest/startup.h.
#pragma once

#include <functional>
#include <string>

#include "engine/ops/kv_layer.h"
#include "engine/selftest/startup.h"

namespace olivine {

struct Config;
struct VisionWeights;
struct Weights;

struct DeviceCheck {
    KvType kv = KvType::f16;  // of the contexts to come
    std::string memory;       // a file that keeps findings for the next start; empty = none
    // Told once for the text side and once for the picture encoder, when it is loaded.
    std::function<void(const selftest::Findings&)> tell;
};

// Both throw unsupported (an operation is wrong even on tier 0), out_of_memory, device_lost.
void check_device(Device& device, const Config& config, const Weights& weights,
                  const DeviceCheck& check);
void check_device(Device& device, const Config& config, const VisionWeights& weights,
                  const DeviceCheck& check);

}  // namespace olivine
