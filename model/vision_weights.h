// The picture encoder's weights on the device, named as in the published files.
#pragma once

#include <memory>
#include <vector>

#include "engine/matrix.h"
#include "engine/ops/ops.h"
#include "model/config.h"
#include "model/tensor_loader.h"

namespace olivine {

// E: vision hidden_size. A vector is f32.
struct VisionLayerWeights {
    Matrix qkv_proj;  // [3 E][E]: q, k, v stacked
    Matrix out_proj;  // [E][E]
    Matrix fc1;       // [intermediate][E]
    Matrix fc2;       // [E][intermediate]
    Slice qkv_bias, out_bias, fc1_bias, fc2_bias;
    Slice norm1, norm1_bias, norm2, norm2_bias;  // [E] each
};

struct VisionWeights {
    Matrix patch_embedding;  // [E][3 * patch_size^2]
    Slice patch_bias;        // [E]
    Slice positions;         // [patches][E]
    std::vector<VisionLayerWeights> layers;
    Slice post_norm, post_norm_bias;       // [E]
    Slice soft_norm;                       // [E], as an offset from one
    Matrix projection;                     // [text hidden][E]
    std::unique_ptr<VectorArena> vectors;  // what the slices point into
};

// Reads every picture tensor. The config must have vision.
// Throws bad_file, out_of_memory, device_lost, cancelled.
VisionWeights load_vision_weights(Device& device, const Checkpoint& checkpoint,
                                  const Progress& progress);

// Random weights, made on the device; the same every time.
VisionWeights random_vision_weights(Device& device, Ops& ops, const Config& config, DataType type);

// Device bytes of the encoder with every matrix in one type, or as the checkpoint stores it; 0
// without vision.
uint64_t vision_weight_bytes(const Config& config, DataType type);
uint64_t vision_weight_bytes(const Checkpoint& checkpoint);

}  // namespace olivine
