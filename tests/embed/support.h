// A program's side of libolivine, for its tests.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "app/embed/olivine.h"

namespace olivine::test {

using Clock = std::chrono::steady_clock;

// A device with the built-in model on it, which loads; without it for no sessions.
struct Opened {
    explicit Opened(uint32_t work, uint32_t sessions = 4, uint32_t context = 1024,
                    const olv_vulkan* vulkan = nullptr) {
        olv_device_options device_options = OLV_DEVICE_OPTIONS;
        device_options.vulkan = vulkan;
        device_options.work = work;
        device_options.log = [](void* lines, const char* line) {
            static_cast<std::vector<std::string>*>(lines)->push_back(line);
        };
        device_options.log_user = &log;
        REQUIRE(olv_device_create(&device_options, &device) == OLV_OK);
        if (sessions == 0)
            return;
        olv_model_options model_options = OLV_MODEL_OPTIONS;
        model_options.path = OLIVINE_TEST_MODEL;
        model_options.max_sessions = sessions;
        model_options.context = context;
        REQUIRE(olv_model_load(device, &model_options, &model) == OLV_OK);
    }
    ~Opened() { olv_device_destroy(device); }
    Opened(const Opened&) = delete;

    olv_session* session(const char* system = nullptr, uint32_t max_tokens = 24) {
        olv_session_options options = OLV_SESSION_OPTIONS;
        options.system = system;
        options.max_tokens = max_tokens;
        options.seed = 7;
        olv_session* made = nullptr;
        REQUIRE(olv_session_create(model, &options, &made) == OLV_OK);
        return made;
    }

    std::vector<std::string> log;
    olv_device* device = nullptr;
    olv_model* model = nullptr;
};

struct Answer {
    std::string text;
    olv_event last = OLV_EVENT;  // its text is gone
    std::string error;
};

// Ticks until the session's work has ended; `each` sees the text so far.
inline Answer wait_for(olv_device* device, olv_session* session,
                const std::function<void(const std::string&)>& each = {}) {
    Answer answer;
    for (;;) {
        if (olv_tick(device, 5000) != OLV_OK)
            FAIL(olv_last_error());
        std::this_thread::sleep_for(std::chrono::microseconds(200));  // a worker needs no ticks
        olv_event event = OLV_EVENT;
        while (olv_next_event(session, &event) == OLV_OK) {
            if (event.kind == OLV_EVENT_TEXT) {
                answer.text += event.text;
                if (each)
                    each(answer.text);
                continue;
            }
            answer.error = event.kind == OLV_EVENT_ERROR ? event.text : "";
            answer.last = event;
            return answer;
        }
    }
}

inline Answer ask(olv_device* device, olv_session* session, const char* question,
           const std::function<void(const std::string&)>& each = {}) {
    REQUIRE(olv_ask(session, question) == OLV_OK);
    return wait_for(device, session, each);
}

inline const char* const kPersona = "You are Pebble. You live in a small story.";

}  // namespace olivine::test
