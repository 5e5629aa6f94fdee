#include "model/chat.h"

#include <algorithm>
#include <utility>

#include "engine/error.h"
#include "model/session_file.h"
#include "model/utf8.h"

namespace olivine {
namespace {

// Hands out text that cannot be the beginning of a stop text any more.
class StopScanner {
public:
    explicit StopScanner(const std::vector<std::string>& stops) : stops_(stops) {}

    // Text that may be shown now. found() turns true when a stop text is complete; what came before
    // it is returned, nothing after.
    std::string push(std::string_view text) {
        held_ += text;
        size_t keep = 0;  // bytes at the end that may begin a stop text
        for (const std::string& stop : stops_) {
            if (stop.empty())
                continue;
            const size_t at = held_.find(stop);
            if (at != std::string::npos) {
                found_ = true;
                std::string before = held_.substr(0, at);
                held_.clear();
                return before;
            }
            for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n)
                if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) {
                    keep = n;
                    break;
                }
        }
        std::string now = held_.substr(0, held_.size() - keep);
        held_.erase(0, held_.size() - keep);
        return now;
    }
    std::string finish() { return std::exchange(held_, {}); }
    bool found() const { return found_; }

private:
    const std::vector<std::string>& stops_;
    std::string held_;
    bool found_ = false;
};

SystemText system_text(const Model& model) {
    return model.config().family == Config::Family::gemma2 ? SystemText::refused
                                                           : SystemText::before_first_user;
}

}  // namespace

Chat::Chat(Generator& generator, const Tokenizer& tokenizer, const ChatOptions& options, uint32_t sequence)
    : generator_(generator), tokenizer_(tokenizer), sequence_(sequence), options_(options),
      template_(tokenizer, system_text(generator.model())) {
    set_system(options.system);
    // Rows beyond the vocabulary are padding, and a picture is never said.
    std::vector<int32_t> never;
    for (uint32_t id = static_cast<uint32_t>(tokenizer.size());
         id < generator.model().config().vocab_size; ++id)
        never.push_back(static_cast<int32_t>(id));
    for (const std::optional<int32_t>& id :
         {tokenizer.specials().start_of_image, tokenizer.specials().end_of_image})
        if (id)
            never.push_back(*id);
    generator.forbid(never);
}

void Chat::set_system(std::string text) {
    if (!text.empty() && system_text(generator_.model()) == SystemText::refused)
        fail(Fault::bad_input, "Gemma 2 takes no system text.");
    options_.system = std::move(text);
    clear();
}

void Chat::clear() {
    if (!turns_.empty())
        ++options_.sampler.seed;  // or the same question would get the same answer again
    turns_.clear();
    attached_.clear();
    first_ = 0;
    ids_.clear();
}

void Chat::attach(std::span<const Picture> pictures, std::span<const std::string> names,
                  const EncodeOptions& options) {
    std::vector<Picture> views;    // every picture, each followed by its crops
    std::vector<size_t> view_ends;
    for (const Picture& picture : pictures) {
        views.push_back(picture);
        if (options_.pan_and_scan)
            for (const PictureBox& box : pan_and_scan(picture.width, picture.height))
                views.push_back(crop(picture, box));
        view_ends.push_back(views.size());
    }
    const std::vector<PictureRef> encoded = generator_.model().encode(views, options);
    size_t begin = 0;
    for (size_t i = 0; i < pictures.size(); ++i) {
        attached_.push_back({names[i], {&encoded[begin], &encoded[begin] + (view_ends[i] - begin)}});
        begin = view_ends[i];
    }
}

void Chat::attach(const DevicePicture& picture, const std::string& name, const EncodeOptions& options) {
    attached_.push_back({name, {generator_.model().encode(picture, options)}});
}

Message Chat::message(const Turn& turn) const {
    Message question{Message::Role::user, turn.user};
    for (const AttachedPicture& picture : turn.pictures) {
        PictureInText& in_text = question.pictures.emplace_back();
        in_text.soft_tokens = generator_.model().config().mm_tokens_per_image;
        for (const PictureRef& each : picture.encoded)
            in_text.ids.push_back(each->id);
    }
    return question;
}

// The conversation from one of its turns on, up to the last question's end.
std::vector<int32_t> Chat::prompt_from(size_t first) const {
    std::vector<Message> messages;
    if (!options_.system.empty())
        messages.push_back({Message::Role::system, options_.system});
    messages.push_back(message(turns_[first]));
    std::vector<int32_t> ids = template_.prompt(messages);
    for (size_t i = first + 1; i < turns_.size(); ++i) {
        ids.insert(ids.end(), turns_[i - 1].answer_ids.begin(), turns_[i - 1].answer_ids.end());
        const std::vector<int32_t> next = template_.next_turn(message(turns_[i]), false);
        ids.insert(ids.end(), next.begin(), next.end());
    }
    return ids;
}

// Forgets the oldest turns, so that a quarter of the context is free, or all but the last. False when that
// brings nothing.
bool Chat::forget_turns() {
    const size_t context = generator_.context().context();
    const size_t drawn = turns_.back().answer_ids.size(), before = ids_.size();
    while (first_ + 1 < turns_.size() && ids_.size() + drawn > context / 4 * 3)
        ids_ = prompt_from(++first_);
    return ids_.size() < before && ids_.size() + drawn < context;
}

