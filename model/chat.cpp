#include "model/chat.h"

#include <algorithm>
#include <utility>

#include "engine/error.h"
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

Chat::Chat(Generator& generator, const Tokenizer& tokenizer, const ChatOptions& options)
    : generator_(generator), tokenizer_(tokenizer), options_(options),
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
    ids_.clear();
    answer_ids_.clear();
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

const Turn& Chat::ask(std::string_view text, const std::function<void(std::string_view)>& on_text,
                      const Cancelled& cancelled) {
    Message question{Message::Role::user, std::string(text)};
    std::vector<AttachedPicture> pictures = std::exchange(attached_, {});
    size_t encoded = 0;
    for (const AttachedPicture& picture : pictures) {
        PictureInText& in_text = question.pictures.emplace_back();
        in_text.soft_tokens = generator_.model().config().mm_tokens_per_image;
        for (const PictureRef& each : picture.encoded)
            in_text.ids.push_back(each->id);
        encoded += picture.encoded.size();
    }
    std::vector<int32_t> ids = ids_;
    if (turns_.empty()) {
        std::vector<Message> messages;
        if (!options_.system.empty())
            messages.push_back({Message::Role::system, options_.system});
        messages.push_back(question);
        ids = template_.prompt(messages);
    } else {
        ids.insert(ids.end(), answer_ids_.begin(), answer_ids_.end());
        const std::vector<int32_t> next = template_.next_turn(question, false);
        ids.insert(ids.end(), next.begin(), next.end());
    }
    if (ids.size() >= generator_.context().context())
        fail(Fault::bad_input,
             "The conversation has %zu tokens with this question%s, the context %u positions.",
             ids.size(),
             encoded > 0 ? format_text(" and its %zu pictures of %u", encoded,
                                       generator_.model().config().mm_tokens_per_image)
                               .c_str()
                         : "",
             generator_.context().context());
    const std::vector<int32_t> ids_before = std::exchange(ids_, std::move(ids));
    const std::vector<int32_t> answer_before = answer_ids_;
    turns_.push_back({std::string(text), std::move(pictures), {}});
    try {
        return answer(on_text, cancelled);
    } catch (const Error&) {
        // A question that could not be answered leaves the conversation as it was.
        turns_.pop_back();
        ids_ = ids_before;
        answer_ids_ = answer_before;
        throw;
    }
}

const Turn& Chat::regenerate(const std::function<void(std::string_view)>& on_text,
                             const Cancelled& cancelled) {
    if (turns_.empty())
        fail(Fault::bad_input, "There is no question to answer again.");
    turns_.back().answer.clear();
    ++options_.sampler.seed;
    return answer(on_text, cancelled);
}

const Turn& Chat::answer(const std::function<void(std::string_view)>& on_text,
                         const Cancelled& cancelled) {
    Turn& turn = turns_.back();
    answer_ids_.clear();
    Utf8Stream characters;
    StopScanner scanner(options_.stop);
    const auto show = [&](const std::string& text) {
        if (text.empty())
            return;
        turn.answer += text;
        on_text(text);
    };
    const GenerateRequest request{.prompt = ids_,
                                  .max_tokens = options_.max_tokens,
                                  .sampler = options_.sampler,
                                  .stop_ids = template_.stop_ids(),
                                  .checkpoints = true};
    const auto on_token = [&](uint32_t, int32_t id) {
        if (template_.is_stop(id))
            return true;
        answer_ids_.push_back(id);
        show(scanner.push(characters.push(tokenizer_.bytes(id))));
        return !scanner.found();
    };
    const std::vector<GenerateResult> results =
        generator_.generate(std::span(&request, 1), on_token, cancelled);
    if (!scanner.found()) {
        show(scanner.push(characters.finish()));
        show(scanner.finish());
    }
    last_end_ = scanner.found() ? EndReason::stop_id : results[0].end;
    return turn;
}

}  // namespace olivine
