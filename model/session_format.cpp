#include "model/session_format.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cinttypes>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "engine/error.h"

namespace olivine {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little);

struct Prefix {
    static constexpr uint32_t kVersion = 1;
    std::array<char, 8> magic{'O', 'L', 'V', 'S', 'E', 'S', 'S', 'N'};
    uint32_t version = kVersion;
    uint32_t checksum = 0;  // of the two that follow, the header and the data
    uint64_t header_bytes = 0;
    uint64_t data_bytes = 0;

    std::span<const std::byte> sizes() const {
        return std::as_bytes(std::span(this, 1)).subspan(offsetof(Prefix, header_bytes));
    }
};
static_assert(sizeof(Prefix) == 32);

constexpr uint64_t kMostHeaderBytes = 64u << 20;
constexpr int kMaxJsonDepth = 8;

uint32_t extend(uint32_t checksum, std::span<const std::byte> bytes) {
    return static_cast<uint32_t>(
        crc32_z(checksum, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// ---- texts -----------------------------------------------------------------------------------------

std::string json_text(const std::string& bytes) {
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80) {
            text += c;
        } else {
            text += static_cast<char>(0xC0 | byte >> 6);
            text += static_cast<char>(0x80 | (byte & 0x3F));
        }
    }
    return text;
}

// A field is missing or no such thing.
struct Odd {
    const char* field;
};

const Json& at(const Json& object, const char* field) {
    if (!object.is_object() || !object.contains(field))
        throw Odd{field};
    return object[field];
}

const Json& list(const Json& object, const char* field) {
    const Json& value = at(object, field);
    if (!value.is_array())
        throw Odd{field};
    return value;
}

std::string bytes(const Json& object, const char* field) {
    const Json& value = at(object, field);
    if (!value.is_string())
        throw Odd{field};
    std::string result;
    const auto& text = value.get_ref<const std::string&>();  // valid UTF-8, as the parser has checked
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte >= 0xC4)  // beyond U+00FF
            throw Odd{field};
        result += byte < 0x80 ? text[i] : static_cast<char>(byte << 6 | (text[++i] & 0x3F));
    }
    return result;
}

// ---- numbers ---------------------------------------------------------------------------------------

uint64_t whole(const Json& value, const char* field, uint64_t most = std::numeric_limits<uint64_t>::max()) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > most)
        throw Odd{field};
    return value.get<uint64_t>();
}

int32_t id(const Json& value, const char* field) {
    constexpr int64_t kLeast = std::numeric_limits<int32_t>::min(),
                      kMost = std::numeric_limits<int32_t>::max();
    if (!value.is_number_integer() ||
        (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{kMost}) ||
        value.get<int64_t>() < kLeast)
        throw Odd{field};
    return static_cast<int32_t>(value.get<int64_t>());
}

std::vector<int32_t> ids(const Json& object, const char* field) {
    std::vector<int32_t> result;
    for (const Json& value : list(object, field))
        result.push_back(id(value, field));
    return result;
}

// ---- the header ------------------------------------------------------------------------------------

Json json_of(const SessionHeader& header) {
    Json turns = Json::array();
    for (const SessionHeader::Turn& turn : header.turns) {
        Json attached = Json::array();
        for (const SessionHeader::Attached& picture : turn.pictures)
            attached.push_back({{"name", json_text(picture.name)}, {"ids", picture.ids}});
        turns.push_back({{"user", json_text(turn.user)},
                         {"pictures", attached},
                         {"answer", json_text(turn.answer)},
                         {"answer_ids", turn.answer_ids}});
    }
    return {{"model", json_text(header.model)},
            {"fingerprint", json_text(header.fingerprint)},
            {"system", json_text(header.system)},
            {"seed", header.seed},
            {"turns", turns},
            {"first_turn", header.first_turn},
            {"pictures", header.pictures},
            {"ids", header.ids},
            {"held", header.held},
            {"kv", header.kv}};
}

