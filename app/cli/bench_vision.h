// How long a picture takes, stage by stage.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/cli/progress.h"
#include "model/vision.h"

namespace olivine {

struct VisionStage {
    const char* name;
    double seconds;  // of the device, for one picture
    double flops;    // floating-point operations of its matrices, two for a multiply-add
};

struct VisionResults {
    uint32_t side = 0;  // pixels
    std::vector<VisionStage> stages;
    double wall_seconds = 0;        // from pixels to soft tokens, one picture
    double matrix_flops_per_s = 0;  // measured: the MLP's first matrix alone, over one picture
};

// Encodes a random picture `repetitions` times, or once where that takes long, and takes the run
// with the median time. Throws what Vision::encode throws, unsupported without timestamps.
VisionResults measure_vision(Device& device, Ops& ops, Vision& vision, const Config& config,
                             DataType type, uint32_t repetitions, ProgressBar& bar);

nlohmann::ordered_json vision_json(const VisionResults& results);
void print_vision(const VisionResults& results);

}  // namespace olivine
