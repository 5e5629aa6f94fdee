// What a model needs to run besides its weights: activations, KV cache, step buffers, plans.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "engine/recorder.h"
#include "model/kv_cache.h"
#include "model/model.h"
#include "model/pace.h"

namespace olivine {

namespace shader {
struct Row;  // shaders/params.h
}
struct StepRows;  // model/forward.h

// How ids are drawn. Order: penalty, temperature, top-k, top-p, min-p; ties go to the lower id.
struct SamplerOptions {
    float temperature = 1.0f;   // 0 = greedy
    uint32_t top_k = 64;        // 0 = all
    float top_p = 0.95f;        // 1 = all
    float min_p = 0.0f;         // of the best id's probability; 0 = all
    float repeat_penalty = 1.0f;  // > 0; 1 = none
    uint64_t seed = 0;
};

// How many ids both begin with.
uint32_t common(std::span<const int32_t> a, std::span<const int32_t> b);

// Refuses values outside their range: bad_input naming field, value and range.
void validate(const SamplerOptions& options);

// Activations of one step, [rows][...] f32.
struct Activations {
    Activation stream;  // residual stream                      [rows][hidden]
    Activation normed;  // what the next projection reads       [rows][hidden]
    Activation branch;  // what a branch adds to the stream     [rows][hidden]
    Activation qkv;     //                                      [rows][(heads + 2 kv_heads) head_dim]
    Activation heads;   // attention's output                   [rows][heads * head_dim]
    Activation hidden;  // gelu(gate) * up                      [rows][intermediate]
    Slice q;            // normed, rotated, scaled queries      [rows][heads][padded_dim]
    Slice arrivals;     // one word of scratch (BranchEnd)
};

// Holds up to options.sequences sequences, each at its own position, which decode side by side.
class Context {
public:
    // Throws out_of_memory, with the sum of what is needed before anything is allocated; bad_input.
    Context(Model& model, const ContextOptions& options);
    ~Context();

    uint32_t context() const { return cache_.context(); }
    uint32_t max_chunk() const { return cache_.max_chunk(); }
    uint32_t sequences() const { return sequences_; }

    // Whether sequences can take over what others hold: not in a lean context.
    bool can_fork() const { return !lean_; }

    // Everything that the sequences hold, now with the host, and what is decoding. Another context of the
    // same model, with as many sequences and the same KvType, take()s it, and goes on as this one would have:
    // a fresh one, which holds nothing, while this one is of no use any more. put_away() throws device_lost,
    // out_of_memory; then it stays as it is.
    struct Away;
    Away put_away();
    void take(Away&& away);

    // Ids that the cache holds for a sequence.
    const std::vector<int32_t>& tokens(uint32_t sequence) const { return held_[sequence]; }
    // Makes a sequence hold only its first `length` tokens, or as many as it can go back to, and ends its
    // decoding. Returns how many it holds now: reach(). Throws out_of_memory, device_lost.
    uint32_t rewind(uint32_t sequence, uint32_t length);
    // The longest beginning of up to `length` tokens that a sequence can go back to: by what its rings still
    // hold, or to where keep() was called.
    uint32_t reach(uint32_t sequence, uint32_t length) const;
    // Remembers where a sequence is, on the host: what its local layers see and, if its last
    // prefill() has left them, its logits. So that rewind() to here is a copy later, however much
    // has run since. As much as options.checkpoint_bytes is remembered, of all sequences; then the
    // oldest is forgotten but the shortest of each sequence, which later prompts most likely begin with.
    // Throws out_of_memory, device_lost.
    void keep(uint32_t sequence);
    // True when the logits that follow a sequence's last token are in their row, so that join() may come.
    bool has_logits(uint32_t sequence) const { return has_logits_[sequence]; }
    // Makes `to` hold the first `length` tokens of `from`, or as many as that can go back to, in place of its
    // own. What they take in global layers is there once, until one of the two goes on from there: only
    // the page that it writes is copied. Returns how many it holds now. Throws out_of_memory, device_lost.
    uint32_t fork(uint32_t from, uint32_t to, uint32_t length);

    // What the cache holds of a sequence, to keep it elsewhere: saved_bytes() of its length, told
    // in parts. load() takes it back, read in the same order, in place of what the sequence held;
    // it is that of `tokens`, which have passed check(), and of a context with the same KvType.
    // Longer or shorter rings are fine. Throw out_of_memory, device_lost, and what the callbacks
    // throw; after that load() has left it empty.
    void save(uint32_t sequence, const std::function<void(std::span<const std::byte>)>& put) const;
    void load(uint32_t sequence, std::span<const int32_t> tokens,
              const std::function<void(std::span<std::byte>)>& get);
    uint64_t saved_bytes(uint32_t length) const { return cache_.stored_bytes(length, KvPart::all); }
    KvType kv_type() const { return cache_.type(); }

