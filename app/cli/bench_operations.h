// What each operation of a decode step costs, and what the device's memory can do at most.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/trace.h"

namespace olivine {

// All dispatches of one shader in a step.
struct OperationCost {
    std::string shader;
    double count = 0;         // a step
    double seconds = 0;       // of the device, a step
    double share = 0;         // of all operations' seconds
    double gb_per_s = 0;      // weights and activations of a matrix multiply; 0 for others, which
                              // bind more than they read
};

// Of the dispatches, copies and fills among the spans of `steps` steps; the dearest first.
std::vector<OperationCost> operation_costs(std::span<const Span> spans, uint32_t steps);

// GB/s that the device copies within its memory, read and written bytes together; 0 where the memory
// for it is not there.
double copy_gb_per_s(Device& device);

nlohmann::ordered_json operations_json(const std::vector<OperationCost>& costs);
void print_operations(const std::vector<OperationCost>& costs, double copy_gb_per_s);

}  // namespace olivine
