#include "model/context.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>
#include <cinttypes>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "engine/error.h"
#include "model/forward.h"
#include "shaders/params.h"

namespace olivine {
namespace {

enum PlanKind : uint32_t { prefill_kind, picture_kind, head_kind, decode_kind, sample_kind, layout_kind };

// A stride that keeps every row at an offset that any device can bind.
uint32_t bindable_stride(uint32_t cols) { return (cols + 63) / 64 * 64; }

shader::SampleParams sample_params(const SamplerOptions& options) {
    return {.inverse_temperature = options.temperature > 0 ? 1.0f / options.temperature : 0.0f,
            .top_k = options.top_k,
            .top_p = options.top_p,
            .log_min_p = options.min_p > 0 ? std::log(options.min_p)
                                           : -std::numeric_limits<float>::infinity(),
            .repeat_penalty = options.repeat_penalty,
            .seed_low = static_cast<uint32_t>(options.seed),
            .seed_high = static_cast<uint32_t>(options.seed >> 32),
            .unused = 0};
}

// Where the state of a step's rows lies in host_layout_, part by part.
struct Layout {
    enum Part : uint32_t { rows, params, grid, stops, running, seen, allowed };
    static constexpr uint32_t kParts = 7;
    std::array<uint64_t, kParts> bytes, at;
    uint64_t total = 0;

