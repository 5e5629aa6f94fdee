#include "model/chat.h"

#include <algorithm>
#include <iterator>
#include <ranges>
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

bool same_question(const Turn& a, const Turn& b) {
    return a.user == b.user &&
           std::ranges::equal(a.pictures, b.pictures, {}, &AttachedPicture::encoded,
                              &AttachedPicture::encoded);
}

bool same_turn(const Turn& a, const Turn& b) {
    return same_question(a, b) && a.answer_ids == b.answer_ids && a.answer == b.answer;
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

void Chat::set_turns(std::vector<Turn> turns) {
    for (Turn& turn : turns)
        if (turn.answer_ids.empty() && !turn.answer.empty())
            turn.answer_ids = tokenizer_.encode(turn.answer);
    const bool same =
        first_ < turns.size() && first_ < turns_.size() &&
        std::equal(turns.begin(), turns.begin() + first_, turns_.begin(), same_turn) &&
        same_question(turns[first_], turns_[first_]);
    const uint32_t first = same ? first_ : 0;
    std::vector<int32_t> ids = turns.empty() ? std::vector<int32_t>() : prompt_from(turns, first);
    turns_ = std::move(turns);
    ids_ = std::move(ids);
    first_ = first;
    forgot_ = 0;
    answer_options_ = {};
    attached_.clear();
}

std::vector<AttachedPicture> Chat::encode(std::span<const Picture> pictures,
                                          std::span<const std::string> names,
                                          const EncodeOptions& options) const {
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
    std::vector<AttachedPicture> attached;
    size_t begin = 0;
    for (size_t i = 0; i < pictures.size(); ++i) {
        attached.push_back({names[i], {&encoded[begin], &encoded[begin] + (view_ends[i] - begin)}});
        begin = view_ends[i];
    }
    return attached;
}

void Chat::attach(std::span<const Picture> pictures, std::span<const std::string> names,
                  const EncodeOptions& options) {
    attach(encode(pictures, names, options));
}

void Chat::attach(std::vector<AttachedPicture> pictures) {
    std::ranges::move(pictures, std::back_inserter(attached_));
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

// What a conversation that begins with this turn has up to its question's end.
std::vector<int32_t> Chat::prompt_of_first(const Turn& turn) const {
    std::vector<Message> messages;
    if (!options_.system.empty())
        messages.push_back({Message::Role::system, options_.system});
    messages.push_back(message(turn));
    return template_.prompt(messages);
}

// A conversation from one of its turns on, up to the last question's end.
std::vector<int32_t> Chat::prompt_from(const std::vector<Turn>& turns, size_t first) const {
    std::vector<int32_t> ids = prompt_of_first(turns[first]);
    for (size_t i = first + 1; i < turns.size(); ++i) {
        ids.insert(ids.end(), turns[i - 1].answer_ids.begin(), turns[i - 1].answer_ids.end());
        const std::vector<int32_t> next = template_.next_turn(message(turns[i]), false);
        ids.insert(ids.end(), next.begin(), next.end());
    }
    return ids;
}

// Forgets the oldest turns, so that a quarter of the context is free, or all but the last. False when that
// brings nothing.
bool Chat::forget_turns() {
    const size_t context = generator_.context().context(), most = context / 4 * 3;
    const size_t drawn = turns_.back().answer_ids.size(), before = ids_.size();
    const size_t last = turns_.size() - 1;
    if (first_ < last && before + drawn > most) {
        // From the end back, since only what may fit is worth its encoding: a conversation may have
        // thousands of turns before that.
        std::vector<size_t> behind = {drawn};  // ids behind the question of turns_[last - i]
        while (last - (behind.size() - 1) > first_ + 1) {
            const size_t turn = last - (behind.size() - 1);
            const size_t longer = behind.back() + turns_[turn - 1].answer_ids.size() +
                                  template_.next_turn(message(turns_[turn]), false).size();
            if (longer > most)
                break;
            behind.push_back(longer);
        }
        // A question that comes first has the system text, too. The more turns, the more ids: so
        // most of those that may fit need not be looked at.
        const auto fits = [&](size_t more) {
            return prompt_of_first(turns_[last - more]).size() + behind[more] <= most;
        };
        const auto counts = std::views::iota(size_t{1}, behind.size());
        const size_t more =
            static_cast<size_t>(std::ranges::partition_point(counts, fits) - counts.begin());
        first_ = static_cast<uint32_t>(last - more);
        ids_ = prompt_from(turns_, first_);
    }
    return ids_.size() < before && ids_.size() + drawn < context;
}

// For at least one more token of the last answer. Throws bad_input where there is none.
void Chat::make_room() {
    const uint32_t context = generator_.context().context();
    const size_t drawn = turns_.back().answer_ids.size();
    if (ids_.size() + drawn >= context && options_.shift)
        forget_turns();
    if (ids_.size() + drawn < context)
        return;
    size_t encoded = 0;
    for (const AttachedPicture& picture : turns_.back().pictures)
        encoded += picture.encoded.size();
    const uint32_t soft = generator_.model().config().mm_tokens_per_image;
    fail(Fault::bad_input,
         "The conversation has %zu tokens with this question%s%s, the context %u positions.",
         ids_.size() + drawn,
         encoded > 0 ? format_text(" and its %zu pictures of %u", encoded, soft).c_str() : "",
         drawn > 0 ? " and its answer" : "", context);
}

const Turn& Chat::ask(std::string_view text, const OnText& on_text, const Cancelled& cancelled,
                      AnswerOptions options) {
    const std::vector<int32_t> ids_before = ids_;
    const uint32_t first_before = first_;
    const AnswerOptions options_before = std::exchange(answer_options_, std::move(options));
    turns_.push_back({std::string(text), std::exchange(attached_, {}), {}, {}});
    try {
        if (turns_.size() == 1) {
            ids_ = prompt_from(turns_, 0);
        } else {
            const std::vector<int32_t>& answer_ids = turns_[turns_.size() - 2].answer_ids;
            const std::vector<int32_t> next = template_.next_turn(message(turns_.back()), false);
            ids_.insert(ids_.end(), answer_ids.begin(), answer_ids.end());
            ids_.insert(ids_.end(), next.begin(), next.end());
        }
        make_room();
        answer(answer_options_, on_text, cancelled);
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

const Turn& Chat::regenerate(const OnText& on_text, const Cancelled& cancelled) {
    if (turns_.empty())
        fail(Fault::bad_input, "There is no question to answer again.");
    Last before = last();
    turns_.back().answer.clear();
    turns_.back().answer_ids.clear();
    ++options_.sampler.seed;
    return answer_last(std::move(before), answer_options_, on_text, cancelled);
}

const Turn& Chat::go_on(const OnText& on_text, const Cancelled& cancelled, AnswerOptions options) {
    if (turns_.empty())
        fail(Fault::bad_input, "There is no answer that could go on.");
    if (answer_options_.constraint || options.constraint)
        fail(Fault::bad_input,
             "An answer under a constraint does not go on: its constraint is over.");
    return answer_last(last(), options, on_text, cancelled);
}

const Turn& Chat::answer_last(Last before, const AnswerOptions& options, const OnText& on_text,
                              const Cancelled& cancelled) {
    try {
        make_room();
        answer(options, on_text, cancelled);
    } catch (const Error&) {  // the answer that there was stays
        turns_.back() = std::move(before.turn);
        ids_ = std::move(before.ids);
        first_ = before.first;
        options_.sampler.seed = before.seed;
        throw;
    }
    forgot_ = first_ - before.first;
    return turns_.back();
}

// The characters of an answer that goes on. Where it ended within one, the stream has its
// beginning, and the text ends before the U+FFFD that stood for it.
Utf8Stream Chat::take_up(Turn& turn) const {
    Utf8Stream characters;
    std::string whole;
    for (const int32_t id : turn.answer_ids)
        whole += characters.push(tokenizer_.bytes(id));
    Utf8Stream ended = characters;
    const std::string cut = ended.finish();
    // The text is another where a stop text has ended it, or it came from elsewhere.
    if (cut.empty() || turn.answer != whole + cut)
        return {};
    turn.answer = std::move(whole);
    return characters;
}

// Goes on behind the ids that the last answer has.
void Chat::answer(const AnswerOptions& options, const OnText& on_text, const Cancelled& cancelled) {
    Turn& turn = turns_.back();
    const size_t kept = turn.answer_ids.size();
    Utf8Stream characters = take_up(turn);
    StopScanner scanner(options_.stop);
    const auto show = [&](const std::string& text) {
        if (text.empty())
            return;
        turn.answer += text;
        on_text(text);
    };
    const auto& [own_max_tokens, allowed, constraint] = options;
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
            request.max_tokens = max_tokens - static_cast<uint32_t>(turn.answer_ids.size() - kept);
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
