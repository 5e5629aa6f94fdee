#include "app/session.h"

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <filesystem>
#include <map>

#include "app/platform.h"
#include "app/text.h"
#include "engine/error.h"
#include "model/residency.h"

namespace olivine {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void tell(const std::function<void(const std::string&)>& whom, const std::string& text) {
    if (whom)
        whom(text);
}

std::unique_ptr<Device> open_device(const SessionOptions& options) {
    auto device = std::make_unique<Device>(options.device);
    if (options.trace)
        device->set_trace(options.trace);
    if (options.on_device)
        options.on_device(device->info());
    return device;
}

// Of the draft model, which has a context of the same length. checkpoint: null without one.
uint64_t draft_bytes(const SessionOptions& options, const Checkpoint* checkpoint, uint32_t context) {
    return checkpoint
               ? model_bytes(*checkpoint, {.context = context, .kv = options.context.kv}).total()
               : 0;
}

// Before the first byte is allocated: what is needed and what there is. draft: null without one.
void check_memory(const SessionOptions& options, const Config& config, const ModelBytes& bytes,
                  const Checkpoint* draft, const Device& device) {
    const uint64_t budget = device.budget_bytes();
    const uint32_t context = context_length(config, options.context.context);
    // The picture encoder is loaded when the first picture comes.
    const auto others_with = [&](uint32_t length) {
        return (options.pictures ? bytes.vision : 0) + draft_bytes(options, draft, length);
    };
    const uint64_t others = others_with(context);
    const Residency weights = residency(config, bytes, options.context, budget, others);
    tell(options.detail,
         "device memory: " + bytes_text(bytes.total() + others) + " (weights " +
             bytes_text(bytes.weights) + ", keys and values of " + std::to_string(context) +
             " tokens " + bytes_text(bytes.kv) + ", scratch " + bytes_text(bytes.scratch) +
             (others > 0 ? ", picture encoder and draft model " + bytes_text(others) : "") +
             ") of " + bytes_text(budget));
    if (weights.fits && weights.streams)
        tell(options.tell, format_text("weights: %" PRIu64 " bytes stay on the device, %" PRIu64
                                       " are streamed in every pass (the model needs %" PRIu64
                                       " bytes and %" PRIu64 " are available).",
                                       weights.resident_bytes, weights.streamed_bytes,
                                       bytes.total() + others, budget));
    if (weights.fits)
        return;
    const uint32_t longest = longest_context(config, bytes, options.context, budget, others_with);
    fail(Fault::out_of_memory,
         "The model needs %" PRIu64
         " bytes of device memory with a context of %u tokens (%s), or %" PRIu64
         " with streamed weights, and %" PRIu64 " are available; %s.",
         bytes.total() + others, context, needs_text(bytes, others).c_str(), weights.least_bytes,
         budget,
         longest > 0 ? format_text("the longest context that fits is %u tokens%s", longest,
                                   options.longer.c_str())
                           .c_str()
                     : "no context fits");
}

Progress loading(const SessionOptions& options, const std::string& model, Clock::time_point start) {
    const Progress shown = options.progress ? options.progress(model) : Progress();
    return [=, detail = options.detail](uint64_t done, uint64_t total) {
        const bool goes_on = !shown || shown(done, total);
        if (done == total)
            tell(detail, format_text("loaded %s in %.2f s", model.c_str(), seconds_since(start)));
        return goes_on;
    };
}

// The device is checked at every start; a fall back is always told, a choice of rungs as a detail.
ModelOptions model_options(const SessionOptions& options) {
    ModelOptions made;
    made.context = options.context;
    made.pictures = options.pictures;
    made.check.emplace();
    made.check->kv = options.context.kv;
    if (const std::string folder = platform::cache_folder(); !folder.empty())
        made.check->memory = folder + "/device-checks.json";
    made.check->tell = [said = options.tell, detail = options.detail](const selftest::Findings& findings) {
        for (const std::string& text : findings.fallbacks)
            tell(said, text + ".");
        for (const std::string& text : findings.choices)
            tell(detail, "rung of " + text);
    };
    return made;
}

// Its guesses are ids of the large model's vocabulary.
void check_vocabulary(const SessionOptions& options, const Tokenizer& tokenizer, const Tokenizer& draft) {
    const std::string name = model_name(options.model);
    if (tokenizer.size() != draft.size())
        fail(Fault::unsupported, "%s: the draft model's vocabulary has %d pieces (that of %s has %d).",
             options.draft.c_str(), draft.size(), name.c_str(), tokenizer.size());
    for (int32_t id = 0; id < tokenizer.size(); ++id)
        if (tokenizer.piece(id) != draft.piece(id))
            fail(Fault::unsupported, "%s: the draft model's piece %d is '%s' (that of %s is '%s').",
                 options.draft.c_str(), id, std::string(draft.piece(id)).c_str(), name.c_str(),
                 std::string(tokenizer.piece(id)).c_str());
}

}  // namespace

std::string model_path(const std::string& model) {
    return model.empty() ? platform::built_in_model() : model;
}

std::string model_name(const std::string& model) { return last_part(model_path(model)); }

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

Tokenizer tokenizer_of(const Checkpoint& checkpoint) {
    return checkpoint.gguf() ? Tokenizer::from_gguf(*checkpoint.gguf()) : Tokenizer::open(checkpoint.path());
}

Session open_session(const SessionOptions& options) {
    Session session;
    const Clock::time_point start = Clock::now();
    session.checkpoint = Checkpoint::open(model_path(options.model), options.mmproj);
    const Checkpoint& checkpoint = *session.checkpoint;
    if (options.accept)
        options.accept(checkpoint);
    const ModelBytes bytes = model_bytes(checkpoint, options.context);
    if (options.tokenizer)
        session.tokenizer = std::make_unique<Tokenizer>(tokenizer_of(checkpoint));
    if (!options.draft.empty()) {
        session.draft_checkpoint = Checkpoint::open(options.draft);
        check_vocabulary(options, *session.tokenizer, tokenizer_of(*session.draft_checkpoint));
    }
    session.device = open_device(options);
    const Checkpoint* const draft = session.draft_checkpoint.get();
    check_memory(options, checkpoint.config(), bytes, draft, *session.device);
    ModelOptions model = model_options(options);
    model.as_needed = options.as_needed;
    model.others =
        draft_bytes(options, draft, context_length(checkpoint.config(), options.context.context));
    model.progress = loading(options, model_name(options.model), start);
    session.model = std::make_unique<Model>(*session.device, checkpoint, model);
    if (draft) {
        model.context = {.context = options.context.context, .kv = options.context.kv};
        model.pictures = false;
        model.others = 0;
        model.as_needed = false;
        model.progress = loading(options, last_part(options.draft), Clock::now());
        session.draft = std::make_unique<Model>(*session.device, *draft, model);
    }
    session.load_seconds = seconds_since(start);
    return session;
}

Session open_session(const SessionOptions& options, const Config& config, DataType type) {
    Session session;
    const Clock::time_point start = Clock::now();
    const ModelBytes bytes = model_bytes(config, type, options.context);
    session.device = open_device(options);
    check_memory(options, config, bytes, nullptr, *session.device);
    session.model = std::make_unique<Model>(*session.device, config, type, model_options(options));
    session.load_seconds = seconds_since(start);
    return session;
}

}  // namespace olivine
