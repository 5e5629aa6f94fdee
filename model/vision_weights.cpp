#include "model/vision_weights.h"

#include "engine/block_format.h"
#include "model/weights.h"

namespace olivine {
namespace {

const std::string kTower = "vision_tower.vision_model.";
const std::string kProjector = "multi_modal_projector.";

std::string layer_prefix(uint32_t layer) {
    return kTower + "encoder.layers." + std::to_string(layer) + ".";
}

// Floats of all vectors, each padded as the arena pads them.
uint64_t vector_bytes(const Config& config) {
    const VisionConfig& v = *config.vision;
    const uint64_t e = VectorArena::bytes_of(v.hidden_size);
    return v.num_layers * (VectorArena::bytes_of(3ull * v.hidden_size) + 6 * e +
                           VectorArena::bytes_of(v.intermediate_size)) +
           VectorArena::bytes_of(uint64_t{v.patches()} * v.hidden_size) + 4 * e;
}

struct VisionTypes {
    DataType qkv_proj, out_proj, fc1, fc2;
};

VisionTypes types_of(const Checkpoint& checkpoint, uint32_t layer) {
    const auto type = [&](const char* name) {
        return checkpoint.find(layer_prefix(layer) + name + ".weight")->type;
    };
    return {.qkv_proj = common_type(common_type(type("self_attn.q_proj"), type("self_attn.k_proj")),
                                    type("self_attn.v_proj")),
            .out_proj = type("self_attn.out_proj"),
            .fc1 = type("mlp.fc1"),
            .fc2 = type("mlp.fc2")};
}

uint64_t layer_bytes(const VisionConfig& v, const VisionTypes& types) {
    return Matrix::bytes(types.qkv_proj, 3 * v.hidden_size, v.hidden_size) +
           Matrix::bytes(types.out_proj, v.hidden_size, v.hidden_size) +
           Matrix::bytes(types.fc1, v.intermediate_size, v.hidden_size) +
           Matrix::bytes(types.fc2, v.hidden_size, v.intermediate_size);
}

// Patches are of a few hundred values, and no type in blocks has a shader for them.
DataType patch_type(DataType stored) { return is_blocks(stored) ? DataType::f32 : stored; }

uint64_t outer_bytes(const Config& config, DataType patches, DataType projection) {
    const VisionConfig& v = *config.vision;
    return vector_bytes(config) +
           Matrix::bytes(patch_type(patches), v.hidden_size, 3 * v.patch_size * v.patch_size) +
           Matrix::bytes(block_elements(projection) == 1 ? projection : DataType::f32,
                         config.hidden_size, v.hidden_size);
}

}  // namespace

VisionWeights load_vision_weights(Device& device, const Checkpoint& checkpoint,
                                  const Progress& progress) {
    const Config& config = checkpoint.config();
    const VisionConfig& v = *config.vision;
    const uint64_t e = v.hidden_size, inter = v.intermediate_size;
    TensorLoader loader(device, checkpoint, progress, checkpoint.vision_bytes());
    VisionWeights weights;
    weights.vectors = std::make_unique<VectorArena>(device, vector_bytes(config));
    const auto vector = [&](const std::string& name, uint64_t size) {
        return weights.vectors->put(loader.vector(checkpoint.tensor(name, {size})));
    };

    const TensorInfo& patches = checkpoint.tensor(kTower + "embeddings.patch_embedding.weight",
                                                  {e, 3, v.patch_size, v.patch_size});
    weights.patch_embedding = loader.matrix({&patches}, patch_type(patches.type));
    weights.patch_bias = vector(kTower + "embeddings.patch_embedding.bias", e);
    weights.positions = weights.vectors->put(loader.vector(
        checkpoint.tensor(kTower + "embeddings.position_embedding.weight", {v.patches(), e})));
    for (uint32_t i = 0; i < v.num_layers; ++i) {
        const std::string prefix = layer_prefix(i);
        const VisionTypes types = types_of(checkpoint, i);
        const auto matrix = [&](const char* name, uint64_t rows, uint64_t cols) {
            return &checkpoint.tensor(prefix + name + ".weight", {rows, cols});
        };
        VisionLayerWeights layer;
        layer.norm1 = vector(prefix + "layer_norm1.weight", e);
        layer.norm1_bias = vector(prefix + "layer_norm1.bias", e);
        layer.qkv_proj =
            loader.matrix({matrix("self_attn.q_proj", e, e), matrix("self_attn.k_proj", e, e),
                           matrix("self_attn.v_proj", e, e)},
                          types.qkv_proj);
        std::vector<float> bias;
        for (const char* name : {"q", "k", "v"}) {
            const std::vector<float> one =
                loader.vector(checkpoint.tensor(prefix + "self_attn." + name + "_proj.bias", {e}));
            bias.insert(bias.end(), one.begin(), one.end());
        }
        layer.qkv_bias = weights.vectors->put(bias);
        layer.out_proj = loader.matrix({matrix("self_attn.out_proj", e, e)}, types.out_proj);
        layer.out_bias = vector(prefix + "self_attn.out_proj.bias", e);
        layer.norm2 = vector(prefix + "layer_norm2.weight", e);
        layer.norm2_bias = vector(prefix + "layer_norm2.bias", e);
        layer.fc1 = loader.matrix({matrix("mlp.fc1", inter, e)}, types.fc1);
        layer.fc1_bias = vector(prefix + "mlp.fc1.bias", inter);
        layer.fc2 = loader.matrix({matrix("mlp.fc2", e, inter)}, types.fc2);
        layer.fc2_bias = vector(prefix + "mlp.fc2.bias", e);
        weights.layers.push_back(std::move(layer));
    }
    weights.post_norm = vector(kTower + "post_layernorm.weight", e);
    weights.post_norm_bias = vector(kTower + "post_layernorm.bias", e);
    weights.soft_norm = weights.vectors->put(
        loader.norm(checkpoint.tensor(kProjector + "mm_soft_emb_norm.weight", {e})));
    weights.projection = loader.transposed(
        checkpoint.tensor(kProjector + "mm_input_projection_weight", {e, config.hidden_size}));
    loader.flush();
    return weights;
}

VisionWeights random_vision_weights(Device& device, Ops& ops, const Config& config, DataType type) {
    const VisionConfig& v = *config.vision;
    const uint32_t e = v.hidden_size;
    VisionWeights weights;
    weights.vectors = std::make_unique<VectorArena>(device, vector_bytes(config));
    const auto vector = [&](uint64_t size, float value) {
        return weights.vectors->put(std::vector<float>(size, value));
    };
    uint32_t seed = 1'000'003;  // away from the text's
    const auto matrix = [&](uint32_t rows, uint32_t cols) {
        return random_matrix(device, ops, type, rows, cols, seed);
    };
    weights.patch_embedding = matrix(e, 3 * v.patch_size * v.patch_size);
    weights.patch_bias = vector(e, 0);
    weights.positions = vector(uint64_t{v.patches()} * e, 0);
    for (uint32_t i = 0; i < v.num_layers; ++i) {
        VisionLayerWeights layer;
        layer.norm1 = vector(e, 1);
        layer.norm1_bias = vector(e, 0);
        layer.qkv_proj = matrix(3 * e, e);
        layer.qkv_bias = vector(3 * e, 0);
        layer.out_proj = matrix(e, e);
        layer.out_bias = vector(e, 0);
        layer.norm2 = vector(e, 1);
        layer.norm2_bias = vector(e, 0);
        layer.fc1 = matrix(v.intermediate_size, e);
        layer.fc1_bias = vector(v.intermediate_size, 0);
        layer.fc2 = matrix(e, v.intermediate_size);
        layer.fc2_bias = vector(e, 0);
        weights.layers.push_back(std::move(layer));
    }
    weights.post_norm = vector(e, 1);
    weights.post_norm_bias = vector(e, 0);
    weights.soft_norm = vector(e, 0);
    weights.projection = matrix(config.hidden_size, e);
    return weights;
}

uint64_t vision_weight_bytes(const Config& config, DataType type) {
    if (!config.vision)
        return 0;
    return outer_bytes(config, type, type) +
           config.vision->num_layers * layer_bytes(*config.vision, {type, type, type, type});
}

uint64_t vision_weight_bytes(const Checkpoint& checkpoint) {
    const Config& config = checkpoint.config();
    if (!config.vision)
        return 0;
    uint64_t bytes =
        outer_bytes(config, checkpoint.find(kTower + "embeddings.patch_embedding.weight")->type,
                    checkpoint.find(kProjector + "mm_input_projection_weight")->type);
    for (uint32_t i = 0; i < config.vision->num_layers; ++i)
        bytes += layer_bytes(*config.vision, types_of(checkpoint, i));
    return bytes;
}

}  // namespace olivine
