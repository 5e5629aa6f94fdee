// Memory that a program takes away while a session answers, and gives back.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <string>
#include <vector>

#include "tests/embed/support.h"

using namespace olivine::test;

namespace {

uint64_t bytes_now(olv_device* device) {
    olv_stats stats = OLV_STATS;
    REQUIRE(olv_device_stats(device, &stats) == OLV_OK);
    return stats.bytes_now;
}

const char* const kPersonas[] = {"You are a baker.", "You are a fox.", "You are a river."};

}  // namespace

TEST_CASE("memory goes to 40 % and comes back, and no word changes") {
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    CAPTURE(work);
    std::vector<std::string> answers[2];
    for (const bool disturbed : {false, true}) {
        Opened it(work, 4, 1024);
        std::vector<olv_session*> sessions;
        for (const char* persona : kPersonas) {
            sessions.push_back(it.session(persona, 40));
            answers[disturbed].push_back(ask(it.device, sessions.back(), "Who are you?").text);
        }
        const uint64_t whole = bytes_now(it.device);
        uint64_t least = whole;
        size_t seen = 0;
        answers[disturbed].push_back(
            ask(it.device, sessions[1], "Tell me a story.", [&](const std::string&) {
                ++seen;
                if (disturbed && seen == 5)
                    CHECK(olv_set_memory_budget(it.device, whole * 4 / 10) == OLV_OK);
                if (disturbed && seen == 25)
                    CHECK(olv_set_memory_budget(it.device, 0) == OLV_OK);
                least = std::min(least, bytes_now(it.device));
            }).text);
        CHECK(seen > 30);
        for (const std::string& line : it.log)
            UNSCOPED_INFO(line);
        if (disturbed && work == OLV_TICK)  // the worker may be ahead of who reads
            CHECK(least <= whole * 4 / 10);
        // All three go on, from what they held.
        for (olv_session* session : sessions) {
            const Answer next = ask(it.device, session, "And then?");
            answers[disturbed].push_back(next.text);
            CHECK(next.last.cached_tokens > 10);
        }
        if (disturbed && work == OLV_TICK)
            CHECK(bytes_now(it.device) > least * 3 / 2);
    }
    CHECK(answers[0] == answers[1]);
}

TEST_CASE("sessions take turns in little memory") {
    std::vector<std::string> answers[2];
    for (const bool lean : {false, true}) {
        Opened it(OLV_TICK, 4, 1024);
        std::vector<olv_session*> sessions;
        for (const char* persona : kPersonas) {
            sessions.push_back(it.session(persona, 16));
            answers[lean].push_back(ask(it.device, sessions.back(), "Who are you?").text);
        }
        const uint64_t whole = bytes_now(it.device);
        if (lean)
            REQUIRE(olv_set_memory_budget(it.device, whole * 4 / 10) == OLV_OK);
        for (int round = 0; round < 2; ++round)
            for (olv_session* session : sessions) {
                const Answer next = ask(it.device, session, "And then?");
                answers[lean].push_back(next.text);
                CHECK(next.last.cached_tokens > 10);  // it came back from the host
                if (lean)
                    CHECK(bytes_now(it.device) <= whole * 4 / 10);
            }
    }
    CHECK(answers[0] == answers[1]);
}

TEST_CASE("a budget that nothing fits is told, and changes nothing") {
    Opened it(OLV_TICK, 2, 512);
    olv_session* session = it.session();
    const std::string first = ask(it.device, session, "Hello?").text;
    const uint64_t before = bytes_now(it.device);
    REQUIRE(olv_set_memory_budget(it.device, 100'000) == OLV_OK);
    CHECK(ask(it.device, session, "And then?").error == "");
    REQUIRE(it.log.size() == 1);
    CHECK(it.log[0].find("100000") != std::string::npos);
    CHECK(bytes_now(it.device) >= before);
}
