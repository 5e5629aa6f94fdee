// Text to token ids and back, with the vocabulary of a Gemma checkpoint.
//
// User text is data: encode(text) never gives the id of a control piece, whatever is typed. Only
// the pieces that Gemma matches in raw text on purpose (runs of spaces, newlines or tabs, and a
// fixed list of HTML tags) are matched; "<start_of_turn>" falls apart into ordinary pieces.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/file_source.h"

namespace olivine {

class Gguf;
struct TokenizerVocabulary;

class Tokenizer {
public:
    // Ids found by name, or as the file declares them; empty where the vocabulary has none.
    struct Specials {
        std::optional<int32_t> bos, eos, pad, unk;
        std::optional<int32_t> start_of_turn, end_of_turn;
        std::optional<int32_t> start_of_image, end_of_image;
        std::optional<int32_t> declared_eos;  // may be another piece than <eos>
    };

    // A model folder (tokenizer.model, else tokenizer.json), one of these two files, or a .gguf
    // file, looked up in `files`. Throws Error(bad_file) where it is missing or damaged,
    // Error(unsupported) for another kind of tokenizer.
    static Tokenizer open(const std::string& path, const FileSource& files = disk());
    static Tokenizer from_gguf(const Gguf& file);
    // Throws Error(bad_file) if check_vocabulary does.
    static Tokenizer from_vocabulary(TokenizerVocabulary vocabulary);

    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;
    ~Tokenizer();

    // The ids of text, without bos. Takes any bytes: what is not UTF-8 becomes byte pieces, so
    // decoding gives the same bytes back (except that U+2581 comes back as a space). Without
    // byte pieces in the vocabulary, what it cannot write becomes unk. Time is linear; memory
    // beyond the result is a few MiB. Many threads may call it at once.
    // With parse_special, the names of control pieces in text become their ids, longest first.
    std::vector<int32_t> encode(std::string_view text, bool parse_special = false) const;

    // What the token prints: a byte piece its one byte, a control piece nothing. Not necessarily
    // whole characters: see Utf8Stream. "" for ids outside the vocabulary.
    std::string bytes(int32_t id) const;

    // True for every id that text cannot give: control, unused and unknown pieces, and ids outside
    // the vocabulary.
    bool is_control(int32_t id) const;

    // piece as the vocabulary names it (a space is U+2581).
    std::optional<int32_t> id_of(std::string_view piece) const;
    // The name of a piece; "" for ids outside the vocabulary.
    std::string_view piece(int32_t id) const;

    int32_t size() const;  // pieces; the embedding may have more rows
    const Specials& specials() const;

private:
    struct State;
    explicit Tokenizer(std::unique_ptr<const State> state);
    std::unique_ptr<const State> state_;
};

}  // namespace olivine
