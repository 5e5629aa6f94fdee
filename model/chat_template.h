// A conversation as token ids.
//
// The published templates are text with markers in it. Here the markers are ids that only this
// code pushes, and the text between them is encoded as data, so nobody can type a marker. For
// ordinary text the ids are those that the reference template's text has.
//
//     <bos>                                               once
//     <start_of_turn>user\nSYSTEM\n\nTEXT<end_of_turn>\n      SYSTEM only before the first text
//     <start_of_turn>model\nTEXT<end_of_turn>\n
//     <start_of_turn>model\n                              where the model is to go on
//
// A picture before a text is \n\n<start_of_image>, its soft tokens, <end_of_image>\n\n, the newlines
// being ids of their own. One with crops is "Here is the original image " PICTURE " and here are some
// crops to help you see better " CROP " " CROP ...
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer.h"

namespace olivine {

// A picture that stands before a user's text.
struct PictureInText {
    std::vector<int32_t> ids;  // EncodedPicture::id of the picture, then of its crops, if any
    uint32_t soft_tokens = 0;  // of each
};

struct Message {
    enum class Role { system, user, model };
    Role role;
    std::string text;
    std::vector<PictureInText> pictures = {};  // of a user
};

// Gemma 3 puts the system text before the first user text; Gemma 2 has no place for one.
enum class SystemText { before_first_user, refused };

class ChatTemplate {
public:
    // Keeps a reference to the tokenizer. Throws Error(unsupported) if the vocabulary lacks bos,
    // start_of_turn or end_of_turn.
    explicit ChatTemplate(const Tokenizer& tokenizer,
                          SystemText system = SystemText::before_first_user);

    // The ids of a whole conversation: an optional system message, then user and model in turn.
    // Throws Error(bad_input) for any other order, and for a system message where it is refused.
    // Throws Error(unsupported) for a picture where the vocabulary lacks its marks.
    // The user's and the model's texts lose blanks at both ends, as in the published template; the
    // system text keeps its own.
    std::vector<int32_t> prompt(std::span<const Message> messages,
                                bool add_generation_prompt = true) const;

    // What follows the ids in the cache when the model has answered and the user goes on:
    //     <end_of_turn>\n<start_of_turn>user\nTEXT<end_of_turn>\n<start_of_turn>model\n
    // answer_ended: the cache holds the <end_of_turn> that the model gave already.
    // prompt() of the first turn + answer ids + this = prompt() of the longer conversation,
    // provided that the answer's ids are those of encode(answer) and it has no outer blanks.
    std::vector<int32_t> next_turn(const Message& user, bool answer_ended) const;

    // Any of these ends an answer: end_of_turn and eos.
    const std::vector<int32_t>& stop_ids() const { return stop_ids_; }
    bool is_stop(int32_t id) const;

    // text without the blanks that the template strips (those of Unicode White_Space and the
    // separators U+001C to U+001F).
    static std::string_view strip(std::string_view text);

private:
    void push_turn(std::vector<int32_t>& ids, std::string_view prefix, const Message& message) const;
    void push_picture(std::vector<int32_t>& ids, int32_t id, uint32_t soft_tokens) const;
    void push_text(std::vector<int32_t>& ids, std::string_view text) const;

    const Tokenizer* tokenizer_;
    SystemText system_;
    int32_t bos_ = 0;
    int32_t start_of_turn_ = 0;
    int32_t end_of_turn_ = 0;
    std::vector<int32_t> stop_ids_;
};

}  // namespace olivine
