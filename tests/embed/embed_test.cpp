// libolivine through its header alone, as a program has it.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "app/embed/olivine.h"
#include "tests/embed/support.h"

using namespace olivine::test;

TEST_CASE("what is wrong with a call is a code and a sentence") {
    Opened it(OLV_TICK);
    olv_device* no_device = nullptr;
    olv_session* session = nullptr;
    olv_device_options device_options = OLV_DEVICE_OPTIONS;
    olv_model_options model_options = OLV_MODEL_OPTIONS;
    olv_session_options session_options = OLV_SESSION_OPTIONS;
    const auto sentence = [] { return std::string(olv_last_error()); };

    CHECK(olv_device_create(nullptr, &no_device) == OLV_BAD_INPUT);
    CHECK(sentence() == "The options are null.");
    CHECK(olv_device_create(&device_options, nullptr) == OLV_BAD_INPUT);
    device_options.size = 0;
    CHECK(olv_device_create(&device_options, &no_device) == OLV_BAD_INPUT);
    CHECK(sentence().find("initialised") != std::string::npos);
    device_options = OLV_DEVICE_OPTIONS;
    device_options.work = 9;
    CHECK(olv_device_create(&device_options, &no_device) == OLV_BAD_INPUT);
    device_options = OLV_DEVICE_OPTIONS;
    device_options.device = 77;
    CHECK(olv_device_create(&device_options, &no_device) == OLV_BAD_INPUT);
    CHECK(!no_device);

    olv_model* model = nullptr;
    CHECK(olv_model_load(it.device, &model_options, &model) == OLV_BAD_INPUT);
    model_options.path = "/nonexistent/model.gguf";
    CHECK(olv_model_load(it.device, &model_options, &model) == OLV_BAD_FILE);
    CHECK(sentence().find("/nonexistent/model.gguf") != std::string::npos);
    model_options.path = OLIVINE_TEST_MODEL;
    model_options.max_sessions = 17;
    CHECK(olv_model_load(it.device, &model_options, &model) == OLV_BAD_INPUT);
    CHECK(!model);

    session_options.temperature = -1;
    CHECK(olv_session_create(it.model, &session_options, &session) == OLV_BAD_INPUT);
    CHECK(sentence().find("temperature") != std::string::npos);
    CHECK(olv_session_create(nullptr, &session_options, &session) == OLV_BAD_INPUT);
    for (int i = 0; i < 4; ++i)
        session = it.session();
    olv_session* fifth = nullptr;
    session_options = OLV_SESSION_OPTIONS;
    CHECK(olv_session_create(it.model, &session_options, &fifth) == OLV_BAD_INPUT);
    olv_session_destroy(session);
    CHECK(olv_session_create(it.model, &session_options, &session) == OLV_OK);

    CHECK(olv_ask(session, nullptr) == OLV_BAD_INPUT);
    CHECK(olv_ask(nullptr, "?") == OLV_BAD_INPUT);
    CHECK(olv_ask(session, "What?") == OLV_OK);
    CHECK(olv_ask(session, "What?") == OLV_BAD_INPUT);  // still under way
    CHECK(olv_session_clear(session) == OLV_BAD_INPUT);
    CHECK(olv_session_save(session, "/tmp/x") == OLV_BAD_INPUT);
    olv_event event = OLV_EVENT;
    event.size = 2;
    CHECK(olv_next_event(session, &event) == OLV_BAD_INPUT);
    CHECK(olv_tick(nullptr, 1) == OLV_BAD_INPUT);
    CHECK(olv_busy(nullptr) == 0);
    olv_device_destroy(nullptr);
    olv_model_destroy(nullptr);
    olv_session_destroy(nullptr);
}