    // Throws bad_input for ids that no prompt can have: outside the vocabulary and of no picture that
    // the model knows, or soft tokens of a picture that are not all there in a row. A soft token is the
    // negative id of its picture (EncodedPicture::id).
    void check(std::span<const int32_t> tokens) const;
    // How many of the ids that come next run together: `most` of them or fewer, none of a picture; or
    // all soft tokens of one picture.
    uint32_t chunk_at(std::span<const int32_t> tokens, uint32_t most) const;

    // As many as keep each submission short, by the times of the chunks so far: what prompts run by
    // that nobody asked to cut otherwise.
    uint32_t pace() const { return pace_.tokens(); }

    // Runs one chunk (what chunk_at says) of a sequence, whose ids have passed check(). With
    // `last_logits`, the logits of its last token are left in row `sequence` of logits().
    void prefill(uint32_t sequence, std::span<const int32_t> tokens, bool last_logits,
                 const Cancelled& cancelled);
    // Logits of rows [first, first + count) of the chunk that has just run, count <= kHeadRows, into
    // rows 0.. of logits().
    void head(uint32_t first, uint32_t count);
    static constexpr uint32_t kHeadRows = 8;

    // [max(sequences, kHeadRows)][vocab]
    const Activation& logits() const { return logits_; }
    // Copies rows of logits() to the host: [count][vocab].
    void read_logits(uint32_t first, uint32_t count, std::span<float> out);

    // Decoding. join() draws a first id from the logits that the sequence's last prefill() has left,
    // with no step() in between; from then on it is one of those that each step() runs by one token, all
    // over one reading of the weights. leave() takes it out again. allowed: ids that may be drawn,
    // [vocab] bits; empty = every id. stop_ids: those that the caller will leave() at, so that nothing
    // runs behind them (of a sequence, Advance::kStops count).
    // A step records nothing, updates no descriptor and allocates nothing, unless it is the first with
    // so many sequences, or steps take long and are cut, or the cache grows (at most once in 1,024 tokens) or
    // weights have moved; after a join() or leave() it uploads their state.
    // Throw bad_input (sampler; a sequence that is full), internal when logits are not finite.
    int32_t join(uint32_t sequence, const SamplerOptions& sampler,
                 std::span<const uint32_t> allowed = {}, std::span<const int32_t> stop_ids = {});
    void leave(uint32_t sequence);
    // What a sequence that decodes may draw from its next step() on, as in join().
    void allow(uint32_t sequence, std::span<const uint32_t> allowed);
    // Those that decode, in the order of step()'s ids.
    std::vector<uint32_t> decoding() const;
    // expected: how many steps are to come, this one included, as far as the caller knows. Where they are
    // short, several run in one submission, and the next calls give what has been drawn already. logits() are
    // this step's only if 1 was expected. Throws `cancelled` where steps are cut and it answers yes in the
    // middle of one: then it has not run.
    std::span<const int32_t> step(uint32_t expected = 1, const Cancelled& cancelled = {});
    // The same for the only sequence that decodes, with guesses of the ids that follow the drawn
    // one, at most options.drafts: checks all in one step and returns what so many step()s would
    // have drawn, an id for each guess that was right, and one more. Rounding may differ where a
    // device computes several rows by another shader. Throws bad_input when the guesses do not fit
    // the context or the vocabulary.
    std::span<const int32_t> step_with(std::span<const int32_t> drafts);

    // Dispatches of the last decode step, 0 before the first.
    uint32_t dispatches_per_step() const { return step_dispatches_; }
    // Host time spent in step() outside of waiting for the device, in seconds, and how many steps.
    double host_seconds() const { return host_seconds_; }

    // Device bytes of a step's small buffers, for `rows` tokens of a prompt or `steps` of decoding.
    static uint64_t step_bytes(uint32_t rows, uint32_t steps, uint32_t vocab);
    // And of what rows are looked up in where the embedding is not on the device.
    static uint64_t lookup_bytes(uint32_t rows, DataType table, uint32_t hidden);

