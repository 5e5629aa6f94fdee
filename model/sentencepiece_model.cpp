#include "model/sentencepiece_model.h"

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <cmath>
#include <unordered_set>

#include "engine/error.h"
#include "model/file.h"
#include "model/utf8.h"

namespace olivine {
namespace {

// Field numbers of sentencepiece_model.proto.
namespace field {
constexpr uint32_t kPieces = 1, kTrainer = 2, kNormalizer = 3;                // ModelProto
constexpr uint32_t kText = 1, kScore = 2, kType = 3;                          // SentencePiece
constexpr uint32_t kModelType = 3, kBlanksAsSuffix = 24, kByteFallback = 35;  // TrainerSpec
constexpr uint32_t kUnkId = 40, kBosId = 41, kEosId = 42, kPadId = 43;
constexpr uint32_t kUnkPiece = 45, kBosPiece = 46, kEosPiece = 47, kPadPiece = 48;
constexpr uint32_t kName = 1, kCharsMap = 2, kDummyPrefix = 3;  // NormalizerSpec
constexpr uint32_t kRemoveBlanks = 4, kEscapeBlanks = 5;
}  // namespace field

constexpr uint64_t kModelTypeUnigram = 1, kModelTypeBpe = 2;

enum Wire : uint32_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

// One field after the other out of a message. Every length is compared with what is there.
class WireReader {
public:
    struct Field {
        uint32_t number;
        Wire wire;
        uint64_t value;          // kVarint, kFixed32, kFixed64
        std::string_view bytes;  // kLength
    };

    WireReader(std::string_view message, const char* begin, const std::string& source)
        : rest_(message), begin_(begin), source_(source) {}

    bool next(Field& out) {
        if (rest_.empty())
            return false;
        const uint64_t tag = varint();
        out = {static_cast<uint32_t>(tag >> 3), static_cast<Wire>(tag & 7), 0, {}};
        if (tag >> 3 == 0 || tag >> 32 != 0)
            damaged("a field has a number that protobuf does not allow");
        switch (out.wire) {
        case kVarint: out.value = varint(); break;
        case kFixed64: out.value = fixed(8); break;
        case kFixed32: out.value = fixed(4); break;
        case kLength: {
            const uint64_t length = varint();
            out.bytes = take(length);
            break;
        }
        default: damaged("a field has an unknown wire type");
        }
        return true;
    }

    [[noreturn]] void damaged(const char* what) const {
        fail(Fault::bad_file, "%s: the sentencepiece model is damaged at byte %zu: %s.",
             source_.c_str(), static_cast<size_t>(rest_.data() - begin_), what);
    }

private:
    uint64_t varint() {
        uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            if (rest_.empty())
                damaged("a number is cut off");
            const uint8_t byte = static_cast<uint8_t>(rest_[0]);
            rest_.remove_prefix(1);
            value |= static_cast<uint64_t>(byte & 0x7F) << shift;
            if (byte < 0x80)
                return value;
        }
        damaged("a number takes more than 10 bytes");
    }

    uint64_t fixed(size_t count) {
        const std::string_view bytes = take(count);
        uint64_t value = 0;
        for (size_t i = count; i-- > 0;)
            value = value << 8 | static_cast<uint8_t>(bytes[i]);
        return value;
    }

    std::string_view take(uint64_t length) {
        if (length > rest_.size())
            damaged("a field is longer than what is left of the file");
        const std::string_view bytes = rest_.substr(0, static_cast<size_t>(length));
        rest_.remove_prefix(bytes.size());
        return bytes;
    }

