// Reads a Hugging Face tokenizer.json of the kind that Gemma checkpoints carry:
//
//     {"added_tokens": [{"id": 2, "content": "<bos>", "special": true}, …],
//      "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
//      "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true,
//                "vocab": {"<pad>": 0, …}, "merges": [["▁", "t"], "▁ a", …]}}
//
// The file has 33 MB, so it is read as a stream of events, keeping only what is needed.
#include <cinttypes>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "engine/error.h"
#include "model/file.h"
#include "model/sentencepiece_model.h"

namespace olivine {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxDepth = 64;
constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

struct AddedToken {
    std::string text;
    std::optional<uint64_t> id;
    bool special = false;
};

class TokenizerJsonReader : public nlohmann::json_sax<Json> {
public:
    explicit TokenizerJsonReader(const std::string& source) : source_(source) {}

    TokenizerVocabulary finish();

    bool null() override {
        no_value_for_list("null");
        return true;
    }
    bool boolean(bool value) override;
    bool number_integer(number_integer_t) override {
        no_value_for_list("a negative number");
        return true;
    }
    bool number_unsigned(number_unsigned_t value) override;
    bool number_float(number_float_t, const string_t&) override {
        no_value_for_list("a fraction");
        return true;
    }
    bool string(string_t& value) override;
    bool binary(binary_t&) override { return true; }
    bool start_object(size_t) override {
        open(true);
        return true;
    }
    bool start_array(size_t) override {
        open(false);
        return true;
    }
    bool end_object() override {
        close();
        return true;
    }
    bool end_array() override {
        close();
        return true;
    }
    bool key(string_t& value) override {
        key_ = std::move(value);
        return true;
    }
    bool parse_error(size_t position, const std::string&,
                     const nlohmann::detail::exception&) override {
        fail(Fault::bad_file, "%s: the JSON is not valid at byte %zu.", source_.c_str(), position);
    }

private:
    // The places of the file that mean something to us.
    enum class Place {
        outside,
        root,
        model,
        vocab,
        merges,
        merge,
        added_tokens,
        added_token,
        normalizer,
        normalizer_pattern,
        pre_tokenizer,
        pre_tokenizer_pattern,
        other
    };

    Place place() const { return stack_.empty() ? Place::outside : stack_.back(); }
    Place inner_place(bool object) const;
    void open(bool object);
    void close();
    void no_value_for_list(const char* what) const;
    [[noreturn]] void bad(const char* what) const {
        fail(Fault::bad_file, "%s: %s.", source_.c_str(), what);
    }
    std::vector<Piece> pieces_by_id();
    void add_tokens(std::vector<Piece>& pieces);
    void rank_pieces(std::vector<Piece>& pieces) const;