    // Forgets what is recorded, for a trace to begin or to end.
    void record_anew() { plans_.clear(); }
    // Fills the cache of every sequence with random values and takes this one's for `length` tokens, to
    // measure at depth. What other sequences hold is lost.
    void pretend(uint32_t sequence, uint32_t length);

private:
    struct PlanKey {
        uint32_t kind, rows, extra;
        bool fine = false;
        auto operator<=>(const PlanKey&) const = default;
    };
    // A sequence that decodes, and what the device has of it in its row of the step's buffers.
    struct Decoding {
        uint32_t sequence = 0;
        SamplerOptions sampler;
        std::vector<uint32_t> allowed;  // [mask_words]
        std::vector<int32_t> stop_ids;
        int32_t drawn = 0;              // not in the cache yet
        bool at_stop() const { return std::find(stop_ids.begin(), stop_ids.end(), drawn) != stop_ids.end(); }
    };
    // What keep() has remembered of a sequence.
    struct Checkpoint {
        uint32_t length = 0;  // tokens
        uint64_t age = 0;
        std::vector<std::byte> rings;
        std::vector<float> logits;  // [vocab] or none
        uint64_t bytes() const { return rings.size() + logits.size() * sizeof(float); }
    };
    bool here(uint32_t sequence) const { return !lean_ || seated_ == sequence; }
    // The device's number of a sequence that is there.
    uint32_t seat_of(uint32_t sequence) const { return lean_ ? 0 : sequence; }
    void seat(uint32_t sequence);
    void park(uint32_t sequence);
    void store(uint32_t sequence, const std::function<void(std::span<std::byte>)>& get);
    Activations activations(uint32_t rows) const;
    void wrote(uint32_t sequence, uint32_t length);
    void require(uint32_t sequence, uint32_t begin, uint32_t end);
    const Checkpoint* checkpoint(uint32_t sequence, uint32_t length) const;
    void restore(uint32_t sequence, const Checkpoint& from);
    void forget_oldest();
    void forget_old_plans();
    void look_up(std::span<const shader::Row> rows);
    void set_table(StepRows& step) const;
    Plan& prefill_plan(uint32_t rows, bool picture, bool last_logits, uint32_t sequence);
    void place_picture(int32_t id);
    Plan& head_plan(uint32_t first, uint32_t count);
    Plan& decode_plan(uint32_t rows);
    Plan& sample_plan(uint32_t sequence);
    Plan& layout_plan(uint32_t rows);
    void record_sampling(Recorder& recorder, const Activation& logits);
    void lay_out(std::span<const Decoding> rows, std::span<const shader::Row> at);
    void set_running();
    void run_chain(uint32_t expected, const Cancelled& cancelled);
    void run_and_read(Plan& plan, uint32_t rows, uint32_t times, const Cancelled& cancelled = {});
    int32_t checked(uint32_t id, uint32_t sequence) const;
    Activation logits_row(uint32_t sequence) const;

    Model& model_;
    uint32_t sequences_, step_rows_;
    bool lean_;
    uint32_t seated_ = 0;  // if lean: the sequence that is on the device
    std::vector<std::vector<std::byte>> parked_;  // keys and values of those that are not, like save()
    KvCache cache_;
    uint32_t plans_generation_ = UINT32_MAX;  // of the cache and the model together
    std::map<PlanKey, Plan> plans_;
    Pace pace_;
    std::vector<std::vector<int32_t>> held_;
    // Positions of a sequence that the rings have taken since it was empty: held_'s, and those of a
    // chunk that was stopped, of guesses that were wrong, and of what a rewind has let go.
    std::vector<uint32_t> written_;
    std::vector<bool> has_logits_;
    uint64_t checkpoint_bytes_;
    std::vector<std::vector<Checkpoint>> checkpoints_;  // by sequence, shorter ones first
    uint64_t checkpoints_taken_ = 0;

    std::vector<Buffer> buffers_;
    Activations activations_;
    Activation logits_, head_input_;
    AttentionScratch scratch_;
    // Where the weights stream: the embedding's rows of a step's tokens, one after the other, and
    // their numbers, as shader::Row.
    Matrix looked_up_;
    Buffer look_up_rows_;
    Buffer host_rows_, rows_, decode_rows_, grid_, params_, seen_, allowed_, peaks_, chosen_, history_,
        stops_, running_, host_layout_;

    std::vector<Decoding> decoding_;
    bool laid_out_ = false;  // the device's rows are those of decoding_
    uint32_t steps_ = 0;     // history entries read since
    ChainLength chain_;
    StepSlices slices_;
    uint32_t step_dispatches_ = 0;  // of the last step
    std::vector<uint32_t> ahead_;   // ids drawn that step() has not given yet, [steps][decoding_]
    size_t ahead_at_ = 0;
    std::vector<int32_t> drawn_;
    double host_seconds_ = 0;
};

struct Context::Away {
    std::vector<std::vector<int32_t>> held;
    std::vector<std::vector<std::byte>> parked;
    std::vector<std::vector<Checkpoint>> checkpoints;
    std::vector<Decoding> decoding;
};

}  // namespace olivine