SessionHeader header_of(const Json& json) {
    SessionHeader header;
    header.model = bytes(json, "model");
    header.fingerprint = bytes(json, "fingerprint");
    header.system = bytes(json, "system");
    header.seed = whole(at(json, "seed"), "seed");
    header.kv = bytes(json, "kv");
    header.ids = ids(json, "ids");
    header.held = ids(json, "held");
    header.pictures = ids(json, "pictures");
    const std::set<int32_t> known(header.pictures.begin(), header.pictures.end());
    if (known.size() != header.pictures.size() || (!known.empty() && *known.rbegin() >= 0))
        throw Odd{"pictures"};
    // Negative ids are those of pictures.
    const auto check = [&](const std::vector<int32_t>& all, const char* field) {
        for (const int32_t one : all)
            if (one < 0 && !known.contains(one))
                throw Odd{field};
    };
    for (const Json& each : list(json, "turns")) {
        SessionHeader::Turn& turn = header.turns.emplace_back();
        turn.user = bytes(each, "user");
        turn.answer = bytes(each, "answer");
        turn.answer_ids = ids(each, "answer_ids");
        if (std::ranges::any_of(turn.answer_ids, [](int32_t one) { return one < 0; }))
            throw Odd{"answer_ids"};
        for (const Json& attached : list(each, "pictures")) {
            turn.pictures.push_back({bytes(attached, "name"), ids(attached, "ids")});
            check(turn.pictures.back().ids, "ids");
            if (std::ranges::any_of(turn.pictures.back().ids, [](int32_t one) { return one >= 0; }))
                throw Odd{"ids"};
        }
    }
    check(header.ids, "ids");
    check(header.held, "held");
    const uint64_t last = header.turns.empty() ? 0 : header.turns.size() - 1;
    header.first_turn = static_cast<uint32_t>(whole(at(json, "first_turn"), "first_turn", last));
    return header;
}

SessionHeader parse(const std::string& text, const std::string& shown) {
    const auto shallow = [&](int depth, Json::parse_event_t, Json&) {
        if (depth > kMaxJsonDepth)
            throw Odd{"its nesting"};
        return true;
    };
    try {
        return header_of(Json::parse(text, shallow));
    } catch (const Odd& odd) {
        fail(Fault::bad_file, "%s: the session's header has no valid '%s'.", shown.c_str(), odd.field);
    } catch (const Json::exception&) {  // the library's way to say it; ours is Error
        fail(Fault::bad_file, "%s: the session's header is not valid JSON.", shown.c_str());
    }
}

}  // namespace

SessionReader::SessionReader(File file) : file_(std::move(file)) {
    const std::string shown = printable_path(file_.path());
    Prefix prefix;
    if (file_.size() < sizeof prefix)
        fail(Fault::bad_file, "%s: this is not a saved session: it has %" PRIu64 " bytes.", shown.c_str(),
             file_.size());
    file_.read(0, std::as_writable_bytes(std::span(&prefix, 1)));
    if (prefix.magic != Prefix{}.magic)
        fail(Fault::bad_file, "%s: this is not a saved session.", shown.c_str());
    if (prefix.version != Prefix::kVersion)
        fail(Fault::bad_file, "%s: the session has version %u (supported: %u).", shown.c_str(),
             prefix.version, Prefix::kVersion);
    const uint64_t rest = file_.size() - sizeof prefix;
    if (prefix.header_bytes > std::min(rest, kMostHeaderBytes) ||
        prefix.data_bytes != rest - prefix.header_bytes)
        fail(Fault::bad_file,
             "%s: the session has %" PRIu64 " bytes behind the first %zu (they say %" PRIu64
             " and %" PRIu64 ").",
             shown.c_str(), rest, sizeof prefix, prefix.header_bytes, prefix.data_bytes);
    uint32_t checksum = extend(0, prefix.sizes());
    std::string text(prefix.header_bytes, '\0');
    file_.read(sizeof prefix, std::as_writable_bytes(std::span(text)));
    checksum = extend(checksum, std::as_bytes(std::span(text)));
    data_bytes_ = prefix.data_bytes;
    at_ = sizeof prefix + prefix.header_bytes;
    std::vector<std::byte> part(std::min<uint64_t>(data_bytes_, 1u << 20));
    for (uint64_t done = 0; done < data_bytes_; done += part.size()) {
        part.resize(std::min<uint64_t>(part.size(), data_bytes_ - done));
        file_.read(at_ + done, part);
        checksum = extend(checksum, part);
    }
    if (checksum != prefix.checksum)
        fail(Fault::bad_file, "%s: the session is damaged (its checksum is %08x, that of its bytes %08x).",
             shown.c_str(), prefix.checksum, checksum);
    header_ = parse(text, shown);
}

void SessionReader::read(std::span<std::byte> out) {
    file_.read(at_, out);
    at_ += out.size();
}

SessionWriter::SessionWriter(ByteSink& to, const SessionHeader& header, uint64_t data_bytes)
    : to_(to), data_bytes_(data_bytes) {
    const std::string text = json_of(header).dump();
    header_bytes_ = text.size();
    const Prefix prefix{.header_bytes = header_bytes_, .data_bytes = data_bytes_};
    to_.write(std::as_bytes(std::span(&prefix, 1)));
    checksum_ = extend(0, prefix.sizes());
    write(std::as_bytes(std::span(text)));
}

void SessionWriter::write(std::span<const std::byte> data) {
    checksum_ = extend(checksum_, data);
    to_.write(data);
}

void SessionWriter::finish() {
    const Prefix prefix{.checksum = checksum_, .header_bytes = header_bytes_, .data_bytes = data_bytes_};
    to_.write_at(0, std::as_bytes(std::span(&prefix, 1)));
}

}  // namespace olivine