    std::string source_;
    std::vector<Place> stack_;
    std::string key_;
    std::vector<std::pair<std::string, uint64_t>> vocab_;
    std::vector<std::string> merged_;  // what each merge makes, best first
    std::string merge_;                // the parts of a merge in array form
    int merge_parts_ = 0;
    std::vector<AddedToken> added_;
    std::string model_type_, unknown_, normalizer_type_, normalizer_content_, normalizer_pattern_;
    std::string pre_tokenizer_type_, pre_tokenizer_pattern_, affix_;
    bool byte_fallback_ = false;
};

TokenizerJsonReader::Place TokenizerJsonReader::inner_place(bool object) const {
    switch (place()) {
    case Place::outside:
        if (object)
            return Place::root;
        bad("the JSON is not an object");
    case Place::root:
        if (key_ == "model" && object)
            return Place::model;
        if (key_ == "added_tokens" && !object)
            return Place::added_tokens;
        if (key_ == "normalizer" && object)
            return Place::normalizer;
        if (key_ == "pre_tokenizer" && object)
            return Place::pre_tokenizer;
        if (key_ == "model" || key_ == "added_tokens")
            bad("'model' is not an object or 'added_tokens' is not a list");
        return Place::other;
    case Place::model:
        if (key_ == "vocab" && object)
            return Place::vocab;
        if (key_ == "merges" && !object)
            return Place::merges;
        if (key_ == "vocab")
            fail(Fault::unsupported, "%s: the vocabulary is a list (supported: a BPE model's map).",
                 source_.c_str());
        if (key_ == "merges")
            bad("'merges' is not a list");
        return Place::other;
    case Place::merges:
        if (!object)
            return Place::merge;
        bad("a merge is an object");
    case Place::added_tokens:
        if (object)
            return Place::added_token;
        bad("an added token is not an object");
    case Place::normalizer:
        return key_ == "pattern" && object ? Place::normalizer_pattern : Place::other;
    case Place::pre_tokenizer:
        return key_ == "pattern" && object ? Place::pre_tokenizer_pattern : Place::other;
    case Place::vocab: bad("an id of the vocabulary is not a number");
    case Place::merge: bad("a merge holds more than two texts");
    default: return Place::other;
    }
}

void TokenizerJsonReader::open(bool object) {
    if (stack_.size() == kMaxDepth)
        fail(Fault::bad_file, "%s: the JSON is nested more than %zu levels deep.", source_.c_str(),
             kMaxDepth);
    const Place inner = inner_place(object);
    if (inner == Place::merge) {
        merge_.clear();
        merge_parts_ = 0;
    }
    if (inner == Place::added_token)
        added_.emplace_back();
    stack_.push_back(inner);
}

void TokenizerJsonReader::close() {
    const Place closed = place();
    stack_.pop_back();
    if (closed == Place::merge) {
        if (merge_parts_ != 2)
            bad("a merge does not hold two texts");
        merged_.push_back(std::move(merge_));
    }
    if (closed == Place::added_token && (!added_.back().id || added_.back().text.empty()))
        bad("an added token has no id or no content");
    key_.clear();
}

// Values of no use where ids, merges or tokens are listed.
void TokenizerJsonReader::no_value_for_list(const char* what) const {
    const Place p = place();
    if (p == Place::outside || p == Place::vocab || p == Place::merges || p == Place::merge ||
        p == Place::added_tokens)
        fail(Fault::bad_file, "%s: %s stands in the JSON where the %s have none.", source_.c_str(),
             what, p == Place::vocab ? "vocabulary's ids" : "lists of texts");
    if (p == Place::added_token && (key_ == "id" || key_ == "content"))
        bad("an added token has an id or content of the wrong type");
    if (p == Place::model && (key_ == "vocab" || key_ == "merges"))
        bad("'vocab' or 'merges' is a single value");
    if (p == Place::root && (key_ == "model" || key_ == "added_tokens"))
        bad("'model' or 'added_tokens' is a single value");
}

bool TokenizerJsonReader::boolean(bool value) {
    no_value_for_list("a truth value");
    if (place() == Place::added_token && key_ == "special")
        added_.back().special = value;
    if (place() == Place::model && key_ == "byte_fallback")
        byte_fallback_ = value;
    return true;
}

bool TokenizerJsonReader::number_unsigned(number_unsigned_t value) {
    if (place() == Place::vocab) {
        if (vocab_.size() == kMaxPieces)
            fail(Fault::bad_file, "%s: the vocabulary has more than %zu pieces.", source_.c_str(),
                 kMaxPieces);
        vocab_.emplace_back(std::move(key_), value);
        return true;
    }
    if (place() == Place::added_token && key_ == "id") {
        added_.back().id = value;
        return true;
    }
    no_value_for_list("a number");
    return true;
}

bool TokenizerJsonReader::string(string_t& value) {
    switch (place()) {
    case Place::outside:
    case Place::root:
    case Place::vocab:
    case Place::added_tokens: no_value_for_list("a text"); break;
    case Place::model:
        no_value_for_list("a text");
        if (key_ == "type")
            model_type_ = value;
        if (key_ == "unk_token")
            unknown_ = value;
        if (key_ == "continuing_subword_prefix" || key_ == "end_of_word_suffix")
            affix_ = value;
        break;
    case Place::merges: {  // "left right"; neither part holds a space, since they write U+2581
        const size_t space = value.find(' ');
        if (space == std::string::npos || value.find(' ', space + 1) != std::string::npos)
            bad("a merge does not hold two texts");
        merged_.push_back(value.erase(space, 1));
        break;
    }
    case Place::merge:
        merge_ += value;
        if (++merge_parts_ > 2)
            bad("a merge holds more than two texts");
        break;
    case Place::added_token:
        if (key_ == "content")
            added_.back().text = value;
        else if (key_ == "id")
            no_value_for_list("a text");
        break;
    case Place::normalizer:
        if (key_ == "type")
            normalizer_type_ = value;
        if (key_ == "content")
            normalizer_content_ = value;
        break;
    case Place::normalizer_pattern: normalizer_pattern_ = value; break;
    case Place::pre_tokenizer:
        if (key_ == "type")
            pre_tokenizer_type_ = value;
        break;
    case Place::pre_tokenizer_pattern: pre_tokenizer_pattern_ = value; break;
    default: break;
    }
    return true;
}

// The vocabulary in the order of its ids, which must be dense.
std::vector<Piece> TokenizerJsonReader::pieces_by_id() {
    uint64_t count = vocab_.size();
    for (const AddedToken& token : added_)
        if (*token.id == count)  // added behind the vocabulary, in order
            ++count;
    if (count > kMaxPieces)
        fail(Fault::bad_file, "%s: the vocabulary has more than %zu pieces.", source_.c_str(),
             kMaxPieces);
    std::vector<Piece> pieces(count);
    for (auto& [text, id] : vocab_) {
        if (id >= vocab_.size())
            fail(Fault::bad_file, "%s: piece '%s' has id %" PRIu64 " (the vocabulary has %zu).",
                 source_.c_str(), printable(text).c_str(), id, vocab_.size());
        if (!pieces[id].text.empty() || text.empty())
            fail(Fault::bad_file, "%s: id %" PRIu64 " is given to two pieces, or to an empty one.",
                 source_.c_str(), id);
        pieces[id].text = std::move(text);
        if (byte_fallback_ && byte_of_piece(pieces[id].text))
            pieces[id].type = PieceType::byte;
    }
    return pieces;
}

void TokenizerJsonReader::add_tokens(std::vector<Piece>& pieces) {
    for (AddedToken& token : added_) {
        if (*token.id >= pieces.size())
            fail(Fault::bad_file, "%s: added token '%s' has id %" PRIu64 " (there are %zu pieces).",
                 source_.c_str(), printable(token.text).c_str(), *token.id, pieces.size());
        Piece& piece = pieces[*token.id];
        if (!piece.text.empty() && piece.text != token.text)
            fail(Fault::bad_file,
                 "%s: id %" PRIu64
                 " is '%s' in the vocabulary and '%s' among the "
                 "added tokens.",
                 source_.c_str(), *token.id, printable(piece.text).c_str(),
                 printable(token.text).c_str());
        piece.text = std::move(token.text);
        piece.type = token.special ? PieceType::control : PieceType::user_defined;
    }
}

// sentencepiece merges the pair whose piece has the highest score; the merges are listed best
// first. So a piece's score is minus its place among the pieces that merges make, and pieces that
// none makes (single characters) come behind them all.
void TokenizerJsonReader::rank_pieces(std::vector<Piece>& pieces) const {
    std::unordered_map<std::string_view, Piece*> by_text;
    by_text.reserve(pieces.size());
    for (Piece& piece : pieces) {
        by_text.emplace(piece.text, &piece);
        piece.score = 1;  // no rank yet
    }
    int32_t rank = 0;
    for (const std::string& text : merged_) {
        const auto found = by_text.find(text);
        if (found == by_text.end())
            fail(Fault::bad_file, "%s: a merge makes '%s', which the vocabulary does not have.",
                 source_.c_str(), printable(text).c_str());
        if (found->second->score > 0)
            found->second->score = static_cast<float>(-rank++);
    }
    for (Piece& piece : pieces)
        if (piece.score > 0)
            piece.score = piece.type == PieceType::byte ? 0.0f : static_cast<float>(-rank++);
}

TokenizerVocabulary TokenizerJsonReader::finish() {
    const char* source = source_.c_str();
    if (model_type_ != "BPE")
        fail(Fault::unsupported, "%s: the tokenizer model has type '%s' (supported: BPE).", source,
             printable(model_type_).c_str());
    if (normalizer_type_ != "Replace" || normalizer_pattern_ != " " ||
        normalizer_content_ != kSpace)
        fail(Fault::unsupported,
             "%s: the normalizer has type '%s' (supported: Replace, from a space to U+2581).",
             source, printable(normalizer_type_).c_str());
    // Splitting at spaces, which the normalizer has just replaced, splits nothing.
    if (!pre_tokenizer_type_.empty() &&
        !(pre_tokenizer_type_ == "Split" && pre_tokenizer_pattern_ == " "))
        fail(Fault::unsupported,
             "%s: the pre-tokenizer has type '%s' (supported: none, or Split at a space).", source,
             printable(pre_tokenizer_type_).c_str());
    if (!affix_.empty())
        fail(Fault::unsupported, "%s: the tokenizer model adds '%s' to pieces (supported: none).",
             source, printable(affix_).c_str());

    TokenizerVocabulary vocabulary;
    vocabulary.source = source_;
    vocabulary.pieces = pieces_by_id();
    add_tokens(vocabulary.pieces);
    rank_pieces(vocabulary.pieces);
    for (Piece& piece : vocabulary.pieces)
        if (piece.text == unknown_)
            piece.type = PieceType::unknown;
    return vocabulary;
}

}  // namespace

TokenizerVocabulary read_tokenizer_json(std::string_view json, const std::string& source) {
    TokenizerJsonReader reader(source);
    Json::sax_parse(json, &reader);
    return reader.finish();
}

}  // namespace olivine