    std::string_view rest_;
    const char* begin_;
    const std::string& source_;
};

// A field's payload, checked for the wire type that the schema asks for.
uint64_t number(const WireReader& reader, const WireReader::Field& f, Wire wire = kVarint) {
    if (f.wire != wire)
        reader.damaged("a number has the wrong wire type");
    return f.value;
}

std::string_view bytes_of(const WireReader& reader, const WireReader::Field& f) {
    if (f.wire != kLength)
        reader.damaged("a text or message has the wrong wire type");
    return f.bytes;
}

// Protobuf writes a negative int32 as a 64-bit number.
int32_t id_of_field(const WireReader& reader, const WireReader::Field& f) {
    const int64_t value = static_cast<int64_t>(number(reader, f));
    if (value < -1 || value >= static_cast<int64_t>(kMaxPieces))
        reader.damaged("the id of a special piece is out of range");
    return static_cast<int32_t>(value);
}

Piece read_piece(WireReader reader) {
    Piece piece;
    WireReader::Field f;
    while (reader.next(f)) {
        if (f.number == field::kText) {
            piece.text = bytes_of(reader, f);
        } else if (f.number == field::kScore) {
            piece.score = std::bit_cast<float>(static_cast<uint32_t>(number(reader, f, kFixed32)));
        } else if (f.number == field::kType) {
            const uint64_t type = number(reader, f);
            if (type < 1 || type > 6)
                reader.damaged("a piece has a type outside 1 to 6");
            piece.type = static_cast<PieceType>(type);
        }
    }
    return piece;
}

void read_trainer(WireReader reader, TokenizerVocabulary& vocabulary) {
    uint64_t model_type = kModelTypeUnigram;
    WireReader::Field f;
    while (reader.next(f)) {
        switch (f.number) {
        case field::kModelType: model_type = number(reader, f); break;
        case field::kBosId: vocabulary.bos = id_of_field(reader, f); break;
        case field::kEosId: vocabulary.eos = id_of_field(reader, f); break;
        case field::kPadId: vocabulary.pad = id_of_field(reader, f); break;
        case field::kBlanksAsSuffix:
            if (number(reader, f) != 0)
                fail(Fault::unsupported,
                     "%s: the sentencepiece model treats blanks as suffixes (Gemma's does not).",
                     vocabulary.source.c_str());
            break;
        default: break;
        }
    }
    if (model_type != kModelTypeBpe)
        fail(Fault::unsupported,
             "%s: the sentencepiece model has type %" PRIu64 " (supported: 2, BPE).",
             vocabulary.source.c_str(), model_type);
}

// A character map would have to be trusted: sentencepiece walks its trie without bounds. Gemma has
// none.
void read_normalizer(WireReader reader, const std::string& source) {
    bool dummy_prefix = true, remove_blanks = true, escape_blanks = true, chars_map = false;
    WireReader::Field f;
    while (reader.next(f)) {
        switch (f.number) {
        case field::kCharsMap: chars_map = !bytes_of(reader, f).empty(); break;
        case field::kDummyPrefix: dummy_prefix = number(reader, f) != 0; break;
        case field::kRemoveBlanks: remove_blanks = number(reader, f) != 0; break;
        case field::kEscapeBlanks: escape_blanks = number(reader, f) != 0; break;
        default: break;
        }
    }
    if (chars_map || dummy_prefix || remove_blanks || !escape_blanks)
        fail(Fault::unsupported,
             "%s: the sentencepiece model changes the text before matching (character map %d, "
             "added prefix %d, removed blanks %d, escaped blanks %d; supported: 0, 0, 0, 1).",
             source.c_str(), chars_map, dummy_prefix, remove_blanks, escape_blanks);
}

class WireWriter {
public:
    void put_number(uint32_t number, uint64_t value) {
        varint(number << 3 | kVarint);
        varint(value);
    }
    void put_float(uint32_t number, float value) {
        varint(number << 3 | kFixed32);
        const uint32_t bits = std::bit_cast<uint32_t>(value);
        for (int shift = 0; shift < 32; shift += 8)
            out_ += static_cast<char>(bits >> shift & 0xFF);
    }
    void put_bytes(uint32_t number, std::string_view bytes) {
        varint(number << 3 | kLength);
        varint(bytes.size());
        out_ += bytes;
    }
    void put_id(uint32_t number, int32_t id) {
        put_number(number, static_cast<uint64_t>(static_cast<int64_t>(id)));
    }
    void clear() { out_.clear(); }
    std::string& text() { return out_; }

private:
    void varint(uint64_t value) {
        for (; value >= 0x80; value >>= 7)
            out_ += static_cast<char>(value | 0x80);
        out_ += static_cast<char>(value);
    }
    std::string out_;
};

bool is_unreachable(PieceType type) {
    return type == PieceType::control || type == PieceType::unused || type == PieceType::unknown;
}

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

// The number of blanks (U+2581, newline, tab) if text has nothing else, otherwise 0.
size_t blank_run(std::string_view text) {
    size_t count = 0;
    while (!text.empty()) {
        if (text.starts_with(kSpace))
            text.remove_prefix(kSpace.size());
        else if (text[0] == '\n' || text[0] == '\t')
            text.remove_prefix(1);
        else
            return 0;
        ++count;
    }
    return count;
}

// The tags among the published pieces (ids 168 to 237 of Gemma 3).
bool is_html_tag(std::string_view text) {
    static const std::unordered_set<std::string_view> kNames = {
        "table", "caption", "thead", "tbody", "tfoot", "tr",         "th",     "td",    "h1",
        "h2",    "h3",      "h4",    "h5",    "h6",    "blockquote", "strong", "em",    "b",
        "i",     "u",       "s",     "sub",   "sup",   "code",       "a",      "html",  "body",
        "img",   "span",    "bbox",  "ul",    "li",    "div",        "iframe", "footer"};
    if (!text.starts_with('<') || !text.ends_with('>'))
        return false;
    text = text.substr(1, text.size() - 2);
    if (text.starts_with('/'))
        text.remove_prefix(1);
    return kNames.contains(text);
}

// Gemma's markers, for files that type them as ordinary pieces.
bool is_marker_name(std::string_view text) {
    static const std::unordered_set<std::string_view> kNames = {
        "<pad>",          "<eos>",
        "<bos>",          "<unk>",
        "<mask>",         "[multimodal]",
        "[@BOS@]",        "<start_of_turn>",
        "<end_of_turn>",  "<start_of_image>",
        "<end_of_image>", "<image_soft_token>"};
    constexpr std::string_view kUnused = "<unused";
    if (text.starts_with(kUnused) && text.ends_with('>')) {
        const std::string_view digits =
            text.substr(kUnused.size(), text.size() - kUnused.size() - 1);
        return !digits.empty() && digits.find_first_not_of("0123456789") == digits.npos;
    }
    return kNames.contains(text);
}

}  // namespace

