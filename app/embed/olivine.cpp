// The C interface: arguments are checked, errors become codes. What it does is in handles.cpp.
#include "app/embed/olivine.h"

#include <algorithm>
#include <new>
#include <span>

#include "app/embed/handles.h"
#include "app/embed/result.h"
#include "app/embed/structs.h"
#include "app/embed/vulkan.h"
#include "engine/error.h"
#include "model/model_list.h"

using olivine::element;
using olivine::fail;
using olivine::Fault;
using olivine::give;
using olivine::known;

namespace {

template <typename Handle>
Handle& there(Handle* handle, const char* what) {
    if (!handle)
        fail(Fault::bad_input, "The %s is null.", what);
    return *handle;
}

const olv_session& sees(const olv_session* session) {
    if (!there(session, "session").model.checkpoint->has_vision())
        fail(Fault::unsupported, "The model has no picture encoder: it reads text only.");
    return *session;
}

void copy_text(const std::string& from, std::span<char> to) {
    size_t count = std::min(from.size(), to.size() - 1);
    if (count < from.size())  // not in the middle of a character
        while (count > 0 && (static_cast<unsigned char>(from[count]) & 0xc0) == 0x80)
            --count;
    std::copy_n(from.begin(), count, to.begin());
    to[count] = '\0';
}

void require_idle(const olv_session& session) {
    if (session.under_way)
        fail(Fault::bad_input, "The session is at work: its last event has not been read.");
}

}  // namespace