TEST_CASE("an older program's structs are shorter, a newer one's longer") {
    Opened it(OLV_TICK);
    struct {
        olv_event event = OLV_EVENT;
        uint64_t more[4] = {1, 2, 3, 4};
    } newer;
    newer.event.size = sizeof newer;
    olv_session* session = it.session(nullptr, 3);
    CHECK(olv_next_event(session, &newer.event) == OLV_NOTHING);
    REQUIRE(olv_ask(session, "Hello?") == OLV_OK);
    while (olv_busy(it.device))
        olv_tick(it.device, 100000);
    CHECK(olv_next_event(session, &newer.event) == OLV_OK);
    CHECK(newer.event.size == sizeof newer);
    CHECK(newer.more[3] == 4);
    olv_event older = OLV_EVENT;
    older.size = offsetof(olv_event, text);
    older.text = "untouched";
    CHECK(olv_next_event(session, &older) == OLV_OK);
    CHECK(std::string(older.text) == "untouched");
}

TEST_CASE("ticks and a worker give the same answers, again and again") {
    std::vector<std::string> answers;
    for (const uint32_t work : {OLV_TICK, OLV_WORKER}) {
        Opened it(work);
        olv_session* session = it.session(kPersona);
        const Answer first = ask(it.device, session, "Tell me a story.");
        CHECK(first.error.empty());
        CHECK(!first.text.empty());
        CHECK(first.last.drawn_tokens > 0);
        CHECK(first.last.context_used > first.last.prompt_tokens);
        const Answer second = ask(it.device, session, "What then?");
        CHECK(second.last.cached_tokens >= first.last.prompt_tokens);
        REQUIRE(olv_session_clear(session) == OLV_OK);
        answers.push_back(first.text + "|" + second.text);
        CHECK(ask(it.device, session, "Tell me a story.").last.cached_tokens > 5);
        olv_state state{};
        float progress = 0;
        CHECK(olv_model_state(it.model, &state, &progress) == OLV_OK);
        CHECK((state == OLV_READY && progress == 1));
        uint32_t tokens = 0;
        CHECK(olv_count_tokens(it.model, "once upon a time", &tokens) == OLV_OK);
        CHECK((tokens > 0 && tokens <= 16));
        for (int i = 0; i < 1000 && olv_busy(it.device);
             ++i)  // the worker ends it behind its last event
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        CHECK(olv_busy(it.device) == 0);
    }
    CHECK(answers[0] == answers[1]);
}

TEST_CASE("sessions share how they begin") {
    Opened it(OLV_TICK);
    std::string persona = kPersona;
    for (int i = 0; i < 20; ++i)
        persona += " The stone is grey and the river is long.";
    olv_session* first = it.session(persona.c_str());
    olv_session* second = it.session(persona.c_str());
    const Answer one = ask(it.device, first, "Who are you?");
    CHECK(one.last.cached_tokens == 0);
    const Answer other = ask(it.device, second, "Where is the river?");
    CHECK(other.last.cached_tokens > one.last.prompt_tokens * 3 / 4);
}

TEST_CASE("a session is destroyed at any moment of another's that takes over how it began") {
    std::string persona = kPersona;
    for (int i = 0; i < 20; ++i)
        persona += " The stone is grey and the river is long.";
    std::string expected;
    for (int after = -1; after < 24; ++after) {  // ticks of the second's question
        Opened it(OLV_TICK, 2, 512);
        olv_session* first = it.session(persona.c_str(), 2);
        olv_session* second = it.session(persona.c_str(), 6);
        ask(it.device, first, "Who are you?");
        REQUIRE(olv_ask(second, "Where is the river?") == OLV_OK);
        for (int tick = 0; tick < after && olv_busy(it.device); ++tick)
            REQUIRE(olv_tick(it.device, 0) == OLV_OK);
        if (after >= 0)
            olv_session_destroy(first);
        const Answer answer = wait_for(it.device, second);
        CHECK(answer.error == "");
        if (after < 0)
            expected = answer.text;
        CHECK(answer.text == expected);
        // Nothing of it is left in the way.
        if (after >= 0)
            CHECK(ask(it.device, it.session(persona.c_str(), 2), "Who are you?").error == "");
    }
}

