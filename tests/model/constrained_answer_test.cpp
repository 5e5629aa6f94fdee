// Answers of the built-in model under constraints: in talks, in batches, on devices that are lost
// or short of memory.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "engine/error.h"
#include "model/chat.h"
#include "tests/model/checkpoint_files.h"
#include "tests/support/json_schema.h"
#include "tests/support/loaded.h"

namespace olivine::test {
namespace {

using nlohmann::json;

const std::string kModel = std::string(OLIVINE_TEST_GOLDENS) + "/../../assets/pebble";
// Steps run together as far as they may.
constexpr ContextOptions kOptions{
    .context = 300, .sequences = 3, .chain_seconds = 1000, .kv = KvType::f32};
constexpr const char* kGuard = R"({"type": "object", "properties": {
    "mood": {"enum": ["friendly", "hostile"]}, "line": {"type": "string", "maxLength": 40},
    "gold": {"type": "integer"}}, "required": ["mood", "line"]})";

struct Speaker {
    explicit Speaker(const ContextOptions& options = kOptions)
        : loaded(kModel),
          tokenizer(Tokenizer::open(kModel)),
          vocabulary(std::make_shared<const Vocabulary>(tokenizer)),
          generator(loaded.model, options) {}

    std::shared_ptr<Constraint> guard() { return Constraint::json(vocabulary, kGuard); }
    // With every id that is likely or not, so that a mask without effect is seen.
    GenerateRequest request(const std::string& text, uint64_t seed,
                            std::shared_ptr<Constraint> constraint) {
        GenerateRequest request{.prompt = {*tokenizer.specials().bos},
                                .max_tokens = 120,
                                .sampler = {.temperature = 1, .top_k = 0, .top_p = 1, .seed = seed},
                                .stop_ids = {*tokenizer.specials().end_of_turn},
                                .constraint = std::move(constraint)};
        const std::vector<int32_t> ids = tokenizer.encode(text);
        request.prompt.insert(request.prompt.end(), ids.begin(), ids.end());
        return request;
    }
    std::string text(const std::vector<int32_t>& ids) const {
        std::string all;
        for (const int32_t id : ids)
            all += tokenizer.bytes(id);
        return all;
    }

    Loaded loaded;
    Tokenizer tokenizer;
    std::shared_ptr<const Vocabulary> vocabulary;
    Generator generator;
};

ChatOptions freely(uint64_t seed) {
    ChatOptions options;
    options.sampler = {.temperature = 1, .top_k = 0, .top_p = 1, .seed = seed};
    return options;
}

const auto kIgnored = [](std::string_view) {};

bool is_guards(const std::string& text) {
    const json value = json::parse(text, nullptr, false);
    return !value.is_discarded() && fits_schema(json::parse(kGuard), value);
}

}  // namespace

TEST_CASE("a talk has the answers that its constraint allows", "[model][constraint]") {
    Speaker speaker;
    const auto guard = speaker.guard();
    std::set<std::string> answers;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        CAPTURE(seed);
        Chat chat(speaker.generator, speaker.tokenizer, freely(seed));
        std::string told;
        const Turn& turn = chat.ask("May I pass?", [&](std::string_view some) { told += some; }, {},
                                    {.constraint = guard});
        CAPTURE(turn.answer);
        CHECK(is_guards(turn.answer));
        CHECK(told == turn.answer);
        CHECK(chat.stats().drawn_tokens == turn.answer_ids.size());  // nothing to end it by
        CHECK(chat.last_end() == EndReason::stop_id);
        answers.insert(turn.answer);
        // The same again, with other words; and a question without a constraint goes on as ever.
        CHECK(is_guards(chat.regenerate(kIgnored).answer));
        CHECK(!is_guards(chat.ask("And now?", kIgnored).answer));
    }
    // In a file, it is an answer like others.
    Chat kept(speaker.generator, speaker.tokenizer, freely(1));
    kept.ask("May I pass?", kIgnored, {}, {.constraint = guard});
    const TemporaryFolder folder;
    kept.save(folder.path("talk"));
    kept.load(File::open(folder.path("talk")));
    CHECK(!is_guards(kept.regenerate(kIgnored).answer));
    CHECK(answers.size() == 20);

    const std::vector<std::string> choices = {"yes", "yes, but go fast", "no"};
    const auto choice = Constraint::choices(speaker.vocabulary, choices);
    std::set<std::string> chosen;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        Chat chat(speaker.generator, speaker.tokenizer, freely(seed));
        chosen.insert(chat.ask("May I pass?", kIgnored, {}, {.constraint = choice}).answer);
        CHECK(chat.last_end() == EndReason::stop_id);
    }
    CHECK(chosen.size() > 1);
    for (const std::string& each : chosen)
        CHECK(std::ranges::count(choices, each) == 1);
}

