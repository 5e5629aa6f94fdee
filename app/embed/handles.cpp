#include "app/embed/handles.h"

#include <algorithm>
#include <new>
#include <utility>

#include "app/embed/files.h"
#include "app/embed/result.h"
#include "app/embed/vulkan.h"
#include "engine/error.h"

namespace olivine {

std::string& last_error() {
    thread_local std::string text;
    return text;
}

namespace {

Failure known_failure(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const Error& known) {
        switch (known.fault()) {
        case Fault::bad_input: return {OLV_BAD_INPUT, known.what()};
        case Fault::bad_file: return {OLV_BAD_FILE, known.what()};
        case Fault::unsupported: return {OLV_UNSUPPORTED, known.what()};
        case Fault::no_device: return {OLV_NO_DEVICE, known.what()};
        case Fault::out_of_memory: return {OLV_OUT_OF_MEMORY, known.what()};
        case Fault::device_lost: return {OLV_DEVICE_LOST, known.what()};
        case Fault::cancelled: return {OLV_CANCELLED, known.what()};
        case Fault::internal: return {OLV_INTERNAL, known.what()};
        }
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& other) {
        return {OLV_INTERNAL, other.what()};
    } catch (...) {
    }
    return {OLV_INTERNAL, "An error of an unknown kind."};
}

}  // namespace

Failure failure_of(const std::exception_ptr& error) noexcept {
    try {
        return known_failure(error);
    } catch (...) {                                     // of the error, or of telling it
        return {OLV_OUT_OF_MEMORY, "No host memory."};  // so short that the text takes none
    }
}

}  // namespace olivine

using olivine::fail;
using olivine::Fault;

// ---- devices -----------------------------------------------------------------------------------

olv_device::olv_device(const olv_device_options& options)
    : log_function(options.log),
      log_user(options.log_user),
      slice_seconds((options.slice_us > 0 ? options.slice_us : 1000) * 1e-6),
      adopted(options.vulkan != nullptr),
      executor(options.work == OLV_TICK) {
    if (options.work != OLV_TICK && options.work != OLV_WORKER)
        fail(Fault::bad_input, "olv_device_options.work is %u (OLV_TICK is 0, OLV_WORKER 1).",
             options.work);
    olivine::DeviceOptions wanted;
    if (options.device >= 0)
        wanted.index = static_cast<uint32_t>(options.device);
    wanted.memory_budget = options.memory_budget;
    wanted.precision = olivine::Precision::automatic;
    if (options.cache_folder)
        wanted.cache_folder = options.cache_folder;
    wanted.before_slice = [this] { pause(); };
    wanted.beside = [this](const std::function<void()>& wait) { executor.beside(wait); };
    wanted.rebuilt = [this] {
        log("The device was lost; it has been set up anew and work goes on.");
    };
    if (options.vulkan)
        device.emplace(olivine::host_device(*options.vulkan), wanted);
    else
        device.emplace(wanted);
    note_bytes();
}

olv_device::~olv_device() {
    models.clear();
}

void olv_device::pause() {
    note_bytes();
    if (executor.pause() && loading)
        fail(Fault::cancelled, "Loading is stopped on request.");
}

void olv_device::note_bytes() {
    if (!device)  // it is being made
        return;
    const std::lock_guard lock(mutex);
    bytes_told = {device->bytes_now(), device->bytes_peak(), device->budget_bytes()};
}

olv_device::Bytes olv_device::bytes() {
    const std::lock_guard lock(mutex);
    return bytes_told;
}

void olv_device::log(std::string line) {
    const std::lock_guard lock(mutex);
    if (log_function)
        log_lines.push_back(std::move(line));
}

void olv_device::tell_log() {
    std::vector<std::string> lines;
    {
        const std::lock_guard lock(mutex);
        lines.swap(log_lines);
    }
    for (const std::string& line : lines)
        log_function(log_user, line.c_str());
}

