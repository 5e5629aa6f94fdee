#include "model/utf8.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

using namespace olivine;

namespace {

struct Case {
    std::string bytes, text;
};

// The replacement counts are those of the Unicode standard's recommendation (section 3.9).
const std::vector<Case> kCases = {
    {"", ""},
    {"plain", "plain"},
    {"\u00E9\u4E2D\U0001F642 e\u0301", "\u00E9\u4E2D\U0001F642 e\u0301"},
    {std::string("a\0b", 3), std::string("a\0b", 3)},
    {"\x80", "\uFFFD"},
    {"\xC3", "\uFFFD"},                                // cut
    {"\xE4\xB8", "\uFFFD"},                            // cut
    {"\xF0\x9F\x99", "\uFFFD"},                        // cut
    {"\xE4\xB8x", "\uFFFDx"},                          // broken off by a letter
    {"\xC0\x80", "\uFFFD\uFFFD"},                      // overlong NUL
    {"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"},            // overlong
    {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},            // a lone surrogate
    {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},  // above U+10FFFF
    {"\xFF\xFE"
     "a",
     "\uFFFD\uFFFD"
     "a"},
    {"\xF0\x9F\xF0\x9F\x99\x82", "\uFFFD\U0001F642"},      // a cut one before a whole one
    {"\xF4\x8F\xBF\xBF\xEF\xBF\xBF", "\U0010FFFF\uFFFF"},  // the last ones
    {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
     "A",
     "\uFFFD\uFFFD\uFFFD\uFFFD"
     "A"},
};

}  // namespace

TEST_CASE("a stream gives whole characters, however the bytes are split", "[cpu][utf8]") {
    for (const Case& c : kCases) {
        CAPTURE(c.text);
        for (size_t first = 0; first <= c.bytes.size(); ++first) {
            for (size_t second = first; second <= c.bytes.size(); ++second) {
                Utf8Stream stream;
                std::string text;
                for (const std::string& part :
                     {stream.push(c.bytes.substr(0, first)),
                      stream.push(c.bytes.substr(first, second - first)),
                      stream.push(c.bytes.substr(second)), stream.finish()}) {
                    REQUIRE(utf8_valid_prefix(part) == part.size());
                    text += part;
                }
                REQUIRE(text == c.text);
                REQUIRE(stream.finish().empty());
            }
        }
    }
}

TEST_CASE("a stream keeps back nothing that is whole", "[cpu][utf8]") {
    Utf8Stream stream;
    CHECK(stream.push("ab\xF0\x9F") == "ab");
    CHECK(stream.push("\x99") == "");
    CHECK(stream.push("\x82"
                      "c") ==
          "\U0001F642"
          "c");
    CHECK(stream.finish() == "");
}

TEST_CASE("every scalar value survives, and nothing else is valid", "[cpu][utf8]") {
    for (char32_t code = 0; code <= 0x110000; ++code) {
        const bool scalar = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
        std::string text;
        utf8_append(text, code);
        const Utf8Step step = utf8_step(text);
        if (!step.valid || step.length != text.size() || step.code != (scalar ? code : 0xFFFD))
            FAIL("U+" << std::hex << static_cast<uint32_t>(code));
        for (size_t cut = 1; cut < text.size(); ++cut) {
            const Utf8Step part = utf8_step(std::string_view(text).substr(0, cut));
            if (part.valid || !part.incomplete || part.length != cut)
                FAIL("U+" << std::hex << static_cast<uint32_t>(code) << " cut at " << cut);
        }
    }
}

TEST_CASE("the valid prefix ends at the first broken byte", "[cpu][utf8]") {
    CHECK(utf8_valid_prefix("") == 0);
    CHECK(utf8_valid_prefix("a\u00E9") == 3);
    CHECK(utf8_valid_prefix("a\u00E9\xE4\xB8") == 3);
    CHECK(utf8_valid_prefix("\xFF"
                            "abc") == 0);
    CHECK(utf8_step("").length == 0);
}