TEST_CASE("an answer that is cut keeps what it has of its form", "[model][constraint]") {
    Speaker speaker;
    Chat chat(speaker.generator, speaker.tokenizer, freely(1));
    const auto guard = speaker.guard();
    const std::string whole = chat.ask("May I pass?", kIgnored, {}, {.constraint = guard}).answer;
    chat.clear();
    chat.options().sampler.seed = 1;
    const std::string cut =
        chat.ask("May I pass?", kIgnored, {}, {.max_tokens = 6, .constraint = guard}).answer;
    CHECK(chat.last_end() == EndReason::max_tokens);
    CHECK(chat.stats().drawn_tokens == 6);
    CHECK(whole.starts_with(cut));
    CHECK(cut.size() < whole.size());
}

TEST_CASE("a constraint holds on where a full context forgets in the middle of the answer",
          "[model][constraint]") {
    Speaker speaker({.context = 150, .sequences = 1});
    ChatOptions options = freely(5);
    options.shift = true;
    Chat chat(speaker.generator, speaker.tokenizer, options);
    chat.ask("Tell me a story about a fox and a bear.", kIgnored, {}, {.max_tokens = 60});
    const auto constraint = Constraint::json(
        speaker.vocabulary,
        R"({"type": "array", "items": {"type": "string", "minLength": 30, "maxLength": 30},
                                "minItems": 4, "maxItems": 4})");
    const std::string answer = chat.ask("Who?", kIgnored, {}, {.constraint = constraint}).answer;
    CAPTURE(answer);
    CHECK(chat.forgot() > 0);
    const json value = json::parse(answer, nullptr, false);
    REQUIRE(value.is_array());
    CHECK(value.size() == 4);
}

TEST_CASE("ids that are not allowed are not drawn, and those that end an answer always are allowed",
          "[model][constraint]") {
    const uint32_t drafts = GENERATE(0u, 3u);
    ContextOptions options = kOptions;
    options.drafts = drafts;
    Speaker speaker(options);
    std::vector<uint32_t> allowed(speaker.vocabulary->mask_words());
    for (int32_t id = 0; id < speaker.tokenizer.size(); ++id)
        if (const std::string bytes = speaker.tokenizer.bytes(id);
            !bytes.empty() && bytes.find('e') == std::string::npos)
            allowed[static_cast<uint32_t>(id) / 32] |= 1u << (id % 32);
    uint32_t ended = 0;
    for (uint64_t seed = 0; seed < 10; ++seed) {
        GenerateRequest request = speaker.request("Tell me a story.", seed, nullptr);
        request.allowed = allowed;
        const GenerateResult result = speaker.generator.generate({&request, 1})[0];
        CHECK(speaker.text(result.ids).find('e') == std::string::npos);
        ended += result.end == EndReason::stop_id;
        request.allowed.assign(speaker.vocabulary->mask_words(), 0);
        CHECK(speaker.generator.generate({&request, 1})[0].ids == request.stop_ids);
        request.stop_ids.clear();
        CHECK_THROWS_AS(speaker.generator.generate({&request, 1}), Error);
        // Of both, what both allow.
        Chat chat(speaker.generator, speaker.tokenizer, freely(seed));
        const json value = json::parse(
            chat.ask(
                    "Hello?", kIgnored, {},
                    {.allowed = allowed,
                     .constraint = Constraint::json(
                         speaker.vocabulary,
                         R"({"type": "object", "properties": {"a": {"type": "string", "maxLength": 20}}})",
                         allowed)})
                .answer,
            nullptr, false);
        REQUIRE(value.is_object());
        CHECK(value.value("a", "").find('e') == std::string::npos);
    }
    CHECK(ended > 0);
}

