// The vocabulary as every source gives it, and the sentencepiece ModelProto it becomes.
//
// tokenizer.model, tokenizer.json and the arrays of a GGUF file all fill a TokenizerVocabulary;
// write_sentencepiece_model() writes it in the protobuf wire format that sentencepiece loads from
// memory. So one implementation turns text into ids, whatever the file was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace olivine {

// The numbers are sentencepiece's and GGUF's (tokenizer.ggml.token_type).
enum class PieceType : uint8_t {
    normal = 1,        // reached by merging
    unknown = 2,       // stands for what the vocabulary cannot write
    control = 3,       // never in text
    user_defined = 4,  // matched in raw text before any merging
    unused = 5,        // neither
    byte = 6,          // "<0x41>", one byte of a character that has no piece
};

struct Piece {
    std::string text;  // a space is written U+2581
    float score = 0;   // the pair with the highest score is merged first
    PieceType type = PieceType::normal;
};

// What a file may declare. The published vocabulary has 262,144 pieces of at most 93 bytes, and its
// longest run of blanks has 31.
constexpr size_t kMaxPieces = size_t{1} << 20;
constexpr size_t kMaxPieceBytes = 4096;
constexpr size_t kMaxBlankRun = 64;  // sentencepiece looks at 64 matches at one place of the text

struct TokenizerVocabulary {
    std::string source;         // the file's name, for messages
    std::vector<Piece> pieces;  // the index is the id

    // Ids as the file declares them, -1 where it does not.
    int32_t bos = -1;
    int32_t eos = -1;
    int32_t pad = -1;
};

// Checks what sentencepiece would trip over, so that a damaged file is an error and nothing else:
// 1 to kMaxPieces pieces, none empty, longer than kMaxPieceBytes, with a NUL, or there twice;
// finite scores; exactly one unknown piece; no byte piece or all 256; declared ids within the
// vocabulary. Throws Error(bad_file).
void check_vocabulary(const TokenizerVocabulary& vocabulary);

// Decides what text can reach, by what a piece is and not by its id. Spaces in pieces become
// U+2581 (GGUF files have both). Of the user-defined pieces those that consist of blanks only
// and the HTML tags of the published vocabulary keep matching; all others, declared bos, eos and
// pad, and whatever is named like one of Gemma's markers ("<start_of_turn>", "<unused7>") become
// control pieces.
void restrict_to_text(TokenizerVocabulary& vocabulary);

// The byte of "<0x00>" … "<0xFF>", empty for any other name.
std::optional<uint8_t> byte_of_piece(std::string_view text);

// Reads a ModelProto (the contents of a tokenizer.model). Throws Error(bad_file) for damage,
// Error(unsupported) for a model that is not BPE or that changes its text before matching.
TokenizerVocabulary read_sentencepiece_model(std::string_view proto, const std::string& source);

// Writes pieces, trainer_spec and normalizer_spec of a ModelProto: the contents of a
// tokenizer.model. With hide_unreachable, pieces of type control, unused and unknown get names
// that no text can spell (they hold a byte that UTF-8 never has), so that neither merging nor
// matching can arrive at them. The vocabulary must have passed check_vocabulary.
std::string write_sentencepiece_model(const TokenizerVocabulary& vocabulary, bool hide_unreachable);

// Reads the text of a Hugging Face tokenizer.json: its BPE vocabulary, merges and added tokens.
// Defined in tokenizer_json.cpp. Throws Error(bad_file) or Error(unsupported).
TokenizerVocabulary read_tokenizer_json(std::string_view json, const std::string& source);

}  // namespace olivine
