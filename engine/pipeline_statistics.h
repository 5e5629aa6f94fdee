// What a driver's compiler says of the pipelines that it has made: registers, spills, instructions.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/device.h"

namespace olivine {

struct PipelineStatistics {
    std::string shader;               // a name of shaders/CMakeLists.txt
    uint32_t threads = 0;             // of a workgroup
    std::vector<uint32_t> constants;  // specialization constants from id 2 on
    uint32_t subgroup_size = 0;       // that it was compiled for
    // The driver's own names and units, in its order; a truth value is 0 or 1.
    std::vector<std::pair<std::string, double>> values;
};

// Of all pipelines made so far, by name; waits for those that still compile. Empty unless the device
// was made with DeviceOptions::compile_only. Throws what a compilation threw.
std::vector<PipelineStatistics> pipeline_statistics(Device& device);

}  // namespace olivine
