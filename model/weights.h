// A model's weights on the device, named as in the published files.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "engine/matrix.h"
#include "engine/ops/ops.h"
#include "engine/weight_stream.h"
#include "model/config.h"
#include "model/residency.h"
#include "model/tensor_loader.h"

namespace olivine {

struct LayerWeights {
    Matrix qkv_proj;      // [(heads + 2 kv_heads) * head_dim][hidden]: q, k, v stacked
    Matrix o_proj;        // [hidden][heads * head_dim]
    Matrix gate_up_proj;  // [2 * intermediate][hidden]: gate and up rows alternate
    Matrix down_proj;     // [hidden][intermediate]
    std::array<Matrix*, 4> matrices() { return {&qkv_proj, &o_proj, &gate_up_proj, &down_proj}; }
    // Norms are f32, as offsets from one. Those of a branch's end, [2][hidden]: what comes out of it, and
    // what the next one takes.
    Slice attention_norms;    // post_attention_layernorm, pre_feedforward_layernorm
    Slice feedforward_norms;  // post_feedforward_layernorm, the next layer's input_layernorm or, at
                              // last, norm
    Slice qk_norms;           // [2][head_dim]: q_norm, k_norm; empty on Gemma 2
};

struct Weights {
    Matrix embed_tokens;      // [vocab][hidden]
    Matrix lm_head;           // [vocab][hidden]; no rows where the embedding is the head
    std::vector<LayerWeights> layers;
    Slice first_norm;         // [hidden] f32: input_layernorm of the first layer
    std::unique_ptr<VectorArena> norms;  // what the norm slices point into

    const Matrix& head() const { return lm_head.rows() > 0 ? lm_head : embed_tokens; }
    Matrix& head() { return lm_head.rows() > 0 ? lm_head : embed_tokens; }

    // The groups that are not resident, in the order of the forward pass. Their pieces have images.
    std::vector<std::vector<StreamedPiece>> groups(const Residency& residency);
    // Moves what `to` has elsewhere than `from`, in two steps: first the host gets images of what
    // leaves the device, and nothing else changes. Then, when no stream uses the weights any more,
    // they move; what had been resident and is to stay so may leave the device meanwhile. Both
    // throw out_of_memory, device_lost.
    void make_images(Device& device, const Residency& from, const Residency& to);
    void move(Device& device, const Residency& from, const Residency& to);
    // Moves the resident rows of a head whose pieces have images to the device.
    void enter_head(Uploader& uploader, const Residency& residency);

private:
    std::vector<Matrix*> leaving(const Residency& from, const Residency& to);
};

// "layers.3.mlp.up_proj.weight"
std::string layer_name(uint32_t layer, const char* tensor);

// Which type each fused matrix gets from a checkpoint; used for sizes too.
struct LayerTypes {
    std::vector<MatrixPart> qkv_proj;
    DataType o_proj, gate_up_proj, down_proj;
};
LayerTypes layer_types(const Checkpoint& checkpoint, uint32_t layer);

// Device bytes of all norm weights.
uint64_t norm_bytes(const Config& config);

// A random matrix, the same for the same seed, which moves on.
Matrix random_matrix(Device& device, Ops& ops, DataType type, uint32_t rows, uint32_t cols,
                     uint32_t& seed);

// Random weights of a config, made on the device; the same every time. Activations stay in a range
// like a trained model's.
Weights random_weights(Device& device, Ops& ops, const Config& config, DataType type,
                       const Residency& residency);

}  // namespace olivine
