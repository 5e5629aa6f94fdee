#include "model/tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <filesystem>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "engine/error.h"
#include "model/file.h"
#include "model/gguf.h"
#include "model/sentencepiece_model.h"
#include "model/utf8.h"

namespace olivine {
namespace {

// The published tokenizer.json has 33 MB.
constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;

// A longer text is handed to sentencepiece in parts: its tables take some 100 bytes for a byte of
// text and its queue slows down as it grows. See Tokenizer::State::encode_utf8.
constexpr size_t kPartBytes = 1 << 10;
constexpr size_t kMaxPartBytes = 32 << 10;
constexpr size_t kUnsettledBytes = 4 << 10;  // the end of a part that had to be cut just anywhere
constexpr size_t kMaxCachedWords = 32 << 10;
constexpr size_t kMaxCachedWordBytes = 32;

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

bool is_reachable(PieceType type) {
    return type == PieceType::normal || type == PieceType::user_defined || type == PieceType::byte;
}

// A space typed as such and as U+2581 are the same to the tokenizer.
char32_t matched_code(char32_t code) {
    return code == ' ' ? 0x2581 : code;
}

bool is_blank(char32_t code) {
    return code == 0x2581 || code == '\n' || code == '\t' || code == '\r';
}

bool is_continuation(char byte) {
    return (static_cast<uint8_t>(byte) & 0xC0) == 0x80;
}

uint64_t pair_key(char32_t left, char32_t right) {
    return static_cast<uint64_t>(left) << 32 | right;
}

size_t count_characters(std::string_view text) {
    return text.size() -
           static_cast<size_t>(std::count_if(text.begin(), text.end(), is_continuation));
}

TokenizerVocabulary vocabulary_of(const Gguf& file) {
    TokenizerVocabulary vocabulary;
    vocabulary.source = file.path();
    const std::string* model = file.find_string("tokenizer.ggml.model");
    if (!model || *model != "llama")
        fail(Fault::unsupported, "%s: tokenizer.ggml.model is '%s' (supported: llama).",
             file.path().c_str(), model ? printable(*model).c_str() : "");
    if (file.find_bool("tokenizer.ggml.add_space_prefix").value_or(false))
        fail(Fault::unsupported, "%s: tokenizer.ggml.add_space_prefix is true (Gemma's is false).",
             file.path().c_str());
    const auto* tokens = file.strings("tokenizer.ggml.tokens");
    const auto* scores = file.floats("tokenizer.ggml.scores");
    const auto* types = file.ints("tokenizer.ggml.token_type");
    if (!tokens || !scores || !types)
        fail(Fault::bad_file, "%s: the file has no tokenizer.ggml.%s.", file.path().c_str(),
             !tokens   ? "tokens"
             : !scores ? "scores"
                       : "token_type");
    if (scores->size() != tokens->size() || types->size() != tokens->size())
        fail(Fault::bad_file,
             "%s: the tokenizer has %zu tokens, %zu scores and %zu types (all must be equal).",
             file.path().c_str(), tokens->size(), scores->size(), types->size());
    if (tokens->size() > kMaxPieces)
        fail(Fault::bad_file, "%s: the vocabulary has %zu pieces (1 to %zu are allowed).",
             file.path().c_str(), tokens->size(), kMaxPieces);
    vocabulary.pieces.resize(tokens->size());
    for (size_t id = 0; id < tokens->size(); ++id) {
        const int64_t type = (*types)[id];
        if (type < 1 || type > 6)
            fail(Fault::bad_file,
                 "%s: tokenizer.ggml.token_type of token %zu is %" PRId64 " (1 to 6 are allowed).",
                 file.path().c_str(), id, type);
        vocabulary.pieces[id] = {(*tokens)[id], (*scores)[id], static_cast<PieceType>(type)};
    }
    const auto declared = [&](const char* key) {
        const std::optional<uint64_t> id = file.find_uint(key);
        if (id && *id >= tokens->size())
            fail(Fault::bad_file, "%s: %s is %" PRIu64 " (the vocabulary has %zu pieces).",
                 file.path().c_str(), key, *id, tokens->size());
        return id ? static_cast<int32_t>(*id) : -1;
    };
    vocabulary.bos = declared("tokenizer.ggml.bos_token_id");
    vocabulary.eos = declared("tokenizer.ggml.eos_token_id");
    vocabulary.pad = declared("tokenizer.ggml.padding_token_id");
    return vocabulary;
}

}  // namespace

struct Tokenizer::State {
    TokenizerVocabulary vocabulary;
    sentencepiece::SentencePieceProcessor processor;
    std::unordered_map<std::string_view, int32_t> ids;  // views into vocabulary
    std::array<int32_t, 256> byte_ids;                  // unk where there are no byte pieces
    Specials specials;
    // Lengths in bytes of the control pieces that begin with a byte, longest first.
    std::array<std::vector<size_t>, 256> control_lengths;

