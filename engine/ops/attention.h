// Tiled causal attention over the cache, global or sliding-window, grouped queries, soft cap.
// Shaders: shaders/attention.comp; for prompts, shaders/attention_coopmat.comp and
// shaders/attention_coopmat2.comp, whose operands are halves
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/ops/activation.h"
#include "engine/ops/kv_layer.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

// Working memory of split attention; zero at first, and left with its counters at zero.
struct AttentionScratch {
    Slice parts;
    Slice arrivals;
};

class Attention {
public:
    explicit Attention(Device& device);

    // Rows of one sequence at consecutive positions, all written to the cache already.
    // q: [rows][heads][padded_dim] f32, scaled; rows: shader::Row; dst: [rows][heads * head_dim].
    // softcap 0 = none. Runs all rows of dst, or `count` of them from `first` on.
    void record_prefill(Recorder& recorder, const Slice& q, const KvLayer& layer, const Slice& rows,
                        const HeadShape& shape, float softcap, const Activation& dst,
                        const AttentionScratch& scratch, uint32_t first = 0, uint32_t count = 0);

    // One row a sequence. The key range of each row is cut into pieces: into as many as `grid` says
    // when the plan runs (shader::GridArguments, for global layers) or, with an empty slice, into
    // splits_for(layer.window). On deterministic devices it stays whole, as a prompt's.
    void record_decode(Recorder& recorder, const Slice& q, const KvLayer& layer, const Slice& rows,
                       const Slice& grid, const HeadShape& shape, float softcap,
                       const Activation& dst, const AttentionScratch& scratch);

    // Keys that a piece should have at least, and how many pieces there can be.
    static constexpr uint32_t kSplitKeys = 256;
    static constexpr uint32_t kMaxSplits = 32;
    static uint32_t splits_for(uint32_t keys);
    // Bytes of the scratch's two slices for decode with up to `rows` rows.
    static uint64_t parts_bytes(const HeadShape& shape, uint32_t rows);
    static uint64_t arrivals_bytes(const HeadShape& shape, uint32_t rows);
    // What `parts` needs besides, behind what decode has there, where a layer has several pieces: for
    // up to `rows` rows at a time, of prompts or of a step.
    static uint64_t carried_bytes(const HeadShape& shape, uint32_t rows);

    // What Device::rungs and Device::set_aside know a class of shapes by:
    // "attention <f32|f16|q8_0> <head_dim> <decode|prefill>".
    static std::string work(const HeadShape& shape, KvType type, bool decode);
    // Rungs above storage16 that have a shader for it, best first.
    static std::vector<Rung> candidates(KvType type, bool decode);
    // What runs: the first of them that the device has, that is not set aside for the class, and
    // whose tiles fit into a workgroup. Nothing: the plain shader, of f32 operands.
    std::optional<Rung> rung(const HeadShape& shape, KvType type, bool decode) const;

private:
    struct Range {
        uint32_t first, end;  // rows
    };
    void record(Recorder& recorder, uint32_t tokens, bool split, const Slice& grid, const Slice& q,
                const KvLayer& layer, const Slice& rows, Range range, const HeadShape& shape,
                float softcap, const Activation& dst, const AttentionScratch& scratch);
    void record_matrices(Recorder& recorder, Rung with, const Slice& q, const KvLayer& layer,
                         const Slice& rows, Range range, const HeadShape& shape, float softcap,
                         const Activation& dst);
    Variants variants_, matrices_;
};

}  // namespace olivine
