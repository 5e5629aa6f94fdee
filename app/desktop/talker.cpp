#include "app/desktop/talker.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <new>
#include <random>

#include "app/platform.h"
#include "app/session.h"
#include "model/chat.h"
#include "model/generator.h"
#include "model/picture.h"

namespace olivine::desktop {
namespace {

using Clock = std::chrono::steady_clock;

// Of device work, so that what draws the desktop gets its turn: a fifth of a frame.
constexpr double kSliceSeconds = 0.003;
// On the CPU nothing of the GPU's is in the way, and the thread gives way by itself.
constexpr double kSoftwareSliceSeconds = 0.05;
// Pictures of earlier turns that stay encoded.
constexpr size_t kEncodedPictures = 64;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<int32_t> ids_of(const QByteArray& bytes) {
    std::vector<int32_t> ids(static_cast<size_t>(bytes.size()) / sizeof(int32_t));
    std::memcpy(ids.data(), bytes.constData(), ids.size() * sizeof(int32_t));
    return ids;
}

QByteArray bytes_of(const std::vector<int32_t>& ids) {
    return {reinterpret_cast<const char*>(ids.data()),
            static_cast<qsizetype>(ids.size() * sizeof(int32_t))};
}

bool on_software(const ModelWanted& wanted) {
    for (const DeviceInfo& device : list_devices())
        if (device.unusable.empty() &&
            (wanted.device < 0 || device.index == static_cast<uint32_t>(wanted.device)) &&
            device.type != "cpu")
            return false;
    return true;
}

const char* fault_name(Fault fault) {
    switch (fault) {
    case Fault::bad_input: return "bad input";
    case Fault::bad_file: return "bad file";
    case Fault::unsupported: return "unsupported";
    case Fault::no_device: return "no device";
    case Fault::out_of_memory: return "out of memory";
    case Fault::device_lost: return "device lost";
    case Fault::cancelled: return "cancelled";
    case Fault::internal: return "internal";
    }
    return "unknown";
}

State state_of(EndReason end) {
    switch (end) {
    case EndReason::stop_id: return State::done;
    case EndReason::max_tokens:
    case EndReason::context_full: return State::cut;
    case EndReason::caller: return State::stopped;
    }
    return State::done;
}

}  // namespace

Problem problem_of(const std::exception& error, const ModelFacts& facts) {
    Problem problem{QString::fromUtf8(error.what()), {}};
    if (dynamic_cast<const std::bad_alloc*>(&error))
        problem.text = "The computer has no memory left for this.";
    const auto* ours = dynamic_cast<const Error*>(&error);
    problem.details = QString("Olivine %1\nFault: %2\n%3\n")
                          .arg(OLIVINE_VERSION, ours ? fault_name(ours->fault()) : "exception", problem.text);
    if (!facts.name.isEmpty())
        problem.details += QString("Model: %1\nDevice: %2 (%3)\nContext: %4 tokens\nDevice memory: %5 of %6 bytes\n")
                               .arg(facts.path, facts.device, facts.driver)
                               .arg(facts.context)
                               .arg(facts.bytes)
                               .arg(facts.budget);
    return problem;
}

struct Talker::Loaded {
    explicit Loaded(const SessionOptions& options)
        : session(open_session(options)),
          generator(*session.model, options.context),
          chat(generator, *session.tokenizer, {}) {}

    std::vector<AttachedPicture> encode(const PastTurn& turn, const Told& told);
    Turn turn(const PastTurn& from, const Told& told);
    Turn past_turn(const PastTurn& from, const Told& told, QString& remark);
    std::vector<int32_t> own_ids(const PastTurn& turn) const;
    ModelFacts facts();

