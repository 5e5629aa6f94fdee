#include "app/cli/session.h"

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <map>

#include "app/cli/output.h"
#include "app/cli/pictures.h"
#include "app/cli/platform.h"
#include "app/cli/progress.h"
#include "engine/error.h"
#include "engine/shader_folder.h"
#include "model/residency.h"

namespace olivine {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

std::unique_ptr<Device> open_device(const Flags& flags, const TraceFile* trace) {
    auto device = std::make_unique<Device>(device_options(flags));
    if (trace)
        device->set_trace(trace->trace());
    const DeviceInfo& info = device->info();
    if (info.type == "cpu")
        note("running on the CPU through the software Vulkan driver " + info.driver + ".");
    else if (flags.verbose)
        note("running on " + info.name + " (" + info.driver + ").");
    return device;
}

// Of --draft's model, which has a context of the same length. checkpoint: null without one.
uint64_t draft_bytes(const Flags& flags, const Checkpoint* checkpoint, uint32_t context) {
    return checkpoint
               ? model_bytes(*checkpoint, {.context = context, .kv = flags.context.kv}).total()
               : 0;
}

// Before the first byte is allocated: what is needed and what there is. draft: --draft's, or null.
void check_memory(const Flags& flags, const Config& config, const ModelBytes& bytes,
                  const Checkpoint* draft, const Device& device) {
    const uint64_t budget = device.budget_bytes();
    const uint32_t context = context_length(config, flags.context.context);
    // The picture encoder is loaded when the first picture comes.
    const auto others_with = [&](uint32_t length) {
        return (flags.images.empty() ? 0 : bytes.vision) + draft_bytes(flags, draft, length);
    };
    const uint64_t others = others_with(context);
    const Residency weights = residency(config, bytes, flags.context, budget, others);
    if (flags.verbose)
        note("device memory: " + bytes_text(bytes.total() + others) + " (weights " +
             bytes_text(bytes.weights) + ", keys and values of " + std::to_string(context) +
             " tokens " + bytes_text(bytes.kv) + ", scratch " + bytes_text(bytes.scratch) +
             (others > 0 ? ", picture encoder and draft model " + bytes_text(others) : "") +
             ") of " + bytes_text(budget));
    if (weights.fits && weights.streams)
        note(format_text("weights: %" PRIu64 " bytes stay on the device, %" PRIu64
                         " are streamed in every pass (the model needs %" PRIu64
                         " bytes and %" PRIu64 " are available).",
                         weights.resident_bytes, weights.streamed_bytes, bytes.total() + others,
                         budget));
    if (weights.fits)
        return;
    const uint32_t longest = longest_context(config, bytes, flags.context, budget, others_with);
    fail(Fault::out_of_memory,
         "The model needs %" PRIu64
         " bytes of device memory with a context of %u tokens (%s), or %" PRIu64
         " with streamed weights, and %" PRIu64 " are available; %s.",
         bytes.total() + others, context, needs_text(bytes, others).c_str(), weights.least_bytes,
         budget,
         longest > 0
             ? format_text("the longest context that fits is %u tokens (--ctx)", longest).c_str()
             : "no context fits");
}

// Shows a bar while a model is loaded; with -v, says at the end what it took.
Progress loading(const Flags& flags, const std::string& model, Clock::time_point start) {
    const auto bar = std::make_shared<ProgressBar>("loading " + model);
    return [=, verbose = flags.verbose](uint64_t done, uint64_t total) {
        const bool stopped = platform::interrupted();
        bar->show_bytes(done, total);
        if (stopped || done == total)
            bar->clear();
        if (verbose && done == total)
            note(format_text("loaded %s in %.2f s", model.c_str(), seconds_since(start)));
        return !stopped;
    };
}

// The device is checked at every start; a fall back is always told, a choice of rungs with -v.
ModelOptions model_options(const Flags& flags) {
    ModelOptions options;
    options.context = flags.context;
    options.pictures = !flags.images.empty();
    options.check.emplace();
    options.check->kv = flags.context.kv;
    if (const std::string folder = platform::cache_folder(); !folder.empty())
        options.check->memory = folder + "/device-checks.json";
    options.check->tell = [verbose = flags.verbose](const selftest::Findings& findings) {
        for (const std::string& text : findings.fallbacks)
            note(text + ".");
        for (const std::string& text : findings.choices)
            if (verbose)
                note("rung of " + text);
    };
    return options;
}

Tokenizer tokenizer_of(const Checkpoint& checkpoint) {
    return checkpoint.gguf() ? Tokenizer::from_gguf(*checkpoint.gguf()) : Tokenizer::open(checkpoint.path());
}

// Its guesses are ids of the large model's vocabulary.
void check_vocabulary(const Flags& flags, const Tokenizer& tokenizer, const Tokenizer& draft) {
    if (tokenizer.size() != draft.size())
        fail(Fault::unsupported, "%s: the draft model's vocabulary has %d pieces (that of %s has %d).",
             flags.draft.c_str(), draft.size(), model_name(flags).c_str(), tokenizer.size());
    for (int32_t id = 0; id < tokenizer.size(); ++id)
        if (tokenizer.piece(id) != draft.piece(id))
            fail(Fault::unsupported, "%s: the draft model's piece %d is '%s' (that of %s is '%s').",
                 flags.draft.c_str(), id, std::string(draft.piece(id)).c_str(), model_name(flags).c_str(),
                 std::string(tokenizer.piece(id)).c_str());
}

}  // namespace