const Turn& Chat::ask(std::string_view text, const std::function<void(std::string_view)>& on_text,
                      const Cancelled& cancelled, AnswerOptions options) {
    const std::vector<int32_t> ids_before = ids_;
    const uint32_t first_before = first_;
    const AnswerOptions options_before = std::exchange(answer_options_, std::move(options));
    turns_.push_back({std::string(text), std::exchange(attached_, {}), {}, {}});
    try {
        if (turns_.size() == 1) {
            ids_ = prompt_from(0);
        } else {
            const std::vector<int32_t>& answer_ids = turns_[turns_.size() - 2].answer_ids;
            const std::vector<int32_t> next = template_.next_turn(message(turns_.back()), false);
            ids_.insert(ids_.end(), answer_ids.begin(), answer_ids.end());
            ids_.insert(ids_.end(), next.begin(), next.end());
        }
        const uint32_t context = generator_.context().context();
        if (ids_.size() >= context && options_.shift)
            forget_turns();
        if (ids_.size() >= context) {
            const uint32_t soft = generator_.model().config().mm_tokens_per_image;
            size_t encoded = 0;
            for (const AttachedPicture& picture : turns_.back().pictures)
                encoded += picture.encoded.size();
            fail(Fault::bad_input,
                 "The conversation has %zu tokens with this question%s, the context %u positions.",
                 ids_.size(),
                 encoded > 0 ? format_text(" and its %zu pictures of %u", encoded, soft).c_str()
                             : "",
                 context);
        }
        answer(on_text, cancelled);
    } catch (const Error&) {
        // A question that could not be answered leaves the conversation as it was.
        turns_.pop_back();
        ids_ = ids_before;
        first_ = first_before;
        answer_options_ = options_before;
        throw;
    }
    forgot_ = first_ - first_before;
    return turns_.back();
}

const Turn& Chat::regenerate(const std::function<void(std::string_view)>& on_text,
                             const Cancelled& cancelled) {
    if (turns_.empty())
        fail(Fault::bad_input, "There is no question to answer again.");
    const Turn before = turns_.back();
    const std::vector<int32_t> ids_before = ids_;
    const uint32_t first_before = first_;
    turns_.back().answer.clear();
    ++options_.sampler.seed;
    try {
        answer(on_text, cancelled);
    } catch (const Error&) {  // the answer that there was stays
        turns_.back() = before;
        ids_ = ids_before;
        first_ = first_before;
        --options_.sampler.seed;
        throw;
    }
    forgot_ = first_ - first_before;
    return turns_.back();
}

void Chat::answer(const std::function<void(std::string_view)>& on_text,
                  const Cancelled& cancelled) {
    Turn& turn = turns_.back();
    turn.answer_ids.clear();
    Utf8Stream characters;
    StopScanner scanner(options_.stop);
    const auto show = [&](const std::string& text) {
        if (text.empty())
            return;
        turn.answer += text;
        on_text(text);
    };
    const auto& [own_max_tokens, allowed, constraint] = answer_options_;
    const uint32_t max_tokens = own_max_tokens.value_or(options_.max_tokens);
    GenerateRequest request{.sampler = options_.sampler,
                            .stop_ids = template_.stop_ids(),
                            .checkpoints = true,
                            .allowed = allowed,
                            .constraint = constraint};
    const auto on_token = [&](uint32_t, int32_t id) {
        if (template_.is_stop(id))
            return true;
        turn.answer_ids.push_back(id);
        if (constraint)
            request.constraint_state = constraint->after(request.constraint_state, id);
        if (options_.on_token)
            options_.on_token(id);
        show(scanner.push(characters.push(tokenizer_.bytes(id))));
        return !scanner.found();
    };
    if (!options_.system.empty())  // where a conversation that begins otherwise goes on
        request.beginning = template_.prompt(
            std::vector<Message>{{Message::Role::system, options_.system}, {Message::Role::user, ""}});
    do {
        request.prompt = ids_;
        request.prompt.insert(request.prompt.end(), turn.answer_ids.begin(), turn.answer_ids.end());
        if (max_tokens > 0)
            request.max_tokens = max_tokens - static_cast<uint32_t>(turn.answer_ids.size());
        last_end_ = generator_.generate(std::span(&request, 1), on_token, cancelled, sequence_)[0].end;
    } while (last_end_ == EndReason::context_full && !scanner.found() && options_.shift && forget_turns());
    if (!scanner.found()) {
        show(scanner.push(characters.finish()));
        show(scanner.finish());
    } else {
        last_end_ = EndReason::stop_id;
    }
}

void Chat::save_into(ByteSink& to) const {
    save_session(to, {options_.system, options_.sampler.seed, turns_, first_, ids_}, generator_.model(),
                 generator_.context(), sequence_);
}

void Chat::save(const std::string& path) const {
    generator_.model().device().surviving([&] {
        FileWriter file(path);
        save_into(file);
        file.commit();
    });
}

std::vector<std::byte> Chat::save_bytes() const {
    return generator_.model().device().surviving([&] {
        MemoryWriter memory;
        save_into(memory);
        return std::move(memory).take();
    });
}

void Chat::load(const File& from) {
    SavedChat saved = generator_.model().device().surviving(
        [&] { return load_session(from, generator_.model(), generator_.context(), sequence_); });
    options_.system = std::move(saved.system);
    options_.sampler.seed = saved.seed;
    turns_ = std::move(saved.turns);
    first_ = saved.first_turn;
    ids_ = std::move(saved.ids);
    answer_options_ = {};
    attached_.clear();
}

}  // namespace olivine