void olv_device::tell_events() {
    std::vector<olv_session*> due;
    for (const auto& model : models)
        for (const auto& session : model->sessions)
            if (session->on_event)
                due.push_back(session.get());
    const auto there = [&](const olv_session* wanted) {
        return std::ranges::any_of(models, [&](const auto& model) {
            return std::ranges::any_of(model->sessions,
                                       [&](const auto& each) { return each.get() == wanted; });
        });
    };
    for (olv_session* session : due) {
        olv_event event = OLV_EVENT;
        std::string text;  // not the session's: a callback may destroy it
        // Another one may have come to its place in memory, with no callback.
        while (there(session) && session->on_event && session->next(event, text))
            session->on_event(session->event_user, session, &event);
    }
}

// ---- models ------------------------------------------------------------------------------------

olv_model::olv_model(olv_device& owner, const olv_model_options& options)
    : device(owner), max_sessions(options.max_sessions > 0 ? options.max_sessions : 4) {
    if (max_sessions > olivine::kMaxSequences)
        fail(Fault::bad_input, "olv_model_options.max_sessions is %u (at most %u).", max_sessions,
             olivine::kMaxSequences);
    context = {.context = options.context,
               .sequences = max_sessions,
               .slice_seconds = device.slice_seconds,
               .chain_seconds = device.slice_seconds};
    if (options.file_count == 0) {
        if (!options.path)
            fail(Fault::bad_input, "olv_model_options.path is null, and there are no files.");
        open_files(options.path, olivine::disk());
        return;
    }
    const olivine::FileTable files =
        olivine::given_files(options.files, options.file_count, device.read_mutex);
    if (options.path && *options.path)
        open_files(options.path, files);
    else
        open_files(options.file_count == 1 ? options.files->name : ".", files);
}

void olv_model::open_files(const std::string& path, const olivine::FileSource& files) {
    checkpoint = olivine::Checkpoint::open(path, {}, files);
    tokenizer = checkpoint->gguf() ? olivine::Tokenizer::from_gguf(*checkpoint->gguf())
                                   : olivine::Tokenizer::open(path, files);
}

olv_model::~olv_model() {
    sessions.clear();
    device.executor.stop(this);
    device.executor.hold_for([&] {  // jobs of other models
        generator.reset();
        model.reset();
    });
    device.note_bytes();
}

void olv_model::cancel() {
    device.executor.stop(this);
    const std::lock_guard lock(mutex);
    if (state != OLV_LOADING)
        return;
    // It had not begun; else load() has said so.
    state = OLV_FAILED;
    failure = std::make_exception_ptr(
        olivine::Error(Fault::cancelled, "Loading is stopped before it begins."));
}

const std::shared_ptr<const olivine::Vocabulary>& olv_model::vocabulary() const {
    if (!sorted)
        sorted = std::make_shared<const olivine::Vocabulary>(*tokenizer);
    return sorted;
}

std::shared_ptr<olivine::Constraint> olv_model::constraint(const olv_ask_options& options) {
    constexpr size_t kKept = 8;
    if (!options.choices && !options.json_schema)
        return nullptr;
    const std::span allowed(options.allowed, options.allowed_words);
    std::vector<std::string> choices;
    std::string key = std::to_string(options.choice_count) + '\0';
    key += options.json_schema ? options.json_schema : "";
    for (uint32_t i = 0; i < options.choice_count; ++i) {
        choices.emplace_back(options.choices[i] ? options.choices[i] : "");
        (key += '\0') += choices.back();
    }
    key.append(1, '\0').append(reinterpret_cast<const char*>(allowed.data()), allowed.size_bytes());
    const auto known =
        std::ranges::find(constraints, key, [](const auto& each) { return each.first; });
    if (known != constraints.end())
        return known->second;
    auto made = options.json_schema
                    ? olivine::Constraint::json(vocabulary(), options.json_schema, allowed)
                    : olivine::Constraint::choices(vocabulary(), choices, allowed);
    constraints.emplace_back(std::move(key), made);
    if (constraints.size() > kKept)
        constraints.pop_front();
    return made;
}