extern "C" {

uint32_t olv_version(void) {
    return OLV_VERSION;
}

const char* olv_last_error(void) {
    return olivine::last_error().c_str();
}

olv_result olv_device_list(olv_device_info* infos, uint32_t* count) {
    return olivine::guarded([&] {
        uint32_t& wanted = there(count, "count");
        const std::vector<olivine::DeviceInfo> list = olivine::list_devices();
        for (uint32_t i = 0; infos && i < std::min<size_t>(wanted, list.size()); ++i) {
            olv_device_info* const place = element(infos, i);
            olv_device_info info = known(place, olv_device_info{});
            info.usable = list[i].unusable.empty();
            info.memory_bytes = list[i].memory_bytes;
            copy_text(list[i].name, info.name);
            copy_text(list[i].driver, info.driver);
            copy_text(list[i].unusable, info.why_unusable);
            give(info, place);
        }
        wanted = static_cast<uint32_t>(list.size());
    });
}

olv_result olv_device_create(const olv_device_options* options, olv_device** device) {
    return olivine::guarded([&] {
        olv_device*& made = there(device, "place for the device");
        made = nullptr;
        olv_device_options given = known(options, olv_device_options OLV_DEVICE_OPTIONS);
        olv_vulkan vulkan = OLV_VULKAN;
        if (given.vulkan) {
            vulkan = known(given.vulkan, vulkan);
            given.vulkan = &vulkan;
        }
        made = new olv_device(given);
    });
}

void olv_device_destroy(olv_device* device) {
    delete device;
}

olv_result olv_tick(olv_device* device, uint32_t budget_us) {
    return olivine::guarded([&] {
        there(device, "device").executor.tick(std::chrono::microseconds(budget_us));
        device->tell_log();
        device->tell_events();
    });
}

uint32_t olv_busy(const olv_device* device) {
    return device && device->executor.busy();
}

olv_result olv_set_memory_budget(olv_device* device, uint64_t bytes) {
    return olivine::guarded([&] {
        there(device, "device");
        const uint64_t wanted = bytes > 0 ? bytes : device->device->info().memory_bytes;
        {
            const std::lock_guard lock(device->mutex);
            device->budget.bytes = wanted;
            ++device->budget.asked;
        }
        for (const auto& model : device->models)  // for those that are idle
            device->executor.add(model.get(), [each = model.get()] {
                each->follow_budget();
                each->device.note_bytes();
            });
    });
}

olv_result olv_device_stats(olv_device* device, olv_stats* stats) {
    return olivine::guarded([&] {
        there(device, "device");
        olv_stats now = known(stats, olv_stats OLV_STATS);
        const olivine::Executor::Statistics work = device->executor.statistics();
        const olv_device::Bytes bytes = device->bytes();
        now.ticks = work.ticks;
        now.slices = work.slices;
        now.slice_seconds = work.longest_slice;
        now.bytes_now = bytes.now;
        now.bytes_peak = bytes.peak;
        now.budget = bytes.budget;
        now.bytes_written = device->device->counters().bytes_written;
        now.bytes_read = device->device->counters().bytes_read;
        give(now, stats);
    });
}

olv_result olv_model_list(const char* folder, olv_model_info* infos, uint32_t* count) {
    return olivine::guarded([&] {
        uint32_t& wanted = there(count, "count");
        const std::vector<olivine::ListedModel> list =
            olivine::list_models(&there(folder, "folder"));
        for (uint32_t i = 0; infos && i < std::min<size_t>(wanted, list.size()); ++i) {
            const olivine::ListedModel& model = list[i];
            olv_model_info* const place = element(infos, i);
            olv_model_info info = known(place, olv_model_info{});
            const bool fits = model.path.size() < sizeof info.path;
            info.usable = fits && model.unusable.empty();
            info.weight_bytes = model.weight_bytes;
            info.device_bytes = model.device_bytes;
            info.context = model.max_positions;
            info.takes_pictures = model.pictures;
            copy_text(model.name, info.name);
            copy_text(fits ? model.path : "", info.path);
            copy_text(fits ? model.unusable : "The path is longer than olv_model_info.path.",
                      info.why_unusable);
            give(info, place);
        }
        wanted = static_cast<uint32_t>(list.size());
    });
}

olv_result olv_model_load(olv_device* device, const olv_model_options* options, olv_model** model) {
    return olivine::guarded([&] {
        there(device, "device");
        olv_model*& made = there(model, "place for the model");
        made = nullptr;
        auto owned = std::make_unique<olv_model>(
            *device, known(options, olv_model_options OLV_MODEL_OPTIONS));
        device->models.push_back(std::move(owned));
        made = device->models.back().get();
        device->executor.add(made, [made] { made->load(); });
    });
}

olv_result olv_model_cancel(olv_model* model) {
    return olivine::guarded([&] { there(model, "model").cancel(); });
}

void olv_model_destroy(olv_model* model) {
    if (model)
        std::erase_if(model->device.models, [&](const auto& each) { return each.get() == model; });
}

olv_result olv_model_state(const olv_model* model, olv_state* state, float* progress) {
    return olivine::guarded([&] {
        there(model, "model");
        const std::lock_guard lock(model->mutex);
        if (state)
            *state = model->state;
        if (progress)
            *progress = model->progress;
        if (model->failure)
            std::rethrow_exception(model->failure);
    });
}

olv_result olv_count_tokens(const olv_model* model, const char* text, uint32_t* count) {
    return olivine::guarded([&] {
        there(model, "model");
        there(count, "count") =
            static_cast<uint32_t>(model->tokenizer->encode(&there(text, "text")).size());
    });
}

olv_result olv_vocabulary_size(const olv_model* model, uint32_t* count) {
    return olivine::guarded(
        [&] { there(count, "count") = there(model, "model").vocabulary()->size(); });
}

olv_result olv_token_text(const olv_model* model, uint32_t token, const char** text,
                          uint32_t* size) {
    return olivine::guarded([&] {
        const uint32_t all = there(model, "model").vocabulary()->size();
        if (token >= all)
            fail(Fault::bad_input, "The token is %u (the vocabulary has %u).", token, all);
        const std::string_view bytes = model->vocabulary()->bytes(static_cast<int32_t>(token));
        there(text, "place for the text") = bytes.data();
        there(size, "place for the size") = static_cast<uint32_t>(bytes.size());
    });
}

olv_result olv_session_create(olv_model* model, const olv_session_options* options,
                              olv_session** session) {
    return olivine::guarded([&] {
        there(model, "model");
        olv_session*& made = there(session, "place for the session");
        made = nullptr;
        const olv_session_options given = known(options, olv_session_options OLV_SESSION_OPTIONS);
        uint32_t place = 0;
        const auto taken = [&](const auto& each) { return each->sequence == place; };
        while (std::ranges::any_of(model->sessions, taken))
            ++place;
        if (place >= model->max_sessions)
            fail(Fault::bad_input,
                 "The model has its %u sessions (olv_model_options.max_sessions).",
                 model->max_sessions);
        model->sessions.push_back(std::make_unique<olv_session>(*model, given, place));
        made = model->sessions.back().get();
    });
}

void olv_session_destroy(olv_session* session) {
    if (session)
        std::erase_if(session->model.sessions,
                      [&](const auto& each) { return each.get() == session; });
}

olv_result olv_push_pixels(olv_session* session, const void* rgba, uint32_t width, uint32_t height,
                           uint64_t stride) {
    return olivine::guarded([&] {
        sees(session);
        const std::byte& pixels = there(static_cast<const std::byte*>(rgba), "picture");
        session->pictures.push_back(olivine::picture_from_rgba(
            &pixels, width, height, stride > 0 ? stride : uint64_t{width} * 4));
    });
}

olv_result olv_push_picture(olv_session* session, const void* file, uint64_t bytes) {
    return olivine::guarded([&] {
        sees(session);
        const std::byte& all = there(static_cast<const std::byte*>(file), "picture");
        session->pictures.push_back(
            olivine::decode_picture({&all, static_cast<size_t>(bytes)}, "The picture"));
    });
}

olv_result olv_push_vulkan_image(olv_session* session, const olv_vulkan_image* image) {
    return olivine::guarded([&] {
        olv_device& device = sees(session).model.device;
        if (!device.adopted)
            fail(Fault::bad_input, "The device is not the program's (olv_device_options.vulkan).");
        const olivine::HostImage from =
            olivine::host_image(known(image, olv_vulkan_image OLV_VULKAN_IMAGE));
        olivine::DevicePicture picture{.width = from.width,
                                       .height = from.height,
                                       .pixels = {},
                                       .begins_with_blue = olivine::begins_with_blue(from.format)};
        device.executor.hold_for(
            [&] { picture.pixels = olivine::copy_image(*device.device, from); });
        device.note_bytes();
        session->pictures.push_back(std::move(picture));
    });
}

olv_result olv_ask(olv_session* session, const char* text) {
    const olv_ask_options options = OLV_ASK_OPTIONS;
    return olv_ask_with(session, text, &options);
}

olv_result olv_ask_with(olv_session* session, const char* text, const olv_ask_options* options) {
    return olivine::guarded([&] {
        require_idle(there(session, "session"));
        session->ask(&there(text, "text"),
                     session->answer_options(known(options, olv_ask_options OLV_ASK_OPTIONS)));
    });
}

olv_result olv_cancel(olv_session* session) {
    return olivine::guarded([&] { there(session, "session").cancelled = true; });
}

olv_result olv_session_clear(olv_session* session) {
    return olivine::guarded([&] {
        require_idle(there(session, "session"));
        // Nothing to tell: it is in the queue before whatever is asked next.
        session->model.device.executor.add(session, [session] {
            if (session->chat)
                session->chat->clear();
        });
    });
}

olv_result olv_session_save(olv_session* session, const char* path) {
    return olivine::guarded([&] {
        require_idle(there(session, "session"));
        session->queue([to = std::string(&there(path, "path"))](olivine::Chat& chat) {
            chat.save(to);
            return olv_session::Event{.kind = OLV_EVENT_DONE, .text = {}};
        });
    });
}

olv_result olv_session_load(olv_session* session, const char* path) {
    return olivine::guarded([&] {
        require_idle(there(session, "session"));
        session->queue([from = std::string(&there(path, "path"))](olivine::Chat& chat) {
            chat.load(olivine::File::open(from));
            return olv_session::Event{
                .kind = OLV_EVENT_DONE, .text = {}, .context_used = chat.context_used()};
        });
    });
}

olv_result olv_session_save_bytes(olv_session* session) {
    return olivine::guarded([&] {
        require_idle(there(session, "session"));
        {
            const std::lock_guard lock(session->mutex);
            session->saved = {};
        }
        session->queue([session](olivine::Chat& chat) {
            std::vector<std::byte> bytes = chat.save_bytes();
            const std::lock_guard lock(session->mutex);
            session->saved = std::move(bytes);
            return olv_session::Event{.kind = OLV_EVENT_DONE, .text = {}};
        });
    });
}

olv_result olv_session_bytes(olv_session* session, const void** data, uint64_t* bytes) {
    return olivine::guarded([&] {
        there(session, "session");
        there(data, "place for the data") = nullptr;
        there(bytes, "place for their number") = 0;
        const std::lock_guard lock(session->mutex);
        if (session->saved.empty())
            fail(Fault::bad_input,
                 "The session has no saved bytes (olv_session_save_bytes() makes them).");
        *data = session->saved.data();
        *bytes = session->saved.size();
    });
}

olv_result olv_session_load_bytes(olv_session* session, const void* data, uint64_t bytes) {
    return olivine::guarded([&] {
        require_idle(there(session, "session"));
        if (!data)
            fail(Fault::bad_input, "The bytes are null.");
        const auto* const first = static_cast<const std::byte*>(data);
        const auto saved =
            olivine::File::from_bytes({first, first + bytes}, "olv_session_load_bytes");
        session->queue([saved](olivine::Chat& chat) {
            chat.load(saved);
            return olv_session::Event{
                .kind = OLV_EVENT_DONE, .text = {}, .context_used = chat.context_used()};
        });
    });
}

olv_result olv_next_event(olv_session* session, olv_event* event) {
    bool nothing = false;
    const olv_result result = olivine::guarded([&] {
        there(session, "session");
        olv_event told = known(event, olv_event OLV_EVENT);
        nothing = !session->next(told, session->text);
        if (nothing)
            return;
        give(told, event);
    });
    return result == OLV_OK && nothing ? OLV_NOTHING : result;
}

}  // extern "C"