    // Pairs of characters that stand side by side inside a piece. Built for the first long text.
    mutable std::once_flag inner_pairs_once;
    mutable std::unordered_set<uint64_t> inner_pairs;

    explicit State(TokenizerVocabulary source);
    void find_specials();
    void collect_inner_pairs() const;
    void encode_part(std::string_view text, std::vector<int32_t>& ids) const;
    size_t encode_settled(std::string_view text, std::vector<int32_t>& ids) const;
    void encode_utf8(std::string_view text, std::vector<int32_t>& ids) const;
    void encode_data(std::string_view text, std::vector<int32_t>& ids) const;
    size_t consumed_bytes(std::string_view text, int32_t id) const;
};

Tokenizer::State::State(TokenizerVocabulary source) : vocabulary(std::move(source)) {
    restrict_to_text(vocabulary);
    check_vocabulary(vocabulary);
    const sentencepiece::util::Status status =
        processor.LoadFromSerializedProto(write_sentencepiece_model(vocabulary, true));
    if (!status.ok())
        fail(Fault::bad_file, "%s: sentencepiece does not load the vocabulary (%s).",
             vocabulary.source.c_str(), printable(status.message()).c_str());

    ids.reserve(vocabulary.pieces.size());
    byte_ids.fill(0);
    bool byte_pieces = false;
    for (size_t i = 0; i < vocabulary.pieces.size(); ++i) {
        const Piece& piece = vocabulary.pieces[i];
        const auto id = static_cast<int32_t>(i);
        ids.emplace(piece.text, id);
        if (piece.type == PieceType::byte) {
            byte_ids[*byte_of_piece(piece.text)] = id;
            byte_pieces = true;
        } else if (!is_reachable(piece.type)) {
            control_lengths[static_cast<uint8_t>(piece.text[0])].push_back(piece.text.size());
        }
        if (piece.type == PieceType::unknown)
            specials.unk = id;
    }
    if (!byte_pieces)
        byte_ids.fill(*specials.unk);
    for (std::vector<size_t>& lengths : control_lengths) {
        std::sort(lengths.rbegin(), lengths.rend());
        lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
    }
    find_specials();
}

void Tokenizer::State::find_specials() {
    const auto named = [&](const char* name, int32_t declared = -1) -> std::optional<int32_t> {
        const auto found = ids.find(name);
        if (found != ids.end() && !is_reachable(vocabulary.pieces[found->second].type))
            return found->second;
        return declared >= 0 ? std::optional(declared) : std::nullopt;
    };
    specials.bos = named("<bos>", vocabulary.bos);
    specials.eos = named("<eos>", vocabulary.eos);
    specials.pad = named("<pad>", vocabulary.pad);
    specials.start_of_turn = named("<start_of_turn>");
    specials.end_of_turn = named("<end_of_turn>");
    specials.start_of_image = named("<start_of_image>");
    specials.end_of_image = named("<end_of_image>");
    if (vocabulary.eos >= 0)
        specials.declared_eos = vocabulary.eos;
}

void Tokenizer::State::collect_inner_pairs() const {
    for (const Piece& piece : vocabulary.pieces) {
        if (piece.type != PieceType::normal && piece.type != PieceType::user_defined)
            continue;
        std::string_view text = piece.text;
        std::optional<char32_t> left;
        while (!text.empty()) {
            const Utf8Step step = utf8_step(text);
            if (!step.valid)
                break;
            if (left)
                inner_pairs.insert(pair_key(*left, matched_code(step.code)));
            left = matched_code(step.code);
            text.remove_prefix(step.length);
        }
    }
}

void Tokenizer::State::encode_part(std::string_view text, std::vector<int32_t>& out) const {
    std::vector<int> part;
    const sentencepiece::util::Status status = processor.Encode(text, &part);
    if (!status.ok())
        fail(Fault::internal, "sentencepiece does not encode a text of %zu bytes (%s).",
             text.size(), status.message());
    out.insert(out.end(), part.begin(), part.end());
}

// How many bytes of text, which begins with what token id was made from, belong to that token.
size_t Tokenizer::State::consumed_bytes(std::string_view text, int32_t id) const {
    const Piece& piece = vocabulary.pieces[static_cast<size_t>(id)];
    if (piece.type == PieceType::byte)
        return 1;
    size_t bytes = 0;
    for (size_t left = count_characters(piece.text); left > 0; --left)
        bytes += utf8_step(text.substr(bytes)).length;
    return bytes;
}

// Encodes text without the tokens near its end, which what follows could still change. Returns
// the bytes that the tokens cover: more than 0, and whole characters.
size_t Tokenizer::State::encode_settled(std::string_view text, std::vector<int32_t>& out) const {
    std::vector<int32_t> part;
    encode_part(text, part);
    size_t bytes = 0, tokens = 0;
    while (tokens < part.size() &&
           (bytes + kUnsettledBytes < text.size() || is_continuation(text[bytes]))) {
        if (part[tokens] == *specials.unk)  // covers any number of characters
            break;
        bytes += consumed_bytes(text.substr(bytes), part[tokens++]);
        if (bytes == text.size())
            break;
    }
    if (bytes == 0) {
        tokens = part.size();
        bytes = text.size();
    }
    out.insert(out.end(), part.begin(), part.begin() + static_cast<ptrdiff_t>(tokens));
    return bytes;
}

// Cuts text (valid UTF-8) into parts where that leaves its tokens alone: a token across a cut would
// hold the two characters beside the cut next to each other, so between two that no piece has side
// by side no token can cross, however the merging goes. In ordinary text that is every place
// before a space; most words come again, and their ids are then copied.
void Tokenizer::State::encode_utf8(std::string_view text, std::vector<int32_t>& out) const {
    if (text.size() <= kPartBytes)
        return encode_part(text, out);
    std::call_once(inner_pairs_once, [this] { collect_inner_pairs(); });

    struct Range {
        size_t begin, count;  // in out
    };
    std::unordered_map<std::string_view, Range> words;
    const auto encode_word = [&](std::string_view word) {
        const bool short_word = word.size() <= kMaxCachedWordBytes;
        if (short_word) {
            if (const auto known = words.find(word); known != words.end()) {
                const auto [begin, count] = known->second;
                out.resize(out.size() + count);
                std::copy_n(out.begin() + static_cast<ptrdiff_t>(begin), count,
                            out.end() - static_cast<ptrdiff_t>(count));
                return;
            }
        }
        const size_t begin = out.size();
        encode_part(word, out);
        if (short_word && words.size() < kMaxCachedWords)
            words.emplace(word, Range{begin, out.size() - begin});
    };

    size_t begin = 0, at = 0;  // of the part, and of the character after it
    char32_t left = 0;
    while (at < text.size()) {
        const Utf8Step step = utf8_step(text.substr(at));
        const char32_t right = matched_code(step.code);
        const size_t length = at - begin;
        if (length > 0 && (is_blank(left) || is_blank(right) || length >= kPartBytes) &&
            !inner_pairs.contains(pair_key(left, right))) {
            encode_word(text.substr(begin, length));
            begin = at;
        } else if (length >= kMaxPartBytes) {
            // No such place far and wide, as in one letter over and over. The tokens far enough
            // from the end are final, and so is the text's cut at a border between two of them.
            begin += encode_settled(text.substr(begin, length), out);
            at = begin;
            continue;
        }
        left = right;
        at += step.length;
    }
    encode_word(text.substr(begin));
}

void Tokenizer::State::encode_data(std::string_view text, std::vector<int32_t>& out) const {
    while (!text.empty()) {
        const size_t valid = utf8_valid_prefix(text);
        if (valid > 0)
            encode_utf8(text.substr(0, valid), out);
        text.remove_prefix(valid);
        // sentencepiece would make U+FFFD of each of these.
        const size_t broken = text.empty() ? 0 : utf8_step(text).length;
        for (const char byte : text.substr(0, broken))
            out.push_back(byte_ids[static_cast<uint8_t>(byte)]);
        text.remove_prefix(broken);
    }
}

Tokenizer::Tokenizer(std::unique_ptr<const State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::open(const std::string& path, const FileSource& files) {
    namespace fs = std::filesystem;
    fs::path file = path;
    if (files.kind(path) == FileSource::Kind::folder) {
        file = fs::path(path) / "tokenizer.model";
        if (!files.has(file.string()))
            file = fs::path(path) / "tokenizer.json";
        if (!files.has(file.string()))
            fail(Fault::bad_file, "%s: the folder has no tokenizer.model and no tokenizer.json.",
                 path.c_str());
    }
    const File opened = files.open(file.string());
    const fs::path extension = file.extension();
    if (extension == ".gguf")
        return from_gguf(Gguf::parse(opened));
    const std::string text = opened.read_text(kMaxFileBytes);
    return from_vocabulary(extension == ".json" ? read_tokenizer_json(text, file.string())
                                                : read_sentencepiece_model(text, file.string()));
}

Tokenizer Tokenizer::from_gguf(const Gguf& file) {
    return from_vocabulary(vocabulary_of(file));
}

Tokenizer Tokenizer::from_vocabulary(TokenizerVocabulary vocabulary) {
    return Tokenizer(std::make_unique<const State>(std::move(vocabulary)));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool parse_special) const {
    std::vector<int32_t> ids;
    if (!parse_special) {
        state_->encode_data(text, ids);
        return ids;
    }
    size_t begin = 0;  // of the ordinary text before i
    for (size_t i = 0; i < text.size();) {
        std::optional<int32_t> control;
        size_t length = 1;
        for (const size_t candidate : state_->control_lengths[static_cast<uint8_t>(text[i])]) {
            if (candidate > text.size() - i)
                continue;
            const std::optional<int32_t> id = id_of(text.substr(i, candidate));
            if (id && is_control(*id)) {
                control = id;
                length = candidate;
                break;
            }
        }
        if (control) {
            state_->encode_data(text.substr(begin, i - begin), ids);
            ids.push_back(*control);
            begin = i + length;
        }
        i += length;
    }
    state_->encode_data(text.substr(begin), ids);
    return ids;
}

std::string Tokenizer::bytes(int32_t id) const {
    if (is_control(id))
        return {};
    const Piece& piece = state_->vocabulary.pieces[static_cast<size_t>(id)];
    if (piece.type == PieceType::byte)
        return std::string(1, static_cast<char>(*byte_of_piece(piece.text)));
    std::string text = piece.text;
    for (size_t at = text.find(kSpace); at != text.npos; at = text.find(kSpace, at + 1))
        text.replace(at, kSpace.size(), 1, ' ');
    return text;
}

bool Tokenizer::is_control(int32_t id) const {
    return id < 0 || id >= size() ||
           !is_reachable(state_->vocabulary.pieces[static_cast<size_t>(id)].type);
}

std::optional<int32_t> Tokenizer::id_of(std::string_view piece) const {
    const auto found = state_->ids.find(piece);
    return found == state_->ids.end() ? std::nullopt : std::optional(found->second);
}

std::string_view Tokenizer::piece(int32_t id) const {
    if (id < 0 || id >= size())
        return {};
    return state_->vocabulary.pieces[static_cast<size_t>(id)].text;
}

int32_t Tokenizer::size() const {
    return static_cast<int32_t>(state_->vocabulary.pieces.size());
}

const Tokenizer::Specials& Tokenizer::specials() const {
    return state_->specials;
}

}  // namespace olivine
