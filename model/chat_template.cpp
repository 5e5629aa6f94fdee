#include "model/chat_template.h"

#include <algorithm>

#include "engine/error.h"
#include "model/utf8.h"

namespace olivine {
namespace {

// What the template's "trim" removes: Unicode's blanks and the four information separators.
bool is_blank(char32_t code) {
    return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
           code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

int32_t needed(std::optional<int32_t> id, const char* name) {
    if (!id)
        fail(Fault::unsupported, "The vocabulary has no %s, which the chat template needs.", name);
    return *id;
}

}  // namespace

ChatTemplate::ChatTemplate(const Tokenizer& tokenizer, SystemText system)
    : tokenizer_(&tokenizer),
      system_(system),
      bos_(needed(tokenizer.specials().bos, "<bos>")),
      start_of_turn_(needed(tokenizer.specials().start_of_turn, "<start_of_turn>")),
      end_of_turn_(needed(tokenizer.specials().end_of_turn, "<end_of_turn>")) {
    stop_ids_.push_back(end_of_turn_);
    for (const auto& id : {tokenizer.specials().eos, tokenizer.specials().declared_eos})
        if (id && !is_stop(*id))
            stop_ids_.push_back(*id);
}

bool ChatTemplate::is_stop(int32_t id) const {
    return std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end();
}

std::string_view ChatTemplate::strip(std::string_view text) {
    while (!text.empty()) {
        const Utf8Step step = utf8_step(text);
        if (!step.valid || !is_blank(step.code))
            break;
        text.remove_prefix(step.length);
    }
    while (!text.empty()) {
        size_t start = text.size() - 1;  // of the last character: at most 3 bytes further back
        while (start > 0 && text.size() - start < 4 &&
               (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80)
            --start;
        const Utf8Step step = utf8_step(text.substr(start));
        if (!step.valid || start + step.length != text.size() || !is_blank(step.code))
            break;
        text.remove_suffix(step.length);
    }
    return text;
}

void ChatTemplate::push_text(std::vector<int32_t>& ids, std::string_view text) const {
    const std::vector<int32_t> more = tokenizer_->encode(text);
    ids.insert(ids.end(), more.begin(), more.end());
}

void ChatTemplate::push_picture(std::vector<int32_t>& ids, int32_t id, uint32_t soft_tokens) const {
    const Tokenizer::Specials& specials = tokenizer_->specials();
    push_text(ids, "\n\n");
    ids.push_back(needed(specials.start_of_image, "<start_of_image>"));
    ids.insert(ids.end(), soft_tokens, id);
    ids.push_back(needed(specials.end_of_image, "<end_of_image>"));
    push_text(ids, "\n\n");
}

// What stands between marks, role and newline included, is one text to the tokenizer, which may merge
// across the borders of its parts.
void ChatTemplate::push_turn(std::vector<int32_t>& ids, std::string_view prefix,
                             const Message& message) const {
    ids.push_back(start_of_turn_);
    std::string text = message.role == Message::Role::user ? "user\n" : "model\n";
    text += prefix;
    for (const PictureInText& picture : message.pictures)
        for (size_t i = 0; i < picture.ids.size(); ++i) {
            if (picture.ids.size() > 1)
                text += i == 0   ? "Here is the original image "
                        : i == 1 ? " and here are some crops to help you see better "
                                 : " ";
            push_text(ids, text);
            text.clear();
            push_picture(ids, picture.ids[i], picture.soft_tokens);
        }
    text += strip(message.text);
    push_text(ids, text);
    ids.push_back(end_of_turn_);
    push_text(ids, "\n");
}

std::vector<int32_t> ChatTemplate::prompt(std::span<const Message> messages,
                                          bool add_generation_prompt) const {
    std::string prefix;
    if (!messages.empty() && messages[0].role == Message::Role::system) {
        if (system_ == SystemText::refused)
            fail(Fault::bad_input, "The model's chat template has no place for a system text.");
        if (messages.size() == 1)
            fail(Fault::bad_input,
                 "The conversation has a system text and no user text that it could precede.");
        prefix = messages[0].text + "\n\n";
        messages = messages.subspan(1);
    }
    std::vector<int32_t> ids = {bos_};
    for (size_t i = 0; i < messages.size(); ++i) {
        const bool user = i % 2 == 0;
        if (messages[i].role != (user ? Message::Role::user : Message::Role::model))
            fail(Fault::bad_input,
                 "Turn %zu of the conversation is not the %s's (user and model take turns, the "
                 "user begins).",
                 i + 1, user ? "user" : "model");
        push_turn(ids, i == 0 ? prefix : "", messages[i]);
    }
    if (add_generation_prompt) {
        ids.push_back(start_of_turn_);
        push_text(ids, "model\n");
    }
    return ids;
}

std::vector<int32_t> ChatTemplate::next_turn(const Message& user, bool answer_ended) const {
    std::vector<int32_t> ids;
    if (!answer_ended)
        ids.push_back(end_of_turn_);
    push_text(ids, "\n");
    push_turn(ids, "", user);
    ids.push_back(start_of_turn_);
    push_text(ids, "model\n");
    return ids;
}

}  // namespace olivine
