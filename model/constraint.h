// What an answer may be: after each token, the ids that may come next.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/byte_language.h"
#include "model/tokenizer.h"

namespace olivine {

// What the tokens of a tokenizer print, in the order of these bytes, so that a walk over all of
// them is that of a trie: what a token has in common with the one before it is not read again.
class Vocabulary {
public:
    // Some 100 ms for a real one.
    explicit Vocabulary(const Tokenizer& tokenizer);

    struct Token {
        int32_t id;
        uint32_t begin, length;  // in the text
        uint32_t shared;         // bytes that it begins with like the token before it
    };
    // Without those that print nothing: controls.
    std::span<const Token> tokens() const { return tokens_; }
    std::string_view text() const { return text_; }
    std::string_view bytes(int32_t id) const;      // "" for the others
    uint32_t longest() const { return longest_; }  // bytes of a token
    uint32_t size() const { return size_; }        // ids
    uint32_t mask_words() const { return (size_ + 31) / 32; }
    // Those that a token of `allowed`, [size] bits, prints alone; empty = every id.
    ByteSet spelled(std::span<const uint32_t> allowed) const;

private:
    std::string text_;
    std::vector<Token> tokens_;
    std::vector<int32_t> bytes_;   // ids of those that print a single one
    std::vector<uint32_t> place_;  // by id: in tokens_; those of controls are beyond its end
    uint32_t longest_ = 0, size_ = 0;
};

// A set of texts, of which an answer is one. Every answer that has been begun can be finished: only
// bytes that have a token of their own are used, so that any text can be spelled. Real vocabularies
// have one for each byte. Keeps what it has found out about its states, so that it gets faster;
// many answers, also on other threads, may use one.
class Constraint {
public:
    // allowed: the ids that answers are made of, [vocabulary] bits; empty = every id. Throw
    // bad_input where they do not suffice.
    //
    // One of these texts. Throws bad_input where there is none, one is empty or no UTF-8;
    // unsupported beyond kMostChoiceBytes together.
    static std::shared_ptr<Constraint> choices(std::shared_ptr<const Vocabulary> vocabulary,
                                               std::span<const std::string> texts,
                                               std::span<const uint32_t> allowed = {});
    // A JSON value that the schema describes. Throws what read_json_schema() does (json_schema.h).
    static std::shared_ptr<Constraint> json(std::shared_ptr<const Vocabulary> vocabulary,
                                            std::string_view schema,
                                            std::span<const uint32_t> allowed = {});
    static constexpr size_t kMostChoiceBytes = 1 << 16;

    using State = uint32_t;
    static constexpr State kStart = 0;
    using Mask = std::shared_ptr<const std::vector<uint32_t>>;

    // Ids that may come next, [vocabulary] bits; none when the text is complete.
    Mask mask(State state);
    // Behind one of these ids. Throws internal for another one.
    State after(State state, int32_t id);
    // The text may end here; nothing can follow it.
    bool may_end(State state) const;
    bool complete(State state) const;

private:
    Constraint(std::shared_ptr<const Vocabulary> vocabulary, std::span<const uint32_t> allowed);
    void start(ByteLanguages::Id language);
    State state_of(ByteLanguages::Id language);
    State next(State state, uint8_t byte);
    std::vector<uint32_t> make_mask(State state);

    const std::shared_ptr<const Vocabulary> vocabulary_;
    const std::vector<uint32_t> allowed_;

    mutable std::mutex mutex_;  // of what follows
    ByteLanguages languages_;
    std::array<uint8_t, 256> class_of_{};
    uint32_t classes_ = 0;
    std::vector<ByteLanguages::Id> states_;
    std::unordered_map<ByteLanguages::Id, State> state_of_;
    std::vector<State> next_;  // [states_][classes_]
    std::unordered_map<State, Mask> masks_;
};

}  // namespace olivine
