#include "model/device_check.h"

#include <algorithm>

#include "model/config.h"
#include "model/vision_weights.h"
#include "model/weights.h"

namespace olivine {
namespace {

void add_type(std::vector<DataType>& types, const Matrix& matrix) {
    for (const MatrixPiece& piece : matrix.pieces())
        if (std::find(types.begin(), types.end(), piece.layout.type) == types.end())
            types.push_back(piece.layout.type);
}

void run(Device& device, const selftest::Workload& workload, const DeviceCheck& check) {
    const selftest::Findings findings = selftest::prepare(device, workload, check.memory);
    if (check.tell)
        check.tell(findings);
}

}  // namespace

void check_device(Device& device, const Config& config, const Weights& weights,
                  const DeviceCheck& check) {
    selftest::Workload workload;
    for (const LayerWeights& layer : weights.layers)
        for (const Matrix* matrix :
             {&layer.qkv_proj, &layer.o_proj, &layer.gate_up_proj, &layer.down_proj})
            add_type(workload.types, *matrix);
    add_type(workload.types, weights.head());
    workload.epilogues = {Epilogue::none, Epilogue::geglu};
    workload.table = weights.embed_tokens.type();
    workload.width = config.hidden_size;
    workload.heads = {config.num_heads, config.num_kv_heads, config.head_dim};
    workload.kv = check.kv;
    workload.softcap = config.attn_softcap.value_or(0);
    workload.qk_norm = config.qk_norm;
    run(device, workload, check);
}

void check_device(Device& device, const Config& config, const VisionWeights& weights,
                  const DeviceCheck& check) {
    selftest::Workload workload;
    for (const VisionLayerWeights& layer : weights.layers)
        for (const Matrix* matrix : {&layer.qkv_proj, &layer.out_proj, &layer.fc1, &layer.fc2})
            add_type(workload.types, *matrix);
    add_type(workload.types, weights.projection);
    workload.epilogues = {Epilogue::none, Epilogue::bias, Epilogue::bias_gelu, Epilogue::bias_add};
    workload.table = weights.projection.type();
    workload.width = config.vision->hidden_size;
    workload.heads = {config.vision->num_heads, config.vision->num_heads,
                      config.vision->hidden_size / config.vision->num_heads};
    workload.kv = KvType::f32;
    workload.qk_norm = false;
    run(device, workload, check);
}

}  // namespace olivine
