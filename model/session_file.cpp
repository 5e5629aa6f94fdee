#include "model/session_file.h"

#include <algorithm>
#include <cinttypes>
#include <map>
#include <memory>

#include "engine/error.h"
#include "model/context.h"
#include "model/model.h"
#include "model/session_format.h"

namespace olivine {
namespace {

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

uint64_t floats_of_picture(const Model& model) {
    return uint64_t{model.config().mm_tokens_per_image} * model.config().hidden_size;
}

// That a prompt could have these ids.
void check_ids(const std::vector<int32_t>& ids, const char* field, const std::string& shown,
               const Model& model) {
    const uint32_t soft = model.config().mm_tokens_per_image, vocab = model.config().vocab_size;
    for (size_t i = 0; i < ids.size();) {
        size_t run = 1;
        while (ids[i] < 0 && run < soft && i + run < ids.size() && ids[i + run] == ids[i])
            ++run;
        if (ids[i] < 0 ? run != soft : static_cast<uint32_t>(ids[i]) >= vocab)
            fail(Fault::bad_file,
                 "%s: number %zu of the session's '%s' is %d, which is no token of the model.",
                 shown.c_str(), i, field, ids[i]);
        i += run;
    }
}

// That the session is this model's, and as long as the context and the data allow.
void check(const SessionReader& file, const Model& model, const Context& context) {
    const SessionHeader& header = file.header();
    const std::string shown = printable_path(file.path());
    if (header.fingerprint != model.fingerprint())
        fail(Fault::bad_file, "%s: the session is of the model '%s' (this is '%s'%s).", shown.c_str(),
             printable(header.model).c_str(), printable(model.name()).c_str(),
             header.model == model.name() ? ", with other weights" : "");
    const size_t tokens = std::max(header.held.size(), header.ids.size() + 1);
    if (tokens > context.context())
        fail(Fault::bad_input, "%s: the session has %zu tokens, the context %u positions (--ctx).",
             shown.c_str(), tokens, context.context());
    if (!header.pictures.empty() && !model.has_vision())
        fail(Fault::bad_file, "%s: the session has %zu pictures, which the model does not read.",
             shown.c_str(), header.pictures.size());
    check_ids(header.ids, "ids", shown, model);
    check_ids(header.held, "held", shown, model);
    for (const SessionHeader::Turn& turn : header.turns)
        check_ids(turn.answer_ids, "answer_ids", shown, model);
    // Of another type than the context's, how many bytes there are does not matter.
    const bool same_type = header.kv == name(context.kv_type());
    const uint64_t pictures = header.pictures.size() * floats_of_picture(model) * sizeof(float);
    const uint64_t least =
        pictures + (same_type ? context.saved_bytes(static_cast<uint32_t>(header.held.size())) : 0);
    if (same_type ? file.data_bytes() != least : file.data_bytes() < least)
        fail(Fault::bad_file, "%s: the session has %" PRIu64 " bytes of data (%" PRIu64 " are expected).",
             shown.c_str(), file.data_bytes(), least);
}

}  // namespace

void save_session(ByteSink& to, const SavedChat& chat, const Model& model, const Context& context,
                  uint32_t sequence) {
    const std::vector<PictureRef> pictures = pictures_of(chat.turns);
    // The cache may still hold another conversation.
    std::vector<int32_t> said = chat.ids, held = context.tokens(sequence);
    if (!chat.turns.empty())
        said.insert(said.end(), chat.turns.back().answer_ids.begin(), chat.turns.back().answer_ids.end());
    if (common(held, said) < held.size())
        held.clear();
    SessionHeader header{.model = model.name(),
                         .fingerprint = model.fingerprint(),
                         .system = chat.system,
                         .seed = chat.seed,
                         .first_turn = chat.first_turn,
                         .ids = chat.ids,
                         .held = held,
                         .kv = name(context.kv_type())};
    for (const Turn& turn : chat.turns) {
        SessionHeader::Turn& saved = header.turns.emplace_back();
        saved.user = turn.user;
        saved.answer = turn.answer;
        saved.answer_ids = turn.answer_ids;
        for (const AttachedPicture& picture : turn.pictures) {
            SessionHeader::Attached& attached = saved.pictures.emplace_back();
            attached.name = picture.name;
            for (const PictureRef& each : picture.encoded)
                attached.ids.push_back(each->id);
        }
    }
    uint64_t bytes = context.saved_bytes(static_cast<uint32_t>(held.size()));
    for (const PictureRef& picture : pictures) {
        header.pictures.push_back(picture->id);
        bytes += picture->soft_tokens.size() * sizeof(float);
    }
    SessionWriter session(to, header, bytes);
    for (const PictureRef& picture : pictures)
        session.write(std::as_bytes(std::span(picture->soft_tokens)));
    if (!held.empty())
        context.save(sequence, [&](std::span<const std::byte> part) { session.write(part); });
    session.finish();
}

SavedChat load_session(const File& from, Model& model, Context& context, uint32_t sequence) {
    SessionReader file(from);
    check(file, model, context);
    const SessionHeader& header = file.header();
    std::map<int32_t, PictureRef> pictures;  // by their ids in the file
    for (const int32_t id : header.pictures) {
        // Without a hash: what is attached later is encoded, whatever the file says of it.
        const auto picture = std::make_shared<EncodedPicture>();
        picture->id = model.pictures().next_id();
        picture->soft_tokens.resize(floats_of_picture(model));
        file.read(std::as_writable_bytes(std::span(picture->soft_tokens)));
        model.pictures().add(std::span(&picture, 1));
        pictures[id] = picture;
    }
    // Ids of pictures are this process's own.
    const auto translated = [&](std::vector<int32_t> ids) {
        for (int32_t& id : ids)
            if (id < 0)
                id = pictures.at(id)->id;
        return ids;
    };
    SavedChat chat{.system = header.system,
                   .seed = header.seed,
                   .turns = {},
                   .first_turn = header.first_turn,
                   .ids = translated(header.ids)};
    for (const SessionHeader::Turn& saved : header.turns) {
        Turn& turn = chat.turns.emplace_back();
        turn.user = saved.user;
        turn.answer = saved.answer;
        turn.answer_ids = translated(saved.answer_ids);
        for (const SessionHeader::Attached& attached : saved.pictures) {
            AttachedPicture& picture = turn.pictures.emplace_back();
            picture.name = attached.name;
            for (const int32_t id : attached.ids)
                picture.encoded.push_back(pictures.at(id));
        }
    }
    const std::vector<int32_t> held = translated(header.held);
    if (header.kv != name(context.kv_type()) || held.empty())
        context.rewind(sequence, 0);
    else
        context.load(sequence, held, [&](std::span<std::byte> part) { file.read(part); });
    return chat;
}

}  // namespace olivine
