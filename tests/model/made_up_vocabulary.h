// A small vocabulary built like Gemma 3's: the same kinds of pieces, other ids, about 400 of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/error.h"
#include "model/sentencepiece_model.h"

namespace olivine::test {

inline TokenizerVocabulary made_up_vocabulary() {
    TokenizerVocabulary vocabulary;
    vocabulary.source = "made-up";
    auto add = [&](std::string text, PieceType type, float score = 0) {
        vocabulary.pieces.push_back({std::move(text), score, type});
    };
    add("<pad>", PieceType::control);
    add("<eos>", PieceType::control);
    add("<bos>", PieceType::control);
    add("<unk>", PieceType::unknown);
    for (const char* text : {"<mask>", "[multimodal]", "<unused0>", "<unused1>", "<unused12>",
                             "<start_of_turn>", "<end_of_turn>"})
        add(text, PieceType::user_defined);  // as the published file types them
    for (int n = 1; n <= 6; ++n)
        add(std::string(static_cast<size_t>(n), '\n'), PieceType::user_defined);
    std::string blanks = "\u2581";
    for (int n = 2; n <= 6; ++n)
        add(blanks += "\u2581", PieceType::user_defined);
    for (const char* text : {"<b>", "</b>", "<table>", "</table>"})
        add(text, PieceType::user_defined);
    for (int byte = 0; byte < 256; ++byte)
        add(format_text("<0x%02X>", byte), PieceType::byte);
    float score = 0;
    for (const char* text :
         {"er",      "se",    "us",           "user",        "od",        "el",   "mod",
          "mo",      "model", "\u2581t",      "he",          "\u2581the", "th",   "the",
          "\u2581a", "in",    "xx",           "xxxx",        "xxxxxxxx",  "ab",   "abab",
          "of",      "_of",   "tu",           "rn",          "st",        "art",  "ar",
          "bo",      "bos",   "<b",           "\u2581H",     "ll",        "Hell", "He",
          "ello",    "lo",    "\u00E9\u00E9", "\u4E2D\u65E5"})
        add(text, PieceType::normal, score--);
    add("\u2581", PieceType::normal, score--);
    for (char c = '!'; c <= '~'; ++c)
        add(std::string(1, c), PieceType::normal, score--);
    for (const char* text : {"\u00E9", "\u4E2D", "\u65E5", "\u0436", "\uFFFD"})
        add(text, PieceType::normal, score--);
    add("\t", PieceType::user_defined);
    add("<start_of_image>", PieceType::control);
    add("<end_of_image>", PieceType::control);
    vocabulary.pad = 0;
    vocabulary.eos = 1;
    vocabulary.bos = 2;
    return vocabulary;
}

// The error that action throws; "none" as text where it throws nothing.
template <typename Action>
Error error_of(Action action) {
    try {
        action();
    } catch (const Error& error) {
        return error;
    }
    return Error(Fault::internal, "none");
}

}  // namespace olivine::test