std::optional<uint8_t> byte_of_piece(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>')
        return {};
    const size_t high = kDigits.find(text[3]), low = kDigits.find(text[4]);
    if (high == kDigits.npos || low == kDigits.npos)
        return {};
    return static_cast<uint8_t>(high * 16 + low);
}

void check_vocabulary(const TokenizerVocabulary& vocabulary) {
    const char* source = vocabulary.source.c_str();
    const size_t count = vocabulary.pieces.size();
    if (count == 0 || count > kMaxPieces)
        fail(Fault::bad_file, "%s: the vocabulary has %zu pieces (1 to %zu are allowed).", source,
             count, kMaxPieces);
    std::unordered_set<std::string_view> names;
    names.reserve(count);
    size_t unknown = 0, bytes = 0;
    for (size_t id = 0; id < count; ++id) {
        const Piece& piece = vocabulary.pieces[id];
        if (piece.text.empty() || piece.text.size() > kMaxPieceBytes)
            fail(Fault::bad_file, "%s: piece %zu has %zu bytes (1 to %zu are allowed).", source, id,
                 piece.text.size(), kMaxPieceBytes);
        if (piece.text.find('\0') != std::string::npos)
            fail(Fault::bad_file, "%s: piece %zu contains a NUL byte.", source, id);
        if (!std::isfinite(piece.score))
            fail(Fault::bad_file, "%s: the score of piece %zu ('%s') is not finite.", source, id,
                 printable(piece.text).c_str());
        if (!names.insert(piece.text).second)
            fail(Fault::bad_file, "%s: piece %zu ('%s') is in the vocabulary twice.", source, id,
                 printable(piece.text).c_str());
        if (piece.type == PieceType::byte && !byte_of_piece(piece.text))
            fail(Fault::bad_file, "%s: piece %zu ('%s') is typed as a byte but is not named so.",
                 source, id, printable(piece.text).c_str());
        if (piece.type == PieceType::user_defined && blank_run(piece.text) > kMaxBlankRun)
            fail(Fault::bad_file, "%s: piece %zu is a run of %zu blanks (at most %zu).", source, id,
                 blank_run(piece.text), kMaxBlankRun);
        unknown += piece.type == PieceType::unknown;
        bytes += piece.type == PieceType::byte;
    }
    if (unknown != 1)
        fail(Fault::bad_file, "%s: %zu pieces are typed as unknown (exactly 1 is needed).", source,
             unknown);
    if (bytes != 0 && bytes != 256)
        fail(Fault::bad_file, "%s: the vocabulary has %zu byte pieces (0 or 256 are allowed).",
             source, bytes);
    for (const int32_t id : {vocabulary.bos, vocabulary.eos, vocabulary.pad})
        if (id < -1 || id >= static_cast<int64_t>(count))
            fail(Fault::bad_file,
                 "%s: the id of a special piece is %" PRId32 " (the vocabulary has %zu pieces).",
                 source, id, count);
}

