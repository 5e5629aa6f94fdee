// What answers are to be, through the C interface: choices, a JSON schema, allowed tokens.
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/embed/support.h"
#include "tests/support/json_schema.h"

using nlohmann::json;

namespace {

constexpr const char* kGuard = R"({"type": "object", "properties": {
    "mood": {"enum": ["friendly", "hostile"]}, "line": {"type": "string", "maxLength": 40}},
    "required": ["mood", "line"]})";

struct Guard : olivine::test::Opened {
    Guard() : Opened(OLV_TICK, 1, 512) { with_seed(1); }

    void with_seed(uint64_t seed) {
        olv_session_destroy(session);
        olv_session_options options = OLV_SESSION_OPTIONS;
        options.seed = seed;
        options.top_k = 0;
        options.top_p = 1;
        options.max_tokens = 200;
        REQUIRE(olv_session_create(model, &options, &session) == OLV_OK);
    }

    std::string ask(const olv_ask_options& options) {
        if (olv_ask_with(session, "May I pass?", &options) != OLV_OK)
            FAIL(olv_last_error());
        const olivine::test::Answer answer = olivine::test::wait_for(device, session);
        CHECK(answer.error.empty());
        last = answer.last;
        return answer.text;
    }

    olv_session* session = nullptr;
    olv_event last = OLV_EVENT;
};

}  // namespace

TEST_CASE("a guard answers in JSON of a schema") {
    Guard guard;
    olv_ask_options options = OLV_ASK_OPTIONS;
    options.json_schema = kGuard;
    std::set<std::string> answers;
    for (uint64_t seed = 0; seed < 5; ++seed) {
        guard.with_seed(seed);
        const std::string text = guard.ask(options);
        CAPTURE(text);
        const json value = json::parse(text, nullptr, false);
        REQUIRE(!value.is_discarded());
        CHECK(olivine::test::fits_schema(json::parse(kGuard), value));
        CHECK(guard.last.end == OLV_END_MODEL);
        answers.insert(text);
        guard.with_seed(seed);
        CHECK(guard.ask(options) == text);
    }
    CHECK(answers.size() == 5);
    options.max_tokens = 4;
    guard.with_seed(0);
    guard.ask(options);
    CHECK(guard.last.end == OLV_END_MAX_TOKENS);
    CHECK(guard.last.drawn_tokens == 4);
}

TEST_CASE("a guard chooses among texts, and of the tokens that are allowed") {
    Guard guard;
    const char* const choices[] = {"friendly", "hostile", "friendly, but tired"};
    olv_ask_options options = OLV_ASK_OPTIONS;
    options.choices = choices;
    options.choice_count = 3;
    std::set<std::string> chosen;
    for (uint64_t seed = 0; seed < 10; ++seed) {
        guard.with_seed(seed);
        chosen.insert(guard.ask(options));
    }
    CHECK(chosen.size() > 1);
    for (const std::string& each : chosen)
        CHECK((each == choices[0] || each == choices[1] || each == choices[2]));

    // Nothing with a 'y': of the choices, one is left.
    uint32_t tokens = 0;
    REQUIRE(olv_vocabulary_size(guard.model, &tokens) == OLV_OK);
    std::vector<uint32_t> allowed((tokens + 31) / 32);
    uint32_t silent = 0;
    for (uint32_t token = 0; token < tokens; ++token) {
        const char* text = nullptr;
        uint32_t size = 0;
        REQUIRE(olv_token_text(guard.model, token, &text, &size) == OLV_OK);
        silent += size == 0;
        if (!std::memchr(text, 'y', size))
            allowed[token / 32] |= 1u << (token % 32);
    }
    CHECK((silent > 0 && silent < tokens));
    options = OLV_ASK_OPTIONS;
    options.allowed = allowed.data();
    options.allowed_words = static_cast<uint32_t>(allowed.size());
    guard.with_seed(2);
    CHECK(guard.ask(options).find('y') == std::string::npos);
    options.choices = choices + 1;
    options.choice_count = 1;
    CHECK(guard.ask(options) == "hostile");
    options.choices = choices;
    options.choice_count = 2;
    CHECK(olv_ask_with(guard.session, "May I pass?", &options) == OLV_BAD_INPUT);
    CHECK(std::string(olv_last_error()).find("choice 0") != std::string::npos);
}

TEST_CASE("what is wrong with the form of an answer shows at once") {
    Guard guard;
    olv_ask_options options = OLV_ASK_OPTIONS;
    const auto refused = [&](olv_result result, const char* words) {
        CHECK(olv_ask_with(guard.session, "May I pass?", &options) == result);
        CAPTURE(olv_last_error());
        CHECK(std::string(olv_last_error()).find(words) != std::string::npos);
        options = OLV_ASK_OPTIONS;
    };
    options.json_schema = "{";
    refused(OLV_BAD_INPUT, "JSON");
    options.json_schema = R"({"properties": {"line": {"type": "string", "pattern": "a*"}}})";
    refused(OLV_UNSUPPORTED, "#/properties/line: the keyword 'pattern'");
    const char* const choices[] = {"yes", nullptr};
    options.choices = choices;
    refused(OLV_BAD_INPUT, "no text");
    options.choices = choices;
    options.choice_count = 2;
    refused(OLV_BAD_INPUT, "Choice 1");
    options.choice_count = 2;
    refused(OLV_BAD_INPUT, "choice_count");
    options.choices = choices;
    options.choice_count = 1;
    options.json_schema = kGuard;
    refused(OLV_BAD_INPUT, "choices and a json_schema");
    const uint32_t word = 1;
    options.allowed = &word;
    options.allowed_words = 1;
    refused(OLV_BAD_INPUT, "allowed_words is 1");
    options.allowed_words = 1;
    refused(OLV_BAD_INPUT, "allowed_words is 1");
    options.size = 1;
    refused(OLV_BAD_INPUT, "initialised");
    CHECK(olv_ask_with(guard.session, "May I pass?", nullptr) == OLV_BAD_INPUT);
    CHECK(olv_ask_with(guard.session, nullptr, &options) == OLV_BAD_INPUT);
    CHECK(olv_ask_with(nullptr, "May I pass?", &options) == OLV_BAD_INPUT);

    uint32_t tokens = 0, size = 0;
    const char* text = nullptr;
    CHECK(olv_vocabulary_size(nullptr, &tokens) == OLV_BAD_INPUT);
    CHECK(olv_vocabulary_size(guard.model, nullptr) == OLV_BAD_INPUT);
    REQUIRE(olv_vocabulary_size(guard.model, &tokens) == OLV_OK);
    CHECK(olv_token_text(guard.model, tokens, &text, &size) == OLV_BAD_INPUT);
    CHECK(olv_token_text(guard.model, 0, nullptr, &size) == OLV_BAD_INPUT);
    CHECK(olv_token_text(guard.model, 0, &text, nullptr) == OLV_BAD_INPUT);
    // The session is as it was.
    CHECK(!guard.ask(options).empty());
}
