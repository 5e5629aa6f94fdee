#include "model/utf8.h"

namespace olivine {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

// What the first byte of a character says: how many bytes follow, and in which range the second
// one must be so that the character is neither overlong, nor a surrogate, nor above U+10FFFF
// (table 3-7 of the Unicode standard). The other bytes are always 80..BF.
struct Lead {
    size_t more;  // 0 for a byte that starts nothing
    uint8_t second_low, second_high;
    uint8_t value;  // the bits that the first byte contributes
};

Lead read_lead(uint8_t byte) {
    if (byte >= 0xC2 && byte <= 0xDF)
        return {1, 0x80, 0xBF, static_cast<uint8_t>(byte & 0x1F)};
    if (byte >= 0xE0 && byte <= 0xEF)
        return {2, static_cast<uint8_t>(byte == 0xE0 ? 0xA0 : 0x80),
                static_cast<uint8_t>(byte == 0xED ? 0x9F : 0xBF),
                static_cast<uint8_t>(byte & 0x0F)};
    if (byte >= 0xF0 && byte <= 0xF4)
        return {3, static_cast<uint8_t>(byte == 0xF0 ? 0x90 : 0x80),
                static_cast<uint8_t>(byte == 0xF4 ? 0x8F : 0xBF),
                static_cast<uint8_t>(byte & 0x07)};
    return {0, 0, 0, 0};
}

}  // namespace

Utf8Step utf8_step(std::string_view text) {
    if (text.empty())
        return {0, false, false, kReplacement};
    const uint8_t first = static_cast<uint8_t>(text[0]);
    if (first < 0x80)
        return {1, true, false, first};
    const Lead lead = read_lead(first);
    if (lead.more == 0)
        return {1, false, false, kReplacement};
    char32_t code = lead.value;
    for (size_t i = 1; i <= lead.more; ++i) {
        if (i == text.size())
            return {i, false, true, kReplacement};
        const uint8_t byte = static_cast<uint8_t>(text[i]);
        const uint8_t low = i == 1 ? lead.second_low : 0x80;
        const uint8_t high = i == 1 ? lead.second_high : 0xBF;
        if (byte < low || byte > high)
            return {i, false, false, kReplacement};
        code = code << 6 | (byte & 0x3F);
    }
    return {lead.more + 1, true, false, code};
}

size_t utf8_valid_prefix(std::string_view text) {
    size_t length = 0;
    while (length < text.size()) {
        const Utf8Step step = utf8_step(text.substr(length));
        if (!step.valid)
            break;
        length += step.length;
    }
    return length;
}

void utf8_append(std::string& text, char32_t code) {
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        code = kReplacement;
    if (code < 0x80) {
        text += static_cast<char>(code);
        return;
    }
    if (code < 0x800) {
        text += static_cast<char>(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            text += static_cast<char>(0xE0 | code >> 12);
        } else {
            text += static_cast<char>(0xF0 | code >> 18);
            text += static_cast<char>(0x80 | (code >> 12 & 0x3F));
        }
        text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    }
    text += static_cast<char>(0x80 | (code & 0x3F));
}

std::string Utf8Stream::push(std::string_view bytes) {
    pending_ += bytes;
    std::string whole;
    whole.reserve(pending_.size());
    std::string_view rest = pending_;
    while (!rest.empty()) {
        const Utf8Step step = utf8_step(rest);
        if (step.incomplete)
            break;
        if (step.valid)
            whole += rest.substr(0, step.length);
        else
            utf8_append(whole, kReplacement);
        rest.remove_prefix(step.length);
    }
    pending_.erase(0, pending_.size() - rest.size());
    return whole;
}

std::string Utf8Stream::finish() {
    std::string last;
    if (!pending_.empty())
        utf8_append(last, kReplacement);
    pending_.clear();
    return last;
}

}  // namespace olivine
