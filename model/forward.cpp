#include "model/forward.h"

#include <algorithm>

namespace olivine {

void record_forward(Recorder& recorder, Model& model, const KvCache& cache, const StepRows& step,
                    const Activations& a, const AttentionScratch& scratch) {
    const Config& config = model.config();
    const Weights& weights = model.weights();
    const HeadShape shape = cache.shape();
    const float eps = config.norm_eps;
    const float attn_softcap = config.attn_softcap.value_or(0.0f);
    Ops& ops = model.ops();
    constexpr uint32_t kFineRows = 8;
    const uint32_t at_once = step.fine ? kFineRows : a.heads.rows;  // rows of attention
    const auto pause = [&] {
        if (step.fine)
            recorder.cut();
    };

    if (step.table)
        ops.embed.record(recorder, *step.table, step.table_rows, a.stream, config.embed_scale,
                         weights.first_norm, a.normed, eps);
    else
        ops.rms_norm.record(recorder, a.stream, weights.first_norm, a.normed, eps);
    for (uint32_t i = 0; i < config.num_layers; ++i) {
        const LayerWeights& layer = weights.layers[i];
        const bool global = config.global_layers[i];
        const KvLayer& kv = cache.layer(i);

        ops.linear.record(recorder, layer.qkv_proj, a.normed, a.qkv);
        ops.rope_store.record(recorder, a.qkv, step.rows, &model.rope(global), layer.qk_norms, shape,
                              config.query_scale, eps, a.q, kv);
        pause();
        if (step.decode)
            ops.attention.record_decode(recorder, a.q, kv, step.rows, global ? step.grid : Slice{},
                                        shape, attn_softcap, a.heads, scratch);
        else
            for (uint32_t first = 0; first < a.heads.rows; first += at_once) {
                ops.attention.record_prefill(recorder, a.q, kv, step.rows, shape, attn_softcap, a.heads,
                                             scratch, first, std::min(at_once, a.heads.rows - first));
                pause();
            }
        ops.linear.record_branch(recorder, ops.residual_norm, layer.o_proj, a.heads, a.branch,
                                 {layer.attention_norms, a.stream, a.normed, eps, a.arrivals});

        pause();
        ops.linear.record(recorder, layer.gate_up_proj, a.normed, a.hidden, Epilogue::geglu);
        pause();
        ops.linear.record_branch(recorder, ops.residual_norm, layer.down_proj, a.hidden, a.branch,
                                 {layer.feedforward_norms, a.stream, a.normed, eps, a.arrivals});
        if (step.layers_a_slice > 0 && (i + 1) % step.layers_a_slice == 0)
            recorder.cut();
    }
}

}  // namespace olivine