    Session session;
    Generator generator;
    Chat chat;
    std::map<QString, AttachedPicture> encoded;  // by path
    QString path;
};

Talker::Talker() = default;
Talker::~Talker() = default;

void Talker::load(const ModelWanted& wanted, const Told& told) {
    Checkpoint::open(model_path(wanted.path.toStdString()));  // damaged files leave the old one in its place
    loaded_.reset();  // before the next one needs the room
    SessionOptions options;
    options.model = wanted.path.toStdString();
    if (wanted.device >= 0)
        options.device.index = static_cast<uint32_t>(wanted.device);
    options.device.memory_budget = wanted.memory_budget;
    options.device.precision = Precision::automatic;
    options.device.background = true;
    options.device.cache_folder = platform::cache_folder();
    options.device.rebuilt = [note = told.note] {
        note("The graphics driver gave the device up. It has been set up anew, and the answer goes on.");
    };
    options.context.context = static_cast<uint32_t>(wanted.context);
    options.context.slice_seconds = on_software(wanted) ? kSoftwareSliceSeconds : kSliceSeconds;
    options.context.chain_seconds = std::min(options.context.slice_seconds, options.context.chain_seconds);
    options.tell = told.note;
    options.progress = [&](const std::string&) -> Progress {
        return [loading = told.loading](uint64_t done, uint64_t total) {
            return loading(total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1);
        };
    };
    auto loaded = std::make_unique<Loaded>(options);
    loaded->path = QString::fromStdString(model_path(options.model));
    loaded_ = std::move(loaded);
}

ModelFacts Talker::facts() const {
    return loaded_ ? loaded_->facts() : ModelFacts();
}

ModelFacts Talker::Loaded::facts() {
    const Device& device = *session.device;
    ModelFacts facts;
    facts.path = path;
    facts.name = QString::fromStdString(session.checkpoint->name());
    facts.device = QString::fromStdString(device.info().name);
    facts.driver = QString::fromStdString(device.info().driver);
    facts.software = device.info().type == "cpu";
    facts.pictures = session.checkpoint->has_vision();
    facts.context = static_cast<int>(generator.context().context());
    facts.bytes = device.bytes_now();
    facts.budget = device.budget_bytes();
    return facts;
}

// The turn's pictures, those that were seen before at once.
std::vector<AttachedPicture> Talker::Loaded::encode(const PastTurn& turn, const Told& told) {
    std::vector<AttachedPicture> attached;
    for (const auto& [file, name] : turn.pictures) {
        auto known = encoded.find(file);
        if (known == encoded.end()) {
            const Picture picture = read_picture(file.toStdString());
            const std::string text = name.toStdString();
            told.encoding(0);
            session.model->vision([&](uint64_t, uint64_t) { return !told.stopped(); });
            const EncodeOptions options{
                .progress =
                    [&](uint32_t done, uint32_t total) { told.encoding(static_cast<double>(done) / total); },
                .cancelled = told.stopped};
            std::vector<AttachedPicture> one =
                chat.encode(std::span(&picture, 1), std::span(&text, 1), options);
            told.encoding(1);
            known = encoded.emplace(file, std::move(one.front())).first;
        }
        attached.push_back(known->second);
    }
    return attached;
}

// Empty where another model has answered: then the text is what counts.
std::vector<int32_t> Talker::Loaded::own_ids(const PastTurn& turn) const {
    std::vector<int32_t> ids;
    if (turn.model == QString::fromStdString(session.checkpoint->name()))
        ids = ids_of(turn.token_ids);
    const bool known = std::ranges::all_of(ids, [&](int32_t id) { return id >= 0 && id < session.tokenizer->size(); });
    return known ? ids : std::vector<int32_t>();
}

Turn Talker::Loaded::turn(const PastTurn& from, const Told& told) {
    return {from.question.toStdString(), encode(from, told), from.answer.toStdString(), own_ids(from)};
}

// One whose pictures cannot be seen any more, or not by this model, is talked about without them.
Turn Talker::Loaded::past_turn(const PastTurn& from, const Told& told, QString& remark) {
    try {
        return turn(from, told);
    } catch (const Error& error) {
        if (error.fault() != Fault::bad_file && error.fault() != Fault::bad_input)
            throw;
        remark = QString("The model answers without the pictures of earlier turns. %1").arg(error.what());
        PastTurn without = from;
        without.pictures.clear();
        return turn(without, told);
    }
}

AnswerEnd Talker::answer(const AnswerRequest& request, const Told& told) {
    AnswerEnd end;
    bool unload = false;
    Chat& chat = loaded_->chat;
    const ModelFacts facts = loaded_->facts();
    end.model = facts.name;
    std::vector<int32_t> ids = request.go_on ? loaded_->own_ids(request.turn) : std::vector<int32_t>();
    // Else those of the beginning are unknown until the model has taken it.
    const bool whole = !request.go_on || request.turn.answer.isEmpty() || !ids.empty();
    const Clock::time_point start = Clock::now();
    Clock::time_point first;
    ChatOptions& options = chat.options();
    const auto on_token = [&](int32_t id) {
        if (end.stats.drawn_tokens++ == 0) {
            first = Clock::now();
            end.stats.first_token_s = seconds_since(start);
        } else {
            end.stats.tokens_per_s = (end.stats.drawn_tokens - 1) / std::max(seconds_since(first), 1e-9);
        }
        ids.push_back(id);
    };
    try {
        if (const std::string system = request.system.toStdString(); options.system != system)
            chat.set_system(system);
        const Sampling& sampling = request.sampling;
        options.sampler.temperature = sampling.temperature;
        options.sampler.top_k = static_cast<uint32_t>(sampling.top_k);
        options.sampler.top_p = sampling.top_p;
        options.sampler.min_p = sampling.min_p;
        options.sampler.repeat_penalty = sampling.repeat_penalty;
        options.sampler.seed = sampling.seed ? *sampling.seed : std::random_device()();
        options.max_tokens = static_cast<uint32_t>(sampling.max_tokens);
        options.shift = request.forget;
        options.on_token = on_token;
        end.stats.seed = options.sampler.seed;
        if (loaded_->encoded.size() >= kEncodedPictures)
            loaded_->encoded.clear();
        std::vector<Turn> turns;
        for (const PastTurn& past : request.past)
            turns.push_back(loaded_->past_turn(past, told, end.remark));
        Turn last = loaded_->turn(request.turn, told);
        const auto on_text = [&](std::string_view text) { told.said(std::string(text), end.stats); };
        if (request.go_on) {
            turns.push_back(std::move(last));
            chat.set_turns(std::move(turns));
            chat.go_on(on_text, told.stopped);
        } else {
            chat.set_turns(std::move(turns));
            chat.attach(std::move(last.pictures));
            chat.ask(last.user, on_text, told.stopped);
        }
        end.state = state_of(chat.last_end());
        ids = chat.turns().back().answer_ids;
        end.text = QString::fromStdString(chat.turns().back().answer);
        if (chat.forgot() > 0)
            end.remark = QString("The context of %1 tokens was full: the model no longer sees the first %2 turns.")
                             .arg(facts.context)
                             .arg(chat.forgotten_turns());
        else if (chat.last_end() == EndReason::context_full)
            end.remark = QString("The answer ends here: the context of %1 tokens is full.").arg(facts.context);
    } catch (const std::exception& error) {
        // The window stays, and so does what was said: the person reads why it ended.
        const auto* ours = dynamic_cast<const Error*>(&error);
        const Fault fault = ours ? ours->fault() : Fault::internal;
        end.state = fault == Fault::cancelled ? State::stopped : State::failed;
        if (end.state == State::failed)
            end.problem = problem_of(error, facts);
        if (!whole)
            ids.clear();
        unload = fault == Fault::device_lost || fault == Fault::internal || fault == Fault::out_of_memory;
    }
    options.on_token = {};
    end.token_ids = bytes_of(ids);
    const GenerateStats& stats = chat.stats();
    end.stats.prompt_tokens = static_cast<int>(stats.prompt_tokens);
    end.stats.cached_tokens = static_cast<int>(std::min(stats.cached_tokens, stats.prompt_tokens));
    end.stats.context_used = static_cast<int>(chat.context_used());
    if (unload)
        loaded_.reset();  // the next answer begins with a device of its own
    return end;
}

}  // namespace olivine::desktop