std::string model_path(const Flags& flags) {
    return flags.model.empty() ? platform::built_in_model() : flags.model;
}

std::string model_name(const Flags& flags) { return last_part(model_path(flags)); }

DataType main_type(const Checkpoint& checkpoint) {
    std::map<DataType, uint64_t> bytes;
    for (const TensorSpec& spec : text_tensors(checkpoint.config()))
        if (const TensorInfo* tensor = checkpoint.find(spec.name))
            bytes[tensor->type] += tensor->bytes;
    const auto most =
        std::max_element(bytes.begin(), bytes.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == bytes.end() ? DataType::f32 : most->first;
}

DeviceOptions device_options(const Flags& flags) {
    DeviceOptions options;
    options.index = flags.device;
    options.memory_budget = flags.vram_budget;
    options.disabled = flags.disabled;
    options.precision = flags.precision;
    options.deterministic = flags.deterministic;
    options.rebuilt = [] {
        note("the device was lost; it has been set up anew and the answer goes on.");
    };
    options.cache_folder = platform::cache_folder();
    options.shaders = open_shader_folder(flags.shader_dir);
    return options;
}

std::unique_ptr<TraceFile> open_trace(const Flags& flags) {
    return flags.trace.empty() ? nullptr : std::make_unique<TraceFile>(flags.trace);
}

Session open_session(const Flags& flags, bool with_tokenizer) {
    Session session;
    session.trace = open_trace(flags);
    const Clock::time_point start = Clock::now();
    session.checkpoint = Checkpoint::open(model_path(flags), flags.mmproj);
    const Checkpoint& checkpoint = *session.checkpoint;
    if (!flags.images.empty())
        require_vision(flags, checkpoint.config());
    const ModelBytes bytes = model_bytes(checkpoint, flags.context);
    if (with_tokenizer)
        session.tokenizer = std::make_unique<Tokenizer>(tokenizer_of(checkpoint));
    if (!flags.draft.empty()) {
        session.draft_checkpoint = Checkpoint::open(flags.draft);
        check_vocabulary(flags, *session.tokenizer, tokenizer_of(*session.draft_checkpoint));
    }
    session.device = open_device(flags, session.trace.get());
    const Checkpoint* const draft = session.draft_checkpoint.get();
    check_memory(flags, checkpoint.config(), bytes, draft, *session.device);
    ModelOptions options = model_options(flags);
    options.as_needed = flags.as_needed;
    options.others =
        draft_bytes(flags, draft, context_length(checkpoint.config(), flags.context.context));
    options.progress = loading(flags, model_name(flags), start);
    session.model = std::make_unique<Model>(*session.device, checkpoint, options);
    if (draft) {
        options.context = {.context = flags.context.context, .kv = flags.context.kv};
        options.pictures = false;
        options.others = 0;
        options.as_needed = false;
        options.progress = loading(flags, last_part(flags.draft), Clock::now());
        session.draft = std::make_unique<Model>(*session.device, *draft, options);
    }
    session.load_seconds = seconds_since(start);
    return session;
}

Session open_session(const Flags& flags, const Synthetic& synthetic) {
    Session session;
    session.trace = open_trace(flags);
    const Clock::time_point start = Clock::now();
    const Config& config = *synthetic.config;
    const ModelBytes bytes = model_bytes(config, synthetic.type, flags.context);
    session.device = open_device(flags, session.trace.get());
    check_memory(flags, config, bytes, nullptr, *session.device);
    session.model = std::make_unique<Model>(*session.device, config, synthetic.type,
                                            model_options(flags));
    session.load_seconds = seconds_since(start);
    return session;
}

}  // namespace olivine
