// UTF-8: finding whole characters in bytes that may be cut or damaged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace olivine {

// One step through bytes that should be UTF-8. length is the number of bytes that belong together:
// a whole character (valid), or the longest part that could have become one (not valid; this many
// bytes make one U+FFFD, as the Unicode standard and WHATWG recommend). 0 only for empty text.
struct Utf8Step {
    size_t length;
    bool valid;       // a scalar value: no surrogate, no overlong form, at most U+10FFFF
    bool incomplete;  // not valid, but the text ends where more bytes could still make it valid
    char32_t code;    // the character if valid, else U+FFFD
};
Utf8Step utf8_step(std::string_view text);

// The length of the longest prefix that is valid UTF-8, in bytes.
size_t utf8_valid_prefix(std::string_view text);

// code must be a scalar value; surrogates and values above U+10FFFF append U+FFFD.
void utf8_append(std::string& text, char32_t code);

// Turns the bytes that tokens print, one after the other, into text that a terminal or a JSON
// string can take: it hands out whole characters only. Bytes that cannot become a character are
// replaced by U+FFFD. Whatever the splits, the concatenation of all results is the same.
class Utf8Stream {
public:
    // The characters that are whole now; at most 3 bytes are kept back.
    std::string push(std::string_view bytes);

    // What is left at the end: "" or one U+FFFD. The stream can be used again afterwards.
    std::string finish();

private:
    std::string pending_;  // the beginning of a character, 0 to 3 bytes
};

}  // namespace olivine