void olv_model::load() {
    device.loading = true;
    try {
        olv_device::Budget wanted;
        {
            const std::lock_guard lock(device.mutex);
            wanted = device.budget;
        }
        if (wanted.asked > 0)
            device.device->set_budget(wanted.bytes);
        budget_followed = wanted.asked;
        olivine::ModelOptions options;
        options.context = context;
        options.progress = [this](uint64_t done, uint64_t total) {
            {
                const std::lock_guard lock(mutex);
                progress = static_cast<float>(done) / static_cast<float>(total);
            }
            device.pause();
            return true;
        };
        options.check.emplace();
        options.check->kv = context.kv;
        options.check->tell = [this](const olivine::selftest::Findings& findings) {
            for (const std::string& text : findings.fallbacks)
                device.log(text + ".");
        };
        model = std::make_unique<olivine::Model>(*device.device, *checkpoint, options);
        generator = std::make_unique<olivine::Generator>(*model, context);
        const std::lock_guard lock(mutex);
        state = OLV_READY;
        progress = 1;
    } catch (...) {
        generator.reset();
        model.reset();
        const std::lock_guard lock(mutex);
        state = OLV_FAILED;
        failure = std::current_exception();
    }
    device.loading = false;
    device.note_bytes();
}

void olv_model::follow_budget() {
    if (!generator)
        return;
    olv_device::Budget wanted;
    {
        const std::lock_guard lock(device.mutex);
        wanted = device.budget;
    }
    if (std::exchange(budget_followed, wanted.asked) == wanted.asked)
        return;
    try {
        const bool lean = generator->lean();
        generator->set_budget(wanted.bytes);
        if (generator->lean() != lean)
            device.log(lean ? "Keys and values of all sessions are back on the device."
                            : "Keys and values of idle sessions wait with the host.");
    } catch (const olivine::Error&
                 error) {  // the model goes on as before, or says at its next step why not
        device.log(error.what());
    }
}

// ---- sessions ----------------------------------------------------------------------------------

olv_session::olv_session(olv_model& owner, const olv_session_options& given, uint32_t place)
    : model(owner), sequence(place), on_event(given.on_event), event_user(given.event_user) {
    options.sampler = {.temperature = given.temperature,
                       .top_k = given.top_k,
                       .top_p = given.top_p,
                       .min_p = given.min_p,
                       .repeat_penalty = given.repeat_penalty,
                       .seed = given.seed};
    olivine::validate(options.sampler);
    options.max_tokens = given.max_tokens;
    if (given.system)
        options.system = given.system;
    if (given.stop_count > 0 && !given.stop)
        fail(Fault::bad_input, "olv_session_options.stop is null, and stop_count is %u.",
             given.stop_count);
    for (uint32_t i = 0; i < given.stop_count; ++i)
        options.stop.push_back(given.stop[i] ? given.stop[i] : "");
    options.shift = given.forget != 0;
    if (given.tokens != 0)
        options.on_token = [this](int32_t id) {
            push({.kind = OLV_EVENT_TOKEN, .text = {}, .token = id});
        };
}

olv_session::~olv_session() {
    olivine::Executor& executor = model.device.executor;
    executor.stop(this);
    executor.hold_for([&] {
        pictures.clear();
        asked.clear();
        chat.reset();
    });
    // What the cache holds of it may be what another session's job is about now. A job comes behind
    // that, and before those of a session that takes its place.
    executor.add(&model, [&owner = model, place = sequence] {
        try {
            if (owner.generator)
                owner.generator->context().rewind(place, 0);
        } catch (const olivine::Error&) {
            // The device is lost: then nothing is there that could be let go.
        }
        owner.device.note_bytes();
    });
}

bool olv_session::stopped() const {
    return cancelled || model.device.executor.cancelled();
}

void olv_session::push(Event event) {
    const std::lock_guard lock(mutex);
    events.push_back(std::move(event));
}

