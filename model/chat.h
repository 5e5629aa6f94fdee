// The top door: a conversation.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat_template.h"
#include "model/file.h"
#include "model/generator.h"
#include "model/tokenizer.h"
#include "model/turn.h"

namespace olivine {

class Utf8Stream;

struct ChatOptions {
    SamplerOptions sampler;
    uint32_t max_tokens = 0;         // an answer; 0 = no limit but the context
    std::string system;
    std::vector<std::string> stop;   // texts that end an answer; not part of it
    bool pan_and_scan = false;       // long pictures come with crops (see pan_and_scan())
    // When the context is full, the model forgets the oldest turns, whole ones, but not the system
    // text: as many as leave a quarter of it free. Otherwise the answer ends, and the next question
    // is refused.
    bool shift = false;
    std::function<void(int32_t id)> on_token;  // told of the ids of answers, before their text
};

// Of one answer.
struct AnswerOptions {
    std::optional<uint32_t> max_tokens = {};       // in place of the conversation's
    std::vector<uint32_t> allowed = {};            // GenerateRequest's
    std::shared_ptr<Constraint> constraint = {};
};

class Chat {
public:
    // Keeps references: generator and tokenizer outlive the chat. Uses this sequence of the
    // generator's context. Throws unsupported when the vocabulary lacks turn tokens, bad_input when
    // the model takes no system text.
    Chat(Generator& generator, const Tokenizer& tokenizer, const ChatOptions& options,
         uint32_t sequence = 0);

    // Encodes pictures, which stand in this order before the next question's text; names: one each.
    // Throws bad_input for a model without a picture encoder, and what Vision::encode throws; nothing
    // is attached then.
    void attach(std::span<const Picture> pictures, std::span<const std::string> names,
                const EncodeOptions& options = {});
    void attach(const DevicePicture& picture, const std::string& name, const EncodeOptions& options = {});
    // The same without attaching them: for set_turns(). A picture that somebody still holds, or
    // that was encoded of late, is not encoded again (model/picture_store.h).
    std::vector<AttachedPicture> encode(std::span<const Picture> pictures,
                                        std::span<const std::string> names,
                                        const EncodeOptions& options = {}) const;
    // What encode() has made.
    void attach(std::vector<AttachedPicture> pictures);
    // What is attached and not yet asked about.
    const std::vector<AttachedPicture>& attached() const { return attached_; }
    void detach() { attached_.clear(); }

    // Asks and streams the answer: on_text gets whole UTF-8 characters. `cancelled` stops the answer
    // within a slice; what was said stays in the conversation. Throws bad_input when the
    // conversation no longer fits the context (both lengths; the conversation is as before, but that
    // pictures which were attached are not any more).
    const Turn& ask(std::string_view text, const std::function<void(std::string_view)>& on_text,
                    const Cancelled& cancelled = {}, AnswerOptions options = {});
    // Answers the last question again, with the next seed and, unless it came from a file, its options.
    // Throws bad_input when there is none.
    const Turn& regenerate(const std::function<void(std::string_view)>& on_text,
                           const Cancelled& cancelled = {});
    // The last answer goes on where it ended, whatever ended it; one that the model ended may end
    // again at once. Its ids stay, and with the same seed those that follow are the ones that would
    // have been drawn then. on_text gets what is new, max_tokens counts it, and stop texts are
    // looked for in it. Where the answer ended within a character, the whole one takes the place of
    // the U+FFFD at the end of Turn::answer, and on_text gets it. `options` are not those that
    // regenerate() answers by. Throws bad_input when there is no turn, for an answer under a
    // constraint (which is over where it ended; `options` have none) and what ask() throws; the
    // conversation is as before then.
    const Turn& go_on(const std::function<void(std::string_view)>& on_text,
                      const Cancelled& cancelled = {}, AnswerOptions options = {});
    // Takes these turns, as they were said, in place of the conversation's: another branch, or one
    // from elsewhere. A question may have no answer yet. An answer without ids is encoded; ids are
    // this vocabulary's, and pictures the model's. Turns that the model does not see stay so while
    // they and the question behind them are as before; else it sees all, as far as the next answer
    // leaves room (ChatOptions::shift). Nothing runs: the next answer reads what the context does
    // not hold yet. The seed stays; what is attached and not yet asked about goes, as do the last
    // question's options. Throws unsupported for pictures that the vocabulary has no marks for;
    // nothing has changed then.
    void set_turns(std::vector<Turn> turns);
    // The conversation in a file, which is replaced at once or not at all (bad_input when the system refuses
    // that), or as the same bytes; and back in place of this one. Errors: model/session_file.h; what is
    // attached and not yet asked about is not part of it.
    void save(const std::string& path) const;
    std::vector<std::byte> save_bytes() const;
    void load(const File& saved);
    // Begins a fresh conversation, with the next seed.
    void clear();
    // Takes effect with a fresh conversation, which this begins.
    void set_system(std::string text);

    const std::vector<Turn>& turns() const { return turns_; }
    // Those at the beginning that the model does not see any more (ChatOptions::shift).
    uint32_t forgotten_turns() const { return first_; }
    // How many of them the last question, or answering it again, has cost.
    uint32_t forgot() const { return forgot_; }
    ChatOptions& options() { return options_; }
    // Tokens of the conversation that are in the context, and how it ended last.
    uint32_t context_used() const {
        return static_cast<uint32_t>(generator_.context().tokens(sequence_).size());
    }
    EndReason last_end() const { return last_end_; }
    const GenerateStats& stats() const { return generator_.stats(); }

private:
    void save_into(ByteSink& to) const;
    // What an answer changes.
    struct Last {
        Turn turn;
        std::vector<int32_t> ids;
        uint32_t first;
        uint64_t seed;
    };
    using OnText = std::function<void(std::string_view)>;
    void answer(const AnswerOptions& options, const OnText& on_text, const Cancelled& cancelled);
    const Turn& answer_last(Last before, const AnswerOptions& options, const OnText& on_text,
                            const Cancelled& cancelled);
    Last last() const { return {turns_.back(), ids_, first_, options_.sampler.seed}; }
    Utf8Stream take_up(Turn& turn) const;
    Message message(const Turn& turn) const;
    std::vector<int32_t> prompt_of_first(const Turn& turn) const;
    std::vector<int32_t> prompt_from(const std::vector<Turn>& turns, size_t first) const;
    void make_room();
    bool forget_turns();

    Generator& generator_;
    const Tokenizer& tokenizer_;
    uint32_t sequence_;
    ChatOptions options_;
    AnswerOptions answer_options_;       // of the last question
    ChatTemplate template_;
    std::vector<Turn> turns_;
    std::vector<AttachedPicture> attached_;
    uint32_t first_ = 0;                 // turn that the model sees
    uint32_t forgot_ = 0;
    std::vector<int32_t> ids_;           // from there up to the last question's end
    EndReason last_end_ = EndReason::max_tokens;
};

}  // namespace olivine
