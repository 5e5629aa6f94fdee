#include "model/session_file.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cinttypes>
#include <cstddef>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "engine/error.h"
#include "model/context.h"
#include "model/file.h"
#include "model/model.h"

namespace olivine {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little);

struct Prefix {
    std::array<char, 8> magic{'O', 'L', 'V', 'S', 'E', 'S', 'S', 'N'};
    uint32_t version = kVersion;
    uint32_t checksum = 0;  // of the two that follow, the header and the data
    uint64_t header_bytes = 0;
    uint64_t data_bytes = 0;

    static constexpr uint32_t kVersion = 1;
    std::span<const std::byte> sizes() const {
        return std::as_bytes(std::span(this, 1)).subspan(offsetof(Prefix, header_bytes));
    }
};
static_assert(sizeof(Prefix) == 32);

constexpr uint64_t kMostHeaderBytes = 256u << 20;

uint32_t extend(uint32_t checksum, std::span<const std::byte> bytes) {
    return static_cast<uint32_t>(
        crc32_z(checksum, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// Texts may be any bytes, which CBOR's byte strings are made for.
Json bytes_of(const std::string& text) {
    return Json::binary(std::vector<uint8_t>(text.begin(), text.end()));
}

std::string text_of(const Json& bytes) {
    const Json::binary_t& all = bytes.get_binary();
    return {all.begin(), all.end()};
}

// Every picture once, in the order of its first turn.
std::vector<PictureRef> pictures_of(const std::vector<Turn>& turns) {
    std::vector<PictureRef> all;
    for (const Turn& turn : turns)
        for (const AttachedPicture& picture : turn.pictures)
            for (const PictureRef& each : picture.encoded)
                if (std::find(all.begin(), all.end(), each) == all.end())
                    all.push_back(each);
    return all;
}

Json header_of(const SavedChat& chat, const Model& model, const Context& context, uint32_t sequence) {
    Json turns = Json::array(), pictures = Json::array();
    for (const Turn& turn : chat.turns) {
        Json attached = Json::array();
        for (const AttachedPicture& picture : turn.pictures) {
            Json ids = Json::array();
            for (const PictureRef& each : picture.encoded)
                ids.push_back(each->id);
            attached.push_back({{"name", bytes_of(picture.name)}, {"ids", ids}});
        }
        turns.push_back({{"user", bytes_of(turn.user)},
                         {"pictures", attached},
                         {"answer", bytes_of(turn.answer)},
                         {"answer_ids", turn.answer_ids}});
    }
    for (const PictureRef& picture : pictures_of(chat.turns))
        pictures.push_back({{"id", picture->id},
                            {"hash", picture->hash},
                            {"floats", picture->soft_tokens.size()}});
    return {{"model", bytes_of(model.name())},
            {"fingerprint", model.fingerprint()},
            {"system", bytes_of(chat.system)},
            {"seed", chat.seed},
            {"turns", turns},
            {"first_turn", chat.first_turn},
            {"pictures", pictures},
            {"ids", chat.ids},
            {"held", context.tokens(sequence)},
            {"kv", name(context.kv_type())}};
}

class Reader {
public:
    explicit Reader(const std::string& path) : file_(File::open(path)) {
        if (file_.size() < sizeof prefix_)
            refuse("it has no header");
        file_.read(0, std::as_writable_bytes(std::span(&prefix_, 1)));
        if (prefix_.magic != Prefix{}.magic)
            refuse("it does not begin like one");
        if (prefix_.version != Prefix::kVersion)
            fail(Fault::bad_file, "%s: the session has version %u (supported: %u).", shown().c_str(),
                 prefix_.version, Prefix::kVersion);
        const uint64_t rest = file_.size() - sizeof prefix_;
        if (prefix_.header_bytes > std::min(rest, kMostHeaderBytes) ||
            prefix_.data_bytes != rest - prefix_.header_bytes)
            fail(Fault::bad_file,
                 "%s: the session has %" PRIu64 " bytes (its header says %" PRIu64 " and %" PRIu64
                 " behind the first %zu).",
                 shown().c_str(), file_.size(), prefix_.header_bytes, prefix_.data_bytes,
                 sizeof prefix_);
        check_sum();
        std::vector<uint8_t> bytes(prefix_.header_bytes);
        file_.read(sizeof prefix_, std::as_writable_bytes(std::span(bytes)));
        header_ = Json::from_cbor(bytes, true, false);
        at_ = sizeof prefix_ + prefix_.header_bytes;
    }

    const Json& header() const { return header_; }
    uint64_t data_bytes() const { return prefix_.data_bytes; }
    void data(std::span<std::byte> out) {
        file_.read(at_, out);
        at_ += out.size();
    }
    std::string shown() const { return printable_path(file_.path()); }
    [[noreturn]] void refuse(const char* why) const {
        fail(Fault::bad_file, "%s: this is not a saved session: %s.", shown().c_str(), why);
    }

private:
    void check_sum() {
        uint32_t checksum = extend(0, prefix_.sizes());
        std::vector<std::byte> bytes(1u << 20);
        for (uint64_t at = sizeof prefix_; at < file_.size(); at += bytes.size()) {
            bytes.resize(std::min<uint64_t>(bytes.size(), file_.size() - at));
            file_.read(at, bytes);
            checksum = extend(checksum, bytes);
        }
        if (checksum != prefix_.checksum)
            fail(Fault::bad_file,
                 "%s: the session is damaged (its checksum is %08x, that of its bytes %08x).",
                 shown().c_str(), prefix_.checksum, checksum);
    }

    File file_;
    Prefix prefix_;
    Json header_;
    uint64_t at_ = 0;
};

}  // namespace

void save_session(const std::string& path, const SavedChat& chat, const Model& model, const Context& context,
                  uint32_t sequence) {
    const std::vector<uint8_t> header = Json::to_cbor(header_of(chat, model, context, sequence));
    const std::vector<PictureRef> pictures = pictures_of(chat.turns);
    Prefix prefix;
    prefix.header_bytes = header.size();
    prefix.data_bytes = context.saved_bytes(static_cast<uint32_t>(context.tokens(sequence).size()));
    for (const PictureRef& picture : pictures)
        prefix.data_bytes += picture->soft_tokens.size() * sizeof(float);
    FileWriter file(path);
    prefix.checksum = extend(0, prefix.sizes());
    file.write(std::as_bytes(std::span(&prefix, 1)));
    const auto put = [&](std::span<const std::byte> bytes) {
        prefix.checksum = extend(prefix.checksum, bytes);
        file.write(bytes);
    };
    put(std::as_bytes(std::span(header)));
    for (const PictureRef& picture : pictures)
        put(std::as_bytes(std::span(picture->soft_tokens)));
    context.save(sequence, put);
    file.write_at(0, std::as_bytes(std::span(&prefix, 1)));
    file.commit();
}

SavedChat load_session(const std::string& path, Model& model, Context& context, uint32_t sequence) {
    Reader file(path);
    SavedChat chat;
    std::vector<int32_t> held;
    std::map<int32_t, PictureRef> pictures;  // by their ids in the file
    try {
        const Json& header = file.header();
        const std::string of = text_of(header.at("model"));
        if (header.at("fingerprint") != model.fingerprint())
            fail(Fault::bad_file, "%s: the session is of the model '%s' (this is '%s'%s).",
                 file.shown().c_str(), printable(of).c_str(), printable(model.name()).c_str(),
                 of == model.name() ? ", with other weights" : "");
        chat.system = text_of(header.at("system"));
        chat.seed = header.at("seed");
        chat.first_turn = header.at("first_turn");
        chat.ids = header.at("ids").get<std::vector<int32_t>>();
        held = header.at("held").get<std::vector<int32_t>>();
        if (held.size() > context.context() || chat.ids.size() >= context.context())
            fail(Fault::bad_input, "%s: the session has %zu tokens, the context %u positions (--ctx).",
                 file.shown().c_str(), std::max(held.size(), chat.ids.size()), context.context());

        const uint64_t floats = uint64_t{model.config().mm_tokens_per_image} * model.config().hidden_size;
        uint64_t bytes = header.at("pictures").size() * floats * sizeof(float);
        const bool same_type = header.at("kv") == name(context.kv_type());
        if (same_type)
            bytes += context.saved_bytes(static_cast<uint32_t>(held.size()));
        if (same_type ? bytes != file.data_bytes() : bytes > file.data_bytes())
            fail(Fault::bad_file, "%s: the session has %" PRIu64 " bytes of data (%" PRIu64 " are expected).",
                 file.shown().c_str(), file.data_bytes(), bytes);
        for (const Json& each : header.at("pictures")) {
            auto picture = std::make_shared<EncodedPicture>();
            picture->hash = each.at("hash");
            picture->soft_tokens.resize(floats);
            file.data(std::as_writable_bytes(std::span(picture->soft_tokens)));
            pictures[each.at("id")] = model.pictures().known(std::move(picture));
        }
        for (const Json& each : header.at("turns")) {
            Turn& turn = chat.turns.emplace_back();
            turn.user = text_of(each.at("user"));
            turn.answer = text_of(each.at("answer"));
            turn.answer_ids = each.at("answer_ids").get<std::vector<int32_t>>();
            for (const Json& attached : each.at("pictures")) {
                AttachedPicture& picture = turn.pictures.emplace_back();
                picture.name = text_of(attached.at("name"));
                for (const Json& id : attached.at("ids"))
                    picture.encoded.push_back(pictures.at(id.get<int32_t>()));
            }
        }
        // Ids of pictures are this process's own.
        for (std::vector<int32_t>* ids : {&chat.ids, &held})
            for (int32_t& id : *ids)
                if (id < 0)
                    id = pictures.at(id)->id;
        context.check(chat.ids);
        context.check(held);
        if (!same_type)
            held.clear();
    } catch (const Json::exception&) {  // a key is missing or of another kind
        file.refuse("its header lacks something");
    } catch (const std::out_of_range&) {
        file.refuse("it names a picture that is not in it");
    }
    if (held.empty())
        context.rewind(sequence, 0);
    else
        context.load(sequence, held, [&](std::span<std::byte> bytes) { file.data(bytes); });
    return chat;
}

}  // namespace olivine
