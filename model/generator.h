// The middle door: prompts of token ids in, drawn ids out.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "model/constraint.h"
#include "model/context.h"
#include "model/drafter.h"
#include "model/speculation.h"

namespace olivine {

struct GenerateRequest {
    std::vector<int32_t> prompt;     // ids, bos included; not empty
    uint32_t max_tokens = 0;         // 0 = until a stop id or the context is full
    SamplerOptions sampler;
    std::vector<int32_t> stop_ids;   // drawing one ends the answer; it is reported like any id
    // Checkpoints where the prompt goes on from what is held, and at its end: for conversations, where the
    // next prompt begins alike.
    bool checkpoints = false;
    // With checkpoints: ids of which the prompt has the first few. Another one behind them, which
    // other prompts may have in common with this one.
    std::vector<int32_t> beginning = {};
    // Ids that may be drawn besides stop ids, [vocab] bits or fewer; empty = every id.
    std::vector<uint32_t> allowed = {};
    // What the answer is to be, and where in it this one begins; null = anything. Stop ids are then drawn
    // only where it may end, and it ends without one where nothing can follow (EndReason::stop_id).
    std::shared_ptr<Constraint> constraint = {};
    Constraint::State constraint_state = Constraint::kStart;
};

enum class EndReason : uint8_t { stop_id, max_tokens, context_full, caller };

struct GenerateResult {
    std::vector<int32_t> ids;  // drawn, the stop id included
    EndReason end = EndReason::max_tokens;
};

struct GenerateStats {
    uint32_t prompt_tokens = 0;   // all prompts together
    uint32_t cached_tokens = 0;   // of them, found in the cache
    uint32_t drawn_tokens = 0;
    uint32_t drafted_tokens = 0;  // guessed
    uint32_t accepted_tokens = 0; // of them, right
    double prefill_seconds = 0;
    double decode_seconds = 0;
};

// Its context is made anew when the device is, and answers go on.
class Generator {
public:
    // options.sequences: how many prompts a batch can have. options.drafts: ids that a step guesses at
    // most, while one prompt runs alone and guessing pays (model/speculation.h); 0 = it never guesses.
    // draft: the model that guesses, with the same vocabulary; null: guesses are looked up in the text.
    Generator(Model& model, const ContextOptions& options, Model* draft = nullptr);

    // Answers up to sequences() prompts side by side. Prompt i uses sequence `first` + i of the context; the
    // beginning that it shares with what that sequence, or another one, holds is not run again, and what
    // prompts of one call begin with runs, and takes memory in global layers, once.
    // on_token(i, id) is called for every id as it is drawn; answering false ends prompt i.
    // cancelled is asked between slices of device work: then the prompts that run end with
    // EndReason::caller, and what the cache holds stays usable.
    // Throws bad_input (empty prompt, ids outside the vocabulary, a prompt longer than the context:
    // says both lengths; no id is allowed), device_lost, out_of_memory, internal (logits are not finite);
    // the next call begins from what the cache holds then. A device that is lost is set up anew
    // (Device::surviving); then the prompts and what was drawn run again, and nothing is told twice.
    std::vector<GenerateResult> generate(
        std::span<const GenerateRequest> requests,
        const std::function<bool(uint32_t prompt, int32_t id)>& on_token = {},
        const Cancelled& cancelled = {}, uint32_t first = 0);

    // Ids that may never be drawn, from now on: place holders of pictures, padding rows.
    void forbid(std::span<const int32_t> ids);

    // Model::set_budget(). Where weights alone cannot make the room, the context becomes a lean one: keys and
    // values of the sequences that do not run wait with the host. Later budgets that have room for it
    // bring it back. To be called between steps, also from on_token where one prompt runs; throws what
    // Model::set_budget() throws.
    void set_budget(uint64_t bytes);
    bool lean() const { return options_.lean; }

    const GenerateStats& stats() const { return stats_; }  // of the last generate()
    Context& context() { return *context_; }
    Model& model() { return model_; }

private:
    // An answer that goes on.
    struct Answer {
        const GenerateRequest& request;
        uint32_t sequence;
        GenerateResult result;
        bool ended = false;
        Constraint::State state = Constraint::kStart;
    };
    using OnToken = std::function<bool(uint32_t prompt, int32_t id)>;
    bool prefill(std::span<const Answer> answers, std::span<const std::vector<int32_t>> texts,
                 uint32_t prompt, const Cancelled& cancelled);
    void go_on(std::span<Answer> answers, const OnToken& on_token, const Cancelled& cancelled);
    std::vector<uint32_t> allowed_next(const Answer& answer) const;
    std::vector<int32_t> guess_and_step(const Answer& answer, DraftLength& length,
                                        const Cancelled& cancelled);

    void set_lean(bool lean);

    Model& model_;
    ContextOptions options_;
    Remade<Context> context_;
    uint32_t drafts_;
    std::unique_ptr<Drafter> drafter_;  // null: guesses are looked up
    std::vector<uint32_t> allowed_;  // [vocab] bits
    GenerateStats stats_;
};

}  // namespace olivine