void restrict_to_text(TokenizerVocabulary& vocabulary) {
    for (Piece& piece : vocabulary.pieces) {
        if (piece.text.find(' ') != std::string::npos) {
            std::string escaped;
            for (const char c : piece.text) {
                if (c == ' ')
                    escaped += kSpace;
                else
                    escaped += c;
            }
            piece.text = std::move(escaped);
        }
        const bool hidden = piece.type == PieceType::user_defined
                                ? blank_run(piece.text) == 0 && !is_html_tag(piece.text)
                                : piece.type == PieceType::normal && is_marker_name(piece.text);
        if (hidden)
            piece.type = PieceType::control;
    }
    for (const int32_t id : {vocabulary.bos, vocabulary.eos, vocabulary.pad})
        if (id >= 0 && static_cast<size_t>(id) < vocabulary.pieces.size() &&
            !is_unreachable(vocabulary.pieces[id].type))
            vocabulary.pieces[id].type = PieceType::control;
}

TokenizerVocabulary read_sentencepiece_model(std::string_view proto, const std::string& source) {
    TokenizerVocabulary vocabulary;
    vocabulary.source = source;
    WireReader reader(proto, proto.data(), source);
    WireReader::Field f;
    bool trainer = false, normalizer = false;
    while (reader.next(f)) {
        if (f.number == field::kPieces) {
            if (vocabulary.pieces.size() == kMaxPieces)
                fail(Fault::bad_file, "%s: the vocabulary has more than %zu pieces.",
                     source.c_str(), kMaxPieces);
            vocabulary.pieces.push_back(
                read_piece(WireReader(bytes_of(reader, f), proto.data(), source)));
        } else if (f.number == field::kTrainer) {
            read_trainer(WireReader(bytes_of(reader, f), proto.data(), source), vocabulary);
            trainer = true;
        } else if (f.number == field::kNormalizer) {
            read_normalizer(WireReader(bytes_of(reader, f), proto.data(), source), source);
            normalizer = true;
        }
    }
    if (!trainer || !normalizer)
        fail(Fault::bad_file, "%s: the sentencepiece model has no %s.", source.c_str(),
             trainer ? "normalizer_spec" : "trainer_spec");
    return vocabulary;
}

std::string write_sentencepiece_model(const TokenizerVocabulary& vocabulary,
                                      bool hide_unreachable) {
    WireWriter model, part;
    size_t bytes = 0;
    std::vector<std::string> names(3);  // of bos, eos, pad
    std::string unknown_name;
    int32_t unknown = 0;
    for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
        const Piece& piece = vocabulary.pieces[id];
        const bool hide = hide_unreachable && is_unreachable(piece.type);
        const std::string name = hide ? "\xFF" + std::to_string(id) : piece.text;
        const PieceType type =
            hide && piece.type == PieceType::unused ? PieceType::control : piece.type;
        part.clear();
        part.put_bytes(field::kText, name);
        part.put_float(field::kScore, piece.score);
        if (type != PieceType::normal)
            part.put_number(field::kType, static_cast<uint64_t>(type));
        model.put_bytes(field::kPieces, part.text());

        const auto i = static_cast<int32_t>(id);
        if (type == PieceType::unknown) {
            unknown = i;
            unknown_name = name;
        }
        bytes += type == PieceType::byte;
        if (i == vocabulary.bos)
            names[0] = name;
        if (i == vocabulary.eos)
            names[1] = name;
        if (i == vocabulary.pad)
            names[2] = name;
    }

    part.clear();
    part.put_number(field::kModelType, kModelTypeBpe);
    part.put_number(field::kByteFallback, bytes == 256);
    part.put_id(field::kUnkId, unknown);
    part.put_id(field::kBosId, vocabulary.bos);
    part.put_id(field::kEosId, vocabulary.eos);
    part.put_id(field::kPadId, vocabulary.pad);
    part.put_bytes(field::kUnkPiece, unknown_name);
    constexpr uint32_t kNameFields[] = {field::kBosPiece, field::kEosPiece, field::kPadPiece};
    for (size_t i = 0; i < names.size(); ++i)
        if (!names[i].empty())
            part.put_bytes(kNameFields[i], names[i]);
    model.put_bytes(field::kTrainer, part.text());

    part.clear();
    part.put_bytes(field::kName, "identity");
    part.put_number(field::kDummyPrefix, false);
    part.put_number(field::kRemoveBlanks, false);
    part.put_number(field::kEscapeBlanks, true);
    model.put_bytes(field::kNormalizer, part.text());
    return std::move(model.text());
}

}  // namespace olivine