TEST_CASE("events are told to a callback, which may do what it likes") {
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    Opened it(work);
    struct Listener {
        std::string text;
        int tokens = 0, ended = 0;
        olv_session* to_destroy = nullptr;
        bool cancel = false, again = false;
        int32_t first_end = -1;
    } one, two;
    const auto listen = [](void* user, olv_session* session, const olv_event* event) {
        auto& all = *static_cast<Listener*>(user);
        all.tokens += event->kind == OLV_EVENT_TOKEN;
        if (event->kind == OLV_EVENT_TEXT)
            all.text += event->text;
        if (all.cancel && all.tokens == 3)
            CHECK(olv_cancel(session) == OLV_OK);
        if (event->kind != OLV_EVENT_DONE && event->kind != OLV_EVENT_ERROR)
            return;
        if (++all.ended == 1)
            all.first_end = event->end;
        if (std::exchange(all.again, false))
            CHECK(olv_ask(session, "And then?") == OLV_OK);
        else if (all.to_destroy)
            olv_session_destroy(std::exchange(all.to_destroy, nullptr));
    };
    olv_session_options options = OLV_SESSION_OPTIONS;
    options.max_tokens = 40;
    options.tokens = 1;
    options.on_event = listen;
    olv_session *first = nullptr, *second = nullptr;
    options.event_user = &one;
    REQUIRE(olv_session_create(it.model, &options, &first) == OLV_OK);
    options.event_user = &two;
    REQUIRE(olv_session_create(it.model, &options, &second) == OLV_OK);
    one.cancel = one.again = true;
    two.to_destroy = second;  // itself
    REQUIRE(olv_ask(first, "Tell me a long story.") == OLV_OK);
    REQUIRE(olv_ask(second, "Hello?") == OLV_OK);
    for (int i = 0; i < 20000 && (one.ended < 2 || two.ended < 1); ++i) {
        REQUIRE(olv_tick(it.device, 2000) == OLV_OK);
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    CHECK(one.ended == 2);
    CHECK(two.ended == 1);
    CHECK(!two.to_destroy);
    CHECK(one.tokens >= 3);
    CHECK(!two.text.empty());
    if (work == OLV_TICK)  // the worker may be done before the callback says so
        CHECK(one.first_end == OLV_END_CANCELLED);
    olv_event event = OLV_EVENT;
    CHECK(olv_next_event(first, &event) == OLV_NOTHING);
}

TEST_CASE("a budget reaches idle models, and those that are loaded later") {
    Opened it(OLV_TICK, 2, 512);
    ask(it.device, it.session(), "Hello?");
    const auto bytes_now = [&] {
        olv_stats stats = OLV_STATS;
        REQUIRE(olv_device_stats(it.device, &stats) == OLV_OK);
        return stats.bytes_now;
    };
    const auto finish = [&] {
        while (olv_busy(it.device))
            REQUIRE(olv_tick(it.device, 10000) == OLV_OK);
    };
    const uint64_t whole = bytes_now();
    REQUIRE(olv_set_memory_budget(it.device, whole / 2) == OLV_OK);
    finish();
    CHECK(bytes_now() <= whole / 2);
    olv_model_options options = OLV_MODEL_OPTIONS;
    options.path = OLIVINE_TEST_MODEL;
    options.context = 512;
    olv_model* other = nullptr;
    REQUIRE(olv_model_load(it.device, &options, &other) == OLV_OK);
    finish();
    CHECK(olv_model_state(other, nullptr, nullptr) == OLV_OUT_OF_MEMORY);
    CHECK(bytes_now() <= whole / 2);
}

TEST_CASE("a tick takes its budget and a slice") {
    Opened it(OLV_TICK);
    olv_session* session = it.session(kPersona, 40);
    ask(it.device, session, "Warm up.");  // compiles
    olv_stats stats = OLV_STATS;
    REQUIRE(olv_device_stats(it.device, &stats) == OLV_OK);
    REQUIRE(olv_ask(session, "Tell me a long story.") == OLV_OK);
    constexpr double kBudget = 0.002;
    std::vector<double> ticks;
    while (olv_busy(it.device)) {
        const Clock::time_point begin = Clock::now();
        REQUIRE(olv_tick(it.device, 2000) == OLV_OK);
        ticks.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    }
    REQUIRE(olv_device_stats(it.device, &stats) == OLV_OK);
    std::ranges::sort(ticks);
    REQUIRE(ticks.size() > 10);
    const double median = ticks[ticks.size() / 2], longest = ticks.back();
    UNSCOPED_INFO(ticks.size() << " ticks of 2 ms: median " << median << " s, longest " << longest
                               << " s; the longest slice " << stats.slice_seconds << " s");
    // Not of the longest: the system may take the core away at any time.
    CHECK(median <= kBudget + stats.slice_seconds + 0.001);
}

TEST_CASE("what is cancelled ends within a slice") {
    Opened it(OLV_TICK);
    olv_session* session = it.session(nullptr, 200);
    ask(it.device, session, "Warm up.");  // so that no tick waits for the compiler
    std::string question = "Tell me a long story.";
    for (int i = 0; i < 60; ++i)
        question += " The stone is grey and the river is long.";
    for (const int before : {3, 10, 30, 60, 90}) {  // slices: in the prompt, and in the answer
        CAPTURE(before);
        REQUIRE(olv_session_clear(session) == OLV_OK);
        REQUIRE(olv_ask(session, question.c_str()) == OLV_OK);
        for (int tick = 0; tick < before; ++tick)
            REQUIRE(olv_tick(it.device, 0) == OLV_OK);  // a slice each
        REQUIRE(olv_busy(it.device) == 1);
        REQUIRE(olv_cancel(session) == OLV_OK);
        olv_stats stats = OLV_STATS;
        REQUIRE(olv_device_stats(it.device, &stats) == OLV_OK);
        const uint64_t slices = stats.slices;
        while (olv_busy(it.device))
            REQUIRE(olv_tick(it.device, 0) == OLV_OK);
        REQUIRE(olv_device_stats(it.device, &stats) == OLV_OK);
        CHECK(stats.slices - slices <= 2);  // the rest of one, and the end of the job
        olv_event event = OLV_EVENT;
        while (olv_next_event(session, &event) == OLV_OK)
            continue;
        CHECK(event.kind == OLV_EVENT_DONE);
        CHECK(event.end == OLV_END_CANCELLED);
    }
}

TEST_CASE("an answer ends where it is cancelled, and the talk goes on") {
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    Opened it(work);
    olv_session* session = it.session(nullptr, 200);
    const Answer stopped =
        ask(it.device, session, "Tell me a long story.", [&](const std::string& text) {
            if (text.size() > 10)
                REQUIRE(olv_cancel(session) == OLV_OK);
        });
    CHECK(stopped.last.end == OLV_END_CANCELLED);
    CHECK(stopped.last.drawn_tokens < 200);
    CHECK(ask(it.device, session, "And now?").error.empty());
    // Before it has begun.
    REQUIRE(olv_ask(session, "Never mind.") == OLV_OK);
    if (work == OLV_TICK) {
        REQUIRE(olv_cancel(session) == OLV_OK);
        CHECK(wait_for(it.device, session).last.result == OLV_CANCELLED);
    }
}

TEST_CASE("what is destroyed in the middle of its work leaves the others at theirs") {
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    CAPTURE(work);
    Opened it(work);
    olv_session* session = it.session(nullptr, 400);
    olv_session* other = it.session();
    REQUIRE(olv_ask(session, "Tell me a long story.") == OLV_OK);
    REQUIRE(olv_ask(other, "Hello?") == OLV_OK);
    SECTION("a session") {
        for (int i = 0; i < 5; ++i)
            olv_tick(it.device, 2000);
        olv_session_destroy(session);
        CHECK(wait_for(it.device, other).error.empty());
    }
    SECTION("a model that loads, beside one that answers") {
        olv_model_options options = OLV_MODEL_OPTIONS;
        options.path = OLIVINE_TEST_MODEL;
        olv_model* model = nullptr;
        REQUIRE(olv_model_load(it.device, &options, &model) == OLV_OK);
        olv_tick(it.device, 100);
        olv_model_destroy(model);
        CHECK(wait_for(it.device, other).error.empty());
    }
    SECTION("a model, at work or not") {
        olv_tick(it.device, 1000);
        olv_model_destroy(it.model);
        CHECK(olv_busy(it.device) == 0);
    }
    // And the device, by Opened.
}

TEST_CASE("memory that is taken away and given back changes no word") {
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    Opened it(work, 1, 256);
    olv_session* session = it.session(kPersona, 60);
    const std::string undisturbed = ask(it.device, session, "Tell me a story.").text;
    REQUIRE(olv_session_clear(session) == OLV_OK);
    olv_session_destroy(session);
    session = it.session(kPersona, 60);
    olv_stats stats = OLV_STATS;
    REQUIRE(olv_device_stats(it.device, &stats) == OLV_OK);
    const uint64_t before = stats.bytes_now;
    uint64_t least = before;
    size_t seen = 0;
    const std::string disturbed =
        ask(it.device, session, "Tell me a story.", [&](const std::string& text) {
            ++seen;
            if (seen == 5)
                olv_set_memory_budget(it.device, before * 8 / 10);
            if (seen == 25)
                olv_set_memory_budget(it.device, 0);
            olv_stats now = OLV_STATS;
            olv_device_stats(it.device, &now);
            least = std::min(least, now.bytes_now);
            CHECK(!text.empty());
        }).text;
    CHECK(disturbed == undisturbed);
    for (const std::string& line : it.log)
        UNSCOPED_INFO(line);
    if (work == OLV_TICK)  // the worker may be ahead of who reads
        CHECK(least <= before * 8 / 10);
}

TEST_CASE("a conversation goes on from a file, on another device") {
    const std::string path = std::filesystem::temp_directory_path() / "olivine-embed-test.session";
    std::string expected;
    {
        Opened it(OLV_TICK);
        olv_session* session = it.session(kPersona);
        ask(it.device, session, "Tell me a story.");
        REQUIRE(olv_session_save(session, path.c_str()) == OLV_OK);
        CHECK(wait_for(it.device, session).last.kind == OLV_EVENT_DONE);
        expected = ask(it.device, session, "What then?").text;
    }
    Opened it(OLV_WORKER);
    olv_session* session = it.session(kPersona);
    REQUIRE(olv_session_load(session, path.c_str()) == OLV_OK);
    CHECK(wait_for(it.device, session).last.context_used > 0);
    CHECK(ask(it.device, session, "What then?").text == expected);
    REQUIRE(olv_session_load(session, "/nonexistent") == OLV_OK);
    CHECK(wait_for(it.device, session).last.result == OLV_BAD_FILE);
    std::filesystem::remove(path);
}

TEST_CASE("devices are listed") {
    uint32_t count = 0;
    REQUIRE(olv_device_list(nullptr, &count) == OLV_OK);
    REQUIRE(count > 0);
    std::vector<olv_device_info> infos(count);
    for (olv_device_info& info : infos)
        info.size = sizeof info;
    REQUIRE(olv_device_list(infos.data(), &count) == OLV_OK);
    CHECK(std::string(infos[0].name).size() > 0);
    CHECK(infos[0].memory_bytes > 0);
}

TEST_CASE("devices, models and sessions come and go") {
    for (int i = 0; i < 10; ++i) {
        Opened it(i % 2 == 0 ? OLV_TICK : OLV_WORKER);
        olv_session* session = it.session(nullptr, 2);
        if (i % 3 != 0)
            CHECK(ask(it.device, session, "Hello?").error.empty());
    }
}
