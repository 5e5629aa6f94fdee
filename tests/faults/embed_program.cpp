#include "tests/faults/embed_program.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "app/embed/olivine.h"
#include "engine/error.h"
#include "tests/embed/bare_device.h"

namespace olivine::test {
namespace {

Fault fault_of(olv_result result) {
    switch (result) {
    case OLV_OUT_OF_MEMORY: return Fault::out_of_memory;
    case OLV_DEVICE_LOST: return Fault::device_lost;
    case OLV_NO_DEVICE: return Fault::no_device;
    default: return Fault::internal;
    }
}

class Program {
public:
    explicit Program(bool adopted) : adopted_(adopted) {
        if (adopted)
            vulkan_ = own_.emplace().vulkan();
    }
    ~Program() {
        olv_device_destroy(device_);
        std::filesystem::remove(file_);
    }

    std::string talk() {
        attempt([&] { return create(); });
        attempt([&] { return load(); });
        attempt([&] { return open(); });
        attempt([&] { return ask("Who are you?"); });
        attempt([&] { return after(olv_session_save(session_, file_.c_str())); });
        saved_ = true;
        olv_stats stats = OLV_STATS;
        attempt([&] { return olv_device_stats(device_, &stats); });
        attempt([&] { return olv_set_memory_budget(device_, stats.bytes_now * 8 / 10); });
        attempt([&] { return ask("And where?"); });
        attempt([&] { return olv_set_memory_budget(device_, 0); });
        attempt([&] { return after(olv_session_load(session_, file_.c_str())); });
        attempt([&] { return ask("Why?"); });
        return text_;
    }
    // What the first call or event that failed said; none = all went well.
    std::optional<Error> failure;

private:
    // Once more where there was no memory. Where that was while weights moved, the model is loaded
    // anew: so olivine.h says. A lost device is the end of an adopted one.
    void attempt(const std::function<olv_result()>& step) {
        for (int time = 0;; ++time) {
            const olv_result result = step();
            if (result == OLV_OK)
                return;
            const Error error(fault_of(result), said_.empty() ? olv_last_error() : said_);
            said_.clear();
            if (result == OLV_DEVICE_LOST && device_ && !adopted_)
                fail(Fault::internal, "A device of the library's is lost for good: %s",
                     error.what());
            if (time > 1 || (time > 0 && !saved_))
                fail(Fault::internal, "There is no memory for good: %s", error.what());
            if (time > 0)
                renew();
            if (!failure)
                failure = error;
            if (result != OLV_OUT_OF_MEMORY)
                throw error;
        }
    }

    // The conversation as it was saved, on the same device.
    void renew() {
        saved_ = false;  // if this fails, it does for good
        olv_model_destroy(model_);
        attempt([&] { return load(); });
        attempt([&] { return open(); });
        attempt([&] { return after(olv_session_load(session_, file_.c_str())); });
        saved_ = true;
    }

    olv_result create() {
        olv_device_options options = OLV_DEVICE_OPTIONS;
        options.slice_us = 1'000'000'000;  // so that the calls are the same whatever the clock says
        options.vulkan = adopted_ ? &vulkan_ : nullptr;
        return olv_device_create(&options, &device_);
    }

    olv_result load() {
        olv_model_options options = OLV_MODEL_OPTIONS;
        options.path = OLIVINE_TEST_PEBBLE;
        options.max_sessions = 1;
        options.context = 256;
        if (const olv_result result = olv_model_load(device_, &options, &model_))
            return result;
        olv_state state = OLV_LOADING;
        olv_result result = OLV_OK;
        while (state == OLV_LOADING) {
            go_on();
            result = olv_model_state(model_, &state, nullptr);
        }
        if (result != OLV_OK)
            olv_model_destroy(model_);
        return result;
    }

    olv_result open() {
        olv_session_options options = OLV_SESSION_OPTIONS;
        options.max_tokens = 6;
        options.temperature = 0;
        return olv_session_create(model_, &options, &session_);
    }

    olv_result ask(const char* question) {
        const size_t said_before = text_.size();
        const olv_result result = after(olv_ask(session_, question));
        if (result != OLV_OK)
            text_.resize(said_before);
        else
            text_ += "\n";
        return result;
    }

    // The last event of what a call has queued.
    olv_result after(olv_result queued) {
        if (queued != OLV_OK)
            return queued;
        for (;;) {
            go_on();
            olv_event event = OLV_EVENT;
            while (olv_next_event(session_, &event) == OLV_OK) {
                if (event.kind == OLV_EVENT_TEXT)
                    text_ += event.text;
                if (event.kind == OLV_EVENT_ERROR)
                    said_ = event.text;
                if (event.kind == OLV_EVENT_ERROR || event.kind == OLV_EVENT_DONE)
                    return static_cast<olv_result>(event.result);
            }
        }
    }

    void go_on() {
        attempt([&] { return olv_tick(device_, 1'000'000); });
        std::this_thread::sleep_for(std::chrono::microseconds(200));  // while it compiles
    }

    const bool adopted_;
    std::optional<BareDevice> own_;
    olv_vulkan vulkan_ = OLV_VULKAN;
    olv_device* device_ = nullptr;
    olv_model* model_ = nullptr;
    olv_session* session_ = nullptr;
    std::string text_, said_;
    bool saved_ = false;
    const std::string file_ = (std::filesystem::temp_directory_path() /
                               ("olivine-faults-talk-" + std::to_string(getpid())))
                                  .string();
};

}  // namespace

std::vector<std::byte> talk_through_c(bool adopted) {
    static std::string right;  // whatever fails, or which device it is
    Program program(adopted);
    const std::string text = program.talk();
    if (right.empty())
        right = text;
    if (text != right)
        fail(Fault::internal, "The answers are \"%s\" instead of \"%s\".", text.c_str(),
             right.c_str());
    if (program.failure)
        throw *program.failure;
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

}  // namespace olivine::test