bool olv_session::next(olv_event& event, std::string& text_of) {
    Event next;
    {
        const std::lock_guard lock(mutex);
        if (!events.empty()) {
            next = std::move(events.front());
            events.pop_front();
        } else if (last_event) {
            next = std::move(*last_event);
            last_event.reset();
        } else {
            return false;
        }
    }
    if (next.kind == OLV_EVENT_DONE || next.kind == OLV_EVENT_ERROR)
        under_way = false;
    text_of = std::move(next.text);
    event.kind = next.kind;
    event.result = next.result;
    event.end = next.end;
    event.text = text_of.c_str();
    event.prompt_tokens = next.prompt_tokens;
    event.cached_tokens = next.cached_tokens;
    event.drawn_tokens = next.drawn_tokens;
    event.context_used = next.context_used;
    event.token = next.token;
    return true;
}

void olv_session::ask(std::string question, olivine::AnswerOptions answer) {
    asked = std::exchange(pictures, {});  // it is empty, and no job has it: none is under way
    queue([this, question = std::move(question), answer = std::move(answer)](olivine::Chat& talk) {
        const olivine::Cancelled stop = [this] { return stopped(); };
        const std::string name = "picture";
        try {
            for (const Pushed& each : asked)
                if (const auto* picture = std::get_if<olivine::Picture>(&each))
                    talk.attach({picture, 1}, {&name, 1}, {.cancelled = stop});
                else
                    talk.attach(std::get<olivine::DevicePicture>(each), name, {.cancelled = stop});
        } catch (...) {
            talk.detach();
            throw;
        }
        asked.clear();
        talk.ask(
            question,
            [this](std::string_view some) {
                push({.kind = OLV_EVENT_TEXT, .text = std::string(some)});
                model.follow_budget();
            },
            stop, answer);
        constexpr olv_end ends[] = {OLV_END_MODEL, OLV_END_MAX_TOKENS, OLV_END_CONTEXT_FULL,
                                    OLV_END_CANCELLED};
        const olivine::GenerateStats& stats = talk.stats();
        return Event{.kind = OLV_EVENT_DONE,
                     .end = ends[static_cast<size_t>(talk.last_end())],
                     .text = {},
                     .prompt_tokens = stats.prompt_tokens,
                     .cached_tokens = stats.cached_tokens,
                     .drawn_tokens = stats.drawn_tokens,
                     .context_used = talk.context_used()};
    });
}

void olv_session::queue(std::function<Event(olivine::Chat&)> work) {
    cancelled = false;
    model.device.executor.add(this, [this, work = std::move(work)] {
        Event last;
        try {
            if (!model.generator) {
                const std::lock_guard lock(model.mutex);
                std::rethrow_exception(model.failure);
            }
            if (cancelled)
                fail(Fault::cancelled, "It is stopped before it begins.");
            model.follow_budget();
            if (!chat)
                chat = std::make_unique<olivine::Chat>(*model.generator, *model.tokenizer, options,
                                                       sequence);
            last = work(*chat);
        } catch (...) {
            olivine::Failure failure = olivine::failure_of(std::current_exception());
            last = {
                .kind = OLV_EVENT_ERROR, .result = failure.result, .text = std::move(failure.text)};
        }
        asked.clear();
        model.device.note_bytes();
        const std::lock_guard lock(mutex);
        last_event = std::move(last);  // which takes no memory, so that it cannot fail
    });
    under_way = true;
}

olivine::AnswerOptions olv_session::answer_options(const olv_ask_options& given) const {
    if (given.choices && given.json_schema)
        fail(Fault::bad_input, "olv_ask_options has choices and a json_schema.");
    if (!given.choices && given.choice_count > 0)
        fail(Fault::bad_input, "olv_ask_options.choices is null, and choice_count is %u.",
             given.choice_count);
    const uint32_t words = given.allowed ? model.vocabulary()->mask_words() : 0;
    if (given.allowed_words != words)
        fail(Fault::bad_input, "olv_ask_options.allowed_words is %u (%u for this vocabulary%s).",
             given.allowed_words, words, given.allowed ? "" : " and no mask");
    olivine::AnswerOptions answer;
    if (given.max_tokens > 0)
        answer.max_tokens = given.max_tokens;
    if (given.allowed)
        answer.allowed.assign(given.allowed, given.allowed + words);
    answer.constraint = model.constraint(given);
    return answer;
}