    Layout(uint64_t count, uint32_t vocab)
        : bytes{count * sizeof(shader::Row), count * sizeof(shader::SampleParams),
                sizeof(shader::GridArguments), count * Advance::kStops * 4, 4,
                count * Sampling::mask_words(vocab) * 4, count * Sampling::mask_words(vocab) * 4} {
        for (uint32_t i = 0; i < kParts; ++i) {
            at[i] = total;
            total += bytes[i];
        }
    }
};

}  // namespace

uint64_t Context::step_bytes(uint32_t rows, uint32_t steps, uint32_t vocab) {
    constexpr uint64_t kRounding = 16 * 16;  // of the buffers
    return 2 * rows * sizeof(shader::Row) + 2 * Layout(steps, vocab).total +
           Advance::history_bytes(steps) + steps * (Sampling::kShards * 8 + 4) + kRounding;
}

uint64_t Context::lookup_bytes(uint32_t rows, DataType table, uint32_t hidden) {
    return Matrix::bytes(table, rows, hidden) + rows * sizeof(shader::Row) + 32;
}

void validate(const SamplerOptions& options) {
    const auto check = [](const char* what, float value, float low, float high) {
        if (!(value >= low && value <= high))
            fail(Fault::bad_input, "%s is %g (it is between %g and %g).", what, double(value),
                 double(low), double(high));
    };
    check("The temperature", options.temperature, 0.0f, 100.0f);
    check("top-p", options.top_p, 0.0f, 1.0f);
    check("min-p", options.min_p, 0.0f, 1.0f);
    check("The repetition penalty", options.repeat_penalty, 0.01f, 100.0f);
}

Context::Context(Model& model, const ContextOptions& options)
    : model_(model),
      sequences_(options.sequences),
      step_rows_(step_rows(options)),
      lean_(options.lean),
      parked_(options.sequences),
      cache_(model.device(), model.config(), options),
      pace_(cache_.max_chunk(), options.slice_seconds),
      held_(options.sequences),
      written_(options.sequences),
      has_logits_(options.sequences),
      checkpoint_bytes_(options.checkpoint_bytes),
      checkpoints_(options.sequences),
      chain_(options.chain_seconds),
      slices_(model.config().num_layers, options.slice_seconds) {
    assert(sequences_ > 0 && step_rows_ <= kMaxSequences);
    if (context() > model.most_positions())
        fail(Fault::bad_input, "A context of %u positions is asked for (the model is made for %u).",
             context(), model.most_positions());
    Device& device = model.device();
    const Config& config = model.config();
    const HeadShape shape = cache_.shape();
    const uint32_t rows = std::max(cache_.max_chunk(), step_rows_);
    const uint32_t mask_words = Sampling::mask_words(config.vocab_size);
    buffers_.reserve(16);  // slices point at elements
    const auto buffer = [&](uint64_t bytes) {
        buffers_.emplace_back(device, Arena::activations, bytes);
        return buffers_.back().slice();
    };
    const auto activation = [&](uint32_t cols) {
        return Activation{buffer(Activation::bytes_of(rows, cols)), rows, cols,
                          Activation::stride_of(cols)};
    };
    activations_.stream = activation(config.hidden_size);
    activations_.normed = activation(config.hidden_size);
    activations_.branch = activation(config.hidden_size);
    activations_.qkv = activation((shape.heads + 2 * shape.kv_heads) * shape.head_dim);
    activations_.heads = activation(shape.heads * shape.head_dim);
    activations_.hidden = activation(config.intermediate_size);
    activations_.q = buffer(uint64_t{rows} * shape.heads * shape.padded_dim() * 4);
    activations_.arrivals = buffer(4);

    const uint32_t logit_rows = std::max(step_rows_, kHeadRows);
    const uint32_t stride = bindable_stride(config.vocab_size);
    logits_ = {buffer(uint64_t{logit_rows} * stride * 4), logit_rows, config.vocab_size, stride};
    head_input_ = {buffer(Activation::bytes_of(kHeadRows, config.hidden_size)), kHeadRows,
                   config.hidden_size, Activation::stride_of(config.hidden_size)};
    model.ops().linear.reserve(rows, widest_linear(config));
    scratch_ = {buffer(Attention::parts_bytes(shape, step_rows_) +
                       (cache_.in_pieces() ? Attention::carried_bytes(shape, rows) : 0)),
                buffer(Attention::arrivals_bytes(shape, step_rows_))};

    host_rows_ =
        Buffer(device, Arena::activations, rows * sizeof(shader::Row), HostAccess::mapped);
    rows_ = Buffer(device, Arena::activations, rows * sizeof(shader::Row));
    decode_rows_ = Buffer(device, Arena::activations, step_rows_ * sizeof(shader::Row));
    grid_ = Buffer(device, Arena::activations, sizeof(shader::GridArguments));
    params_ = Buffer(device, Arena::activations, step_rows_ * sizeof(shader::SampleParams));
    seen_ = Buffer(device, Arena::activations, uint64_t{step_rows_} * mask_words * 4);
    allowed_ = Buffer(device, Arena::activations, uint64_t{step_rows_} * mask_words * 4);
    peaks_ = Buffer(device, Arena::activations, uint64_t{step_rows_} * Sampling::kShards * 8);
    chosen_ = Buffer(device, Arena::activations, step_rows_ * 4);
    history_ = Buffer(device, Arena::activations, Advance::history_bytes(step_rows_),
                      HostAccess::mapped);
    stops_ = Buffer(device, Arena::activations, uint64_t{step_rows_} * Advance::kStops * 4);
    running_ = Buffer(device, Arena::activations, 4);
    host_layout_ = Buffer(device, Arena::activations, Layout(step_rows_, config.vocab_size).total,
                          HostAccess::mapped);
}

Context::~Context() = default;

Activations Context::activations(uint32_t rows) const {
    const Activations& all = activations_;
    return {.stream = all.stream.first(rows),
            .normed = all.normed.first(rows),
            .branch = all.branch.first(rows),
            .qkv = all.qkv.first(rows),
            .heads = all.heads.first(rows),
            .hidden = all.hidden.first(rows),
            .q = all.q,
            .arrivals = all.arrivals};
}

void Context::wrote(uint32_t sequence, uint32_t length) {
    written_[sequence] = std::max(written_[sequence], length);
}

// Room in the cache for positions [begin, end) to be written.
void Context::require(uint32_t sequence, uint32_t begin, uint32_t end) {
    seat(sequence);
    cache_.reserve(seat_of(sequence), begin, std::min(end, cache_.context()));
    forget_old_plans();
}

// Those that were recorded before the cache has grown or weights have moved, and what they look
// rows up in.
void Context::forget_old_plans() {
    const uint32_t generation = cache_.generation() + model_.generation();
    if (plans_generation_ == generation)
        return;
    plans_.clear();
    looked_up_ = {};
    look_up_rows_ = {};
    if (model_.residency().streams) {
        Device& device = model_.device();
        const MatrixPart part{model_.weights().embed_tokens.type(),
                              std::max(cache_.max_chunk(), step_rows_)};
        looked_up_ = Matrix(device, std::span(&part, 1), model_.config().hidden_size, Home::mapped);
        look_up_rows_ =
            Buffer(device, Arena::activations, part.rows * sizeof(shader::Row), HostAccess::mapped);
        for (uint32_t i = 0; i < part.rows; ++i)
            look_up_rows_.as<shader::Row>()[i].token = i;
    }
    plans_generation_ = generation;
}

// Before a step whose embedding is not on the device. No other may be running.
void Context::look_up(std::span<const shader::Row> rows) {
    if (!model_.residency().streams)
        return;
    std::vector<uint32_t> tokens;
    for (const shader::Row& row : rows)
        tokens.push_back(row.token);
    model_.weights().embed_tokens.gather(tokens, looked_up_);
}

void Context::set_table(StepRows& step) const {
    const bool streams = model_.residency().streams;
    step.table = streams ? &looked_up_ : &model_.weights().embed_tokens;
    step.table_rows = streams ? look_up_rows_.slice() : step.rows;
}

Plan& Context::prefill_plan(uint32_t rows, bool picture, bool last_logits, uint32_t sequence) {
    // Full chunks come again and again; odd lengths at the end of a prompt hardly ever do.
    constexpr ptrdiff_t kMostPlans = 32;
    const auto of_prompts = [](const auto& entry) {
        return entry.first.kind == prefill_kind || entry.first.kind == picture_kind;
    };
    // Of a picture all soft tokens run together, however slow the device has turned out to be.
    const bool fine = pace_.too_long() || (picture && pace_.tokens() < Pace::kFirst);
    const PlanKey key{picture ? picture_kind : prefill_kind, rows, last_logits ? sequence + 1 : 0, fine};
    if (!plans_.contains(key) && std::count_if(plans_.begin(), plans_.end(), of_prompts) >= kMostPlans)
        std::erase_if(plans_, of_prompts);
    Plan& plan = plans_[key];
    if (plan)
        return plan;
    Recorder recorder(model_.device(), "prefill");
    const uint64_t row_bytes = rows * sizeof(shader::Row);
    recorder.copy(host_rows_.slice(0, row_bytes), rows_.slice(0, row_bytes));
    StepRows step{.rows = rows_.slice(0, row_bytes), .layers_a_slice = 1, .fine = fine};
    if (!picture)
        set_table(step);
    record_forward(recorder, model_, cache_, step, activations(rows), scratch_);
    if (last_logits) {
        const uint64_t bytes = uint64_t{activations_.normed.stride} * 4;
        const Slice& normed = activations_.normed.slice;
        recorder.copy({normed.buffer, (rows - 1) * bytes, bytes},
                      {head_input_.slice.buffer, 0, bytes});
        model_.ops().linear.record(recorder, model_.weights().head(), head_input_.first(1),
                                   logits_row(sequence), Epilogue::none,
                                   model_.config().final_softcap.value_or(0));
    }
    plan = recorder.finish();
    return plan;
}

Plan& Context::head_plan(uint32_t first, uint32_t count) {
    Plan& plan = plans_[{head_kind, first, count}];
    if (plan)
        return plan;
    Recorder recorder(model_.device(), "head");
    const uint64_t row = uint64_t{activations_.normed.stride} * 4;
    recorder.copy({activations_.normed.slice.buffer, first * row, count * row},
                  {head_input_.slice.buffer, 0, count * row});
    model_.ops().linear.record(recorder, model_.weights().head(), head_input_.first(count),
                               logits_.first(count), Epilogue::none,
                               model_.config().final_softcap.value_or(0));
    plan = recorder.finish();
    return plan;
}

Activation Context::logits_row(uint32_t sequence) const {
    const uint64_t bytes = uint64_t{logits_.stride} * 4;
    return {{logits_.slice.buffer, seat_of(sequence) * bytes, bytes}, 1, logits_.cols, logits_.stride};
}

void Context::record_sampling(Recorder& recorder, const Activation& logits) {
    const SamplingBuffers sampling{.params = params_.slice(),
                                   .seen = seen_.slice(),
                                   .allowed = allowed_.slice(),
                                   .peaks = peaks_.slice(),
                                   .rows = decode_rows_.slice(),
                                   .chosen = chosen_.slice()};
    model_.ops().sampling.record(recorder, logits, sampling);
    recorder.only_if({});  // of decode_plan; advance writes what it depends on
    const AdvanceBuffers advance{.chosen = chosen_.slice(),
                                 .rows = decode_rows_.slice(),
                                 .seen = seen_.slice(),
                                 .history = history_.slice(),
                                 .grid = grid_.slice(),
                                 .stops = stops_.slice(),
                                 .running = running_.slice()};
    model_.ops().advance.record(recorder, advance, logits.rows, model_.config().vocab_size,
                                cache_.shape());
}

// For the first row of the step's buffers.
Plan& Context::sample_plan(uint32_t sequence) {
    Plan& plan = plans_[{sample_kind, sequence, 0}];
    if (!plan) {
        Recorder recorder(model_.device(), "sample");
        record_sampling(recorder, logits_row(sequence));
        plan = recorder.finish();
    }
    return plan;
}

Plan& Context::decode_plan(uint32_t rows) {
    Plan& plan = plans_[{decode_kind, rows, slices_.layers_a_slice()}];
    if (plan)
        return plan;
    Recorder recorder(model_.device(), "decode");
    recorder.only_if(running_.slice());  // where it ends a chain of steps early
    StepRows step{.rows = decode_rows_.slice(),
                  .decode = true,
                  .grid = grid_.slice(),
                  .layers_a_slice = slices_.layers_a_slice()};
    set_table(step);
    record_forward(recorder, model_, cache_, step, activations(rows), scratch_);
    model_.ops().linear.record(recorder, model_.weights().head(), activations_.normed.first(rows),
                               logits_.first(rows), Epilogue::none,
                               model_.config().final_softcap.value_or(0));
    record_sampling(recorder, logits_.first(rows));
    plan = recorder.finish();
    return plan;
}

void Context::check(std::span<const int32_t> tokens) const {
    const uint32_t vocab = model_.config().vocab_size;
    const uint32_t soft = model_.config().mm_tokens_per_image;
    for (size_t i = 0; i < tokens.size();) {
        const int32_t id = tokens[i];
        if (id >= 0) {
            if (static_cast<uint32_t>(id) >= vocab)
                fail(Fault::bad_input, "Token id %d is outside the vocabulary (0 to %u).", id,
                     vocab - 1);
            ++i;
            continue;
        }
        if (!model_.has_vision() || !model_.pictures().find(id))
            fail(Fault::bad_input, "Token id %d is outside the vocabulary and of no picture.", id);
        if (soft > max_chunk())
            fail(Fault::bad_input, "A picture takes %u positions; this context runs %u at once.",
                 soft, max_chunk());
        size_t run = 0;
        while (run < soft && i + run < tokens.size() && tokens[i + run] == id)
            ++run;
        if (run < soft)
            fail(Fault::bad_input, "A picture has %zu soft tokens in a row at position %zu (it has %u).",
                 run, i, soft);
        i += soft;
    }
}

uint32_t Context::chunk_at(std::span<const int32_t> tokens, uint32_t most) const {
    if (tokens[0] < 0)
        return model_.config().mm_tokens_per_image;
    const auto text = std::find_if(tokens.begin(), tokens.end(), [](int32_t id) { return id < 0; });
    return static_cast<uint32_t>(std::min<ptrdiff_t>(most, text - tokens.begin()));
}

// Copies a picture's soft tokens to where the layers read their input.
void Context::place_picture(int32_t id) {
    const PictureRef picture = model_.pictures().find(id);
    assert(picture);
    const uint32_t cols = activations_.stream.cols, stride = activations_.stream.stride;
    const uint32_t count = model_.config().mm_tokens_per_image;
    std::vector<float> rows(size_t{count} * stride);
    for (uint32_t r = 0; r < count; ++r)
        std::copy_n(picture->soft_tokens.begin() + r * cols, cols, rows.begin() + r * stride);
    write(model_.device(), activations_.stream.first(count).slice, std::as_bytes(std::span(rows)));
}

void Context::prefill(uint32_t sequence, std::span<const int32_t> tokens, bool last_logits,
                      const Cancelled& cancelled) {
    std::vector<int32_t>& held = held_[sequence];
    const uint32_t count = static_cast<uint32_t>(tokens.size());
    assert(count > 0 && count <= max_chunk() && held.size() + count <= context());
    const bool picture = tokens[0] < 0;
    const uint32_t begin = static_cast<uint32_t>(held.size());
    require(sequence, begin, begin + count);
    if (picture)
        place_picture(tokens[0]);
    const bool fine = pace_.too_long();
    Plan& plan = prefill_plan(count, picture, last_logits, sequence);
    const bool first = plan.slice_seconds().empty();
    const uint32_t unread = model_.unread();
    auto* rows = host_rows_.as<shader::Row>();
    for (uint32_t i = 0; i < count; ++i) {
        // The soft tokens of a picture see each other.
        const uint32_t last_visible = picture ? begin + count - 1 : begin + i;
        rows[i] = {picture ? 0 : static_cast<uint32_t>(tokens[i]), begin + i, seat_of(sequence),
                   last_visible};
    }
    if (!picture)
        look_up({rows, count});
    wrote(sequence, begin + count);
    has_logits_[sequence] = false;
    plan.run(cancelled);
    if (!picture && model_.unread() == unread) {  // else the time may be that of reading a file
        // Of a layer. The last slice is none: it has the head, or nothing.
        const std::span<const double> slices = plan.slice_seconds().first(plan.slices() - 1);
        const double sum = std::accumulate(slices.begin(), slices.end(), 0.0);
        pace_.measured(count, fine ? sum / model_.config().num_layers : std::ranges::max(slices), first);
    }
    held.insert(held.end(), tokens.begin(), tokens.end());
    has_logits_[sequence] = last_logits;
}

void Context::head(uint32_t first, uint32_t count) {
    assert(count <= kHeadRows);
    has_logits_.assign(sequences_, false);
    model_.read_all();
    forget_old_plans();
    head_plan(first, count).run();
}

void Context::read_logits(uint32_t first, uint32_t count, std::span<float> out) {
    const uint32_t vocab = logits_.cols, stride = logits_.stride;
    assert(out.size() == size_t{count} * vocab);
    std::vector<float> rows(size_t{count} * stride);
    read(model_.device(),
         {logits_.slice.buffer, uint64_t{first} * stride * 4, rows.size() * sizeof(float)},
         std::as_writable_bytes(std::span(rows)));
    for (uint32_t r = 0; r < count; ++r)
        std::copy_n(rows.begin() + size_t{r} * stride, vocab, out.begin() + size_t{r} * vocab);
}

int32_t Context::join(uint32_t sequence, const SamplerOptions& sampler,
                      std::span<const uint32_t> allowed, std::span<const int32_t> stop_ids) {
    validate(sampler);
    leave(sequence);
    const uint32_t words = Sampling::mask_words(model_.config().vocab_size);
    const std::vector<int32_t>& held = held_[sequence];
    assert(!held.empty() && (allowed.empty() || allowed.size() == words));
    Decoding one{.sequence = sequence,
                 .sampler = sampler,
                 .allowed = {allowed.begin(), allowed.end()},
                 .stop_ids = {stop_ids.begin(), stop_ids.end()}};
    if (allowed.empty())
        one.allowed.assign(words, 0xffffffffu);
    const uint32_t position = static_cast<uint32_t>(held.size()) - 1;
    const shader::Row row{static_cast<uint32_t>(held.back()), position, sequence, position};
    Plan& plan = sample_plan(sequence);
    lay_out(std::span(&one, 1), std::span(&row, 1));
    laid_out_ = decoding_.empty();
    has_logits_[sequence] = false;  // they are scaled and filtered in place
    run_and_read(plan, 1, 1);
    const uint32_t id = ahead_.front();
    ahead_.clear();
    one.drawn = checked(id, sequence);
    decoding_.push_back(std::move(one));
    return decoding_.back().drawn;
}

void Context::leave(uint32_t sequence) {
    if (std::erase_if(decoding_, [&](const Decoding& each) { return each.sequence == sequence; }) == 0)
        return;
    laid_out_ = false;
    ahead_.clear();  // the others draw theirs again
}

void Context::allow(uint32_t sequence, std::span<const uint32_t> allowed) {
    const auto one = std::ranges::find(decoding_, sequence, &Decoding::sequence);
    assert(one != decoding_.end() && allowed.size() == one->allowed.size());
    std::ranges::copy(allowed, one->allowed.begin());
    laid_out_ = false;
    ahead_.clear();
}

std::vector<uint32_t> Context::decoding() const {
    std::vector<uint32_t> sequences;
    for (const Decoding& each : decoding_)
        sequences.push_back(each.sequence);
    return sequences;
}

// Copies what lay_out() has written for so many rows to where the step reads it.
Plan& Context::layout_plan(uint32_t rows) {
    Plan& plan = plans_[{layout_kind, rows, 0}];
    if (plan)
        return plan;
    Recorder recorder(model_.device(), "layout");
    const Layout layout(rows, model_.config().vocab_size);
    const Buffer* buffers[] = {&decode_rows_, &params_, &grid_, &stops_, &running_, &seen_, &allowed_};
    for (uint32_t i = 0; i < Layout::kParts; ++i)
        recorder.copy(host_layout_.slice(layout.at[i], layout.bytes[i]),
                      buffers[i]->slice(0, layout.bytes[i]));
    plan = recorder.finish();
    return plan;
}

// Writes the state of `rows`, whose tokens run `at` these positions, to the step's buffers.
void Context::lay_out(std::span<const Decoding> rows, std::span<const shader::Row> at) {
    const uint32_t count = static_cast<uint32_t>(rows.size());
    const uint32_t words = Sampling::mask_words(model_.config().vocab_size);
    const Layout layout(count, model_.config().vocab_size);
    std::byte* const host = host_layout_.as<std::byte>();
    const auto part = [&]<typename T>(uint32_t i, T) { return reinterpret_cast<T*>(host + layout.at[i]); };
    std::ranges::transform(at, part(Layout::rows, shader::Row{}), [&](shader::Row row) {
        row.sequence = seat_of(row.sequence);
        return row;
    });
    auto* params = part(Layout::params, shader::SampleParams{});
    auto* stops = part(Layout::stops, uint32_t{});
    auto* seen = part(Layout::seen, uint32_t{});
    auto* allowed = part(Layout::allowed, uint32_t{});
    std::fill_n(seen, size_t{count} * words, 0);
    std::fill_n(stops, size_t{count} * Advance::kStops, Sampling::kNoToken);
    uint32_t keys = 0;
    for (size_t r = 0; r < count; ++r) {
        params[r] = sample_params(rows[r].sampler);
        const auto see = [&](int32_t id) {
            if (id >= 0)
                seen[r * words + static_cast<uint32_t>(id) / 32] |= 1u << (id % 32);
        };
        std::for_each(held_[rows[r].sequence].begin(), held_[rows[r].sequence].end(), see);
        for (size_t before = 0; before <= r; ++before)
            if (at[before].sequence == at[r].sequence)
                see(static_cast<int32_t>(at[before].token));
        std::ranges::copy(rows[r].allowed, allowed + r * words);
        for (size_t i = 0; i < std::min<size_t>(rows[r].stop_ids.size(), Advance::kStops); ++i)
            stops[r * Advance::kStops + i] = static_cast<uint32_t>(rows[r].stop_ids[i]);
        keys = std::max(keys, at[r].position + 1);
    }
    const uint32_t splits = Attention::splits_for(keys);
    *part(Layout::grid, shader::GridArguments{}) = {
        .x = cache_.shape().kv_heads, .y = count, .z = splits, .splits = splits};
    *part(Layout::running, uint32_t{}) = 1;
    layout_plan(count).submit();  // what reads it is submitted behind it
    history_.as<uint32_t>()[0] = 0;
    steps_ = 0;
    ahead_.clear();
}

void Context::set_running() {
    constexpr uint32_t kRunning = 1;
    write(model_.device(), running_.slice(), std::as_bytes(std::span(&kRunning, 1)));
}

std::span<const int32_t> Context::step(uint32_t expected, const Cancelled& cancelled) {
    assert(!decoding_.empty() && expected > 0);
    for (const Decoding& each : decoding_)
        if (held_[each.sequence].size() >= context())
            fail(Fault::bad_input, "The context is full: it holds %u tokens.", context());
    if (ahead_.empty())
        run_chain(expected, cancelled);
    drawn_.clear();
    try {
        for (const Decoding& each : decoding_)
            drawn_.push_back(checked(ahead_[ahead_at_++], each.sequence));
    } catch (const Error&) {  // the next step begins anew from what the host knows
        ahead_.clear();
        laid_out_ = false;
        throw;
    }
    for (size_t i = 0; i < decoding_.size(); ++i) {
        // Its keys and values are what the step has written.
        held_[decoding_[i].sequence].push_back(decoding_[i].drawn);
        decoding_[i].drawn = drawn_[i];
    }
    if (ahead_at_ == ahead_.size())
        ahead_.clear();
    return drawn_;
}

// Runs as many steps as are expected, fit the context and are short enough together, into ahead_.
void Context::run_chain(uint32_t expected, const Cancelled& cancelled) {
    model_.read_all();
    uint32_t longest = 0;
    std::vector<shader::Row> at;
    for (const Decoding& each : decoding_) {
        const uint32_t position = static_cast<uint32_t>(held_[each.sequence].size());
        at.push_back({static_cast<uint32_t>(each.drawn), position, each.sequence, position});
        longest = std::max(longest, position);
    }
    // A trace tells of single steps; a step that streams has its tokens looked up by the host.
    const uint32_t times =
        model_.device().trace() || slices_.layers_a_slice() > 0 || model_.residency().streams
            ? 1
            : std::min({expected, chain_.steps(), context() - longest});
    for (const shader::Row& row : at) {
        require(row.sequence, row.position, row.position + times);
        wrote(row.sequence, row.position + times);
    }
    has_logits_.assign(sequences_, false);
    const uint32_t rows = static_cast<uint32_t>(decoding_.size());
    const bool first = !plans_.contains({decode_kind, rows, slices_.layers_a_slice()});
    Plan& plan = decode_plan(rows);
    if (!laid_out_) {
        lay_out(decoding_, at);
        laid_out_ = true;
    } else if (std::any_of(decoding_.begin(), decoding_.end(), std::mem_fn(&Decoding::at_stop))) {
        set_running();  // the caller goes on all the same
    }
    look_up(at);
    const auto begin = std::chrono::steady_clock::now();
    run_and_read(plan, rows, times, cancelled);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const uint32_t ran = static_cast<uint32_t>(ahead_.size()) / rows;
    step_dispatches_ = plan.dispatches();
    chain_.measured(ran, seconds);
    if (!first)  // which may have waited for the driver's compiler
        slices_.measured(seconds / ran);
}

std::span<const int32_t> Context::step_with(std::span<const int32_t> drafts) {
    assert(decoding_.size() == 1 && drafts.size() < step_rows_);
    if (drafts.empty())
        return step();
    Decoding& one = decoding_.front();
    std::vector<int32_t>& held = held_[one.sequence];
    if (held.size() + drafts.size() >= context())
        fail(Fault::bad_input, "The context is full: %zu guesses do not fit behind %zu of %u tokens.",
             drafts.size(), held.size(), context());
    for (const int32_t id : drafts)
        if (id < 0 || static_cast<uint32_t>(id) >= model_.config().vocab_size)
            fail(Fault::bad_input, "The guess %d is outside the vocabulary.", id);
    model_.read_all();
    // A row a guess, at the positions that they would have.
    std::vector<Decoding> rows(drafts.size() + 1, one);
    std::vector<shader::Row> at;
    for (size_t r = 0; r < rows.size(); ++r) {
        const uint32_t position = static_cast<uint32_t>(held.size() + r);
        at.push_back({static_cast<uint32_t>(r == 0 ? one.drawn : drafts[r - 1]), position, one.sequence,
                      position});
    }
    const uint32_t count = static_cast<uint32_t>(rows.size()),
                   end = static_cast<uint32_t>(held.size()) + count;
    require(one.sequence, static_cast<uint32_t>(held.size()), end);
    wrote(one.sequence, end);
    has_logits_.assign(sequences_, false);
    Plan& plan = decode_plan(count);
    laid_out_ = false;
    lay_out(rows, at);
    look_up(at);
    run_and_read(plan, count, 1);
    const std::vector<uint32_t> ids = std::move(ahead_);
    ahead_.clear();
    const int32_t first = checked(ids[0], one.sequence);
    // Each row has drawn with the random numbers of its position. While the guess is what was drawn, the
    // next row has seen what it would have seen anyway; what lies behind a wrong one is written over.
    held.push_back(one.drawn);
    one.drawn = first;
    drawn_ = {first};
    for (size_t r = 0; r < drafts.size() && drafts[r] == one.drawn; ++r) {
        const int32_t next = checked(ids[r + 1], one.sequence);
        held.push_back(one.drawn);
        one.drawn = next;
        drawn_.push_back(next);
    }
    return drawn_;
}

// Leaves what each of `times` has drawn in ahead_: fewer, where a stop id has ended it.
void Context::run_and_read(Plan& plan, uint32_t rows, uint32_t times, const Cancelled& cancelled) {
    if (plan.slices() > 1) {
        try {
            plan.run(cancelled);
        } catch (const Error&) {
            laid_out_ = false;  // the device's rows may be half a step ahead
            throw;
        }
    } else {
        const auto begin = std::chrono::steady_clock::now();
        const uint64_t value = plan.submit(times);
        host_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        plan.wait(value);
    }
    const uint32_t* history = history_.as<uint32_t>();
    const uint32_t now = history[0];
    assert(now > steps_ && now - steps_ <= times);
    ahead_.clear();
    ahead_at_ = 0;
    for (; steps_ < now; ++steps_)
        for (uint32_t r = 0; r < rows; ++r)
            ahead_.push_back(history[1 + steps_ % Advance::kHistory * rows + r]);
}

int32_t Context::checked(uint32_t id, uint32_t sequence) const {
    if (id == Sampling::kNoToken)
        fail(Fault::internal,
             "No logit is a finite number after %zu tokens: the weights or the driver are faulty.",
             held_[sequence].size());
    return static_cast<int32_t>(id);
}

void Context::pretend(uint32_t sequence, uint32_t length) {
    rewind(sequence, 0);
    require(sequence, 0, length);
    Recorder recorder(model_.device(), "random cache");
    for (uint32_t i = 0; i < model_.config().num_layers; ++i)
        model_.ops().random_fill.record(recorder, cache_.layer(i), i * 2, 1.0f);
    recorder.finish().run();
    held_[sequence].assign(length, 0);
    wrote(sequence, length);
}

}  // namespace olivine