TEST_CASE("beside an answer with a constraint, the others are what each is alone",
          "[model][constraint]") {
    Speaker speaker;
    const auto guard = speaker.guard();
    const std::vector<GenerateRequest> requests = {
        speaker.request("Tell me a story.", 1, nullptr), speaker.request("May I pass?", 2, guard),
        speaker.request("Who are you? Tell me more.", 3, nullptr)};
    std::vector<std::vector<int32_t>> alone;
    for (const GenerateRequest& request : requests)
        alone.push_back(speaker.generator.generate({&request, 1})[0].ids);
    CHECK(is_guards(speaker.text(alone[1])));
    const std::vector<GenerateResult> together = speaker.generator.generate(requests);
    for (size_t i = 0; i < requests.size(); ++i)
        CHECK(together[i].ids == alone[i]);

    // And with a generator that guesses where it may.
    ContextOptions options = kOptions;
    options.drafts = 3;
    Speaker guesser(options);
    GenerateRequest request = requests[1];
    CHECK(guesser.generator.generate({&request, 1})[0].ids == alone[1]);
    CHECK(guesser.generator.stats().drafted_tokens == 0);
}

TEST_CASE("an answer with a constraint goes on with the same words on a device that was lost",
          "[model][constraint]") {
    Speaker speaker;
    const std::vector<GenerateRequest> requests = {
        speaker.request("May I pass?", 4, speaker.guard()),
        speaker.request("Tell me a story.", 5, nullptr)};
    const std::vector<GenerateResult> right = speaker.generator.generate(requests);
    CHECK(is_guards(speaker.text(right[0].ids)));
    const size_t last = right[0].ids.size();
    for (const size_t at : {size_t{1}, last / 2}) {
        size_t told = 0;
        bool lost = false;
        const std::vector<GenerateResult> results =
            speaker.generator.generate(requests, [&](uint32_t prompt, int32_t) {
                told += prompt == 0;
                if (told == at && !std::exchange(lost, true))
                    fail(Fault::device_lost, "A test says that the device is lost.");
                return true;
            });
        CHECK(results[0].ids == right[0].ids);
        CHECK(results[1].ids == right[1].ids);
    }
}

TEST_CASE("an answer with a constraint has the same words where memory is short",
          "[model][constraint]") {
    Speaker speaker;
    const GenerateRequest request = speaker.request("May I pass?", 6, speaker.guard());
    const std::vector<int32_t> right = speaker.generator.generate({&request, 1})[0].ids;
    CHECK(is_guards(speaker.text(right)));
    REQUIRE(right.size() > 10);
    const uint64_t bytes = speaker.loaded.device.bytes_now();
    SECTION("so that weights stream") {
        speaker.loaded.model.set_budget(bytes * 9 / 10);
        REQUIRE(speaker.loaded.model.residency().streams);
        speaker.generator.context().rewind(0, 0);
        CHECK(speaker.generator.generate({&request, 1})[0].ids == right);
    }
    SECTION("for a while, so that its context is made anew") {
        size_t told = 0;
        const auto disturb = [&](uint32_t, int32_t) {
            if (++told == 4)
                speaker.generator.set_budget(bytes * 8 / 10);
            if (told == 9)
                speaker.generator.set_budget(speaker.loaded.device.info().memory_bytes);
            CHECK(speaker.generator.lean() == (told >= 4 && told < 9));
            return true;
        };
        CHECK(speaker.generator.generate({&request, 1}, disturb)[0].ids == right);
    }
}

}  // namespace olivine::test
