// Conversations whose turns come from elsewhere, and answers that go on.
#include <time.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>

#include "engine/error.h"
#include "model/chat_template.h"
#include "tests/model/talk.h"

namespace olivine::test {
namespace {

// What a prompt runs by and what a step runs by are rounded alike.
constexpr ContextOptions kExact{.context = 900, .kv = KvType::f32};

ChatOptions greedy(const std::string& system = "You are a kind teller.") {
    ChatOptions options = fifty(system);
    options.sampler.temperature = 0;
    return options;
}

const auto kNobody = [](std::string_view) {};

Fault failure(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {  // the thing under test
        return error.fault();
    }
    return Fault::internal;
}

// Of the calling thread, which encodes; a software driver's threads are others.
double host_seconds(const std::function<void()>& work) {
    const auto now = [] {
        timespec time{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
    };
    const double begin = now();
    work();
    return now() - begin;
}

// What the model sees of a conversation from one of its turns on, by the template alone: the last
// question's end comes last.
std::vector<int32_t> seen_from(const Talk& talk, const std::string& system, size_t first) {
    const ChatTemplate made(talk.tokenizer);
    const std::vector<Turn>& turns = talk.chat.turns();
    std::vector<int32_t> ids = made.prompt(std::vector<Message>{
        {Message::Role::system, system}, {Message::Role::user, turns[first].user}});
    for (size_t i = first + 1; i < turns.size(); ++i) {
        ids.insert(ids.end(), turns[i - 1].answer_ids.begin(), turns[i - 1].answer_ids.end());
        const std::vector<int32_t> next =
            made.next_turn({Message::Role::user, turns[i].user}, false);
        ids.insert(ids.end(), next.begin(), next.end());
    }
    return ids;
}

// Answers end where they are stopped, whatever the model thinks of that.
void never_end(Talk& talk) {
    talk.generator.forbid(ChatTemplate(talk.tokenizer).stop_ids());
}

// A bit for each of these ids alone.
std::vector<uint32_t> only(const std::vector<int32_t>& ids, size_t size) {
    std::vector<uint32_t> mask((size + 31) / 32);
    for (const int32_t id : ids)
        mask[static_cast<uint32_t>(id) / 32] |= 1u << (id % 32);
    return mask;
}

}  // namespace

TEST_CASE("turns from elsewhere are read as those that were said here", "[model][chat]") {
    Talk first(kExact, greedy());
    first.ask("Tell me a story about a fox.");
    first.ask("Who else is there?");
    const std::vector<Turn> turns = first.chat.turns();
    const std::string want = first.ask("And then?");
    REQUIRE(!want.empty());
    const uint32_t prompt = first.chat.stats().prompt_tokens;

    Talk second(kExact, greedy());
    second.chat.set_turns(turns);
    CHECK(second.loaded.device.counters().submissions == 0);  // nothing runs
    CHECK(second.ask("And then?") == want);
    CHECK(second.chat.stats().prompt_tokens == prompt);
    CHECK(second.chat.stats().cached_tokens == 0);
    CHECK(second.chat.turns().size() == 3);

    // Another branch begins as the one before, and is read from there.
    second.chat.set_turns({turns[0]});
    second.ask("Is it a clever one?");
    const uint32_t shared =
        static_cast<uint32_t>(seen_from(second, "You are a kind teller.", 0).size()) - 20;
    CHECK(second.chat.stats().cached_tokens >= shared);
    first.chat.set_turns({turns[0]});
    CHECK(first.ask("Is it a clever one?") == second.chat.turns()[1].answer);

    // Back again; the last question, asked once more.
    second.chat.set_turns({turns[0], turns[1], {"And then?", {}, {}, {}}});
    CHECK(second.chat.regenerate(kNobody).answer == want);
    CHECK(second.loaded.device.validation_messages() == 0);
}

TEST_CASE("an answer without ids is encoded, one that is missing is not", "[model][chat]") {
    Talk talk(kExact, greedy());
    const std::string said = "Once upon a time, there was a f\xc3\xb6x \xf0\x9f\xa6\x8a.";
    const std::vector<int32_t> own = talk.tokenizer.encode("o");
    talk.chat.set_turns({{"Tell me a story.", {}, said, {}},
                         {"Another one.", {}, "ooo", {own[0], own[0], own[0]}},
                         {"And then?", {}, {}, {}}});
    CHECK(talk.chat.turns()[0].answer_ids == talk.tokenizer.encode(said));
    CHECK(talk.chat.turns()[1].answer_ids == std::vector<int32_t>(3, own[0]));
    CHECK(talk.chat.turns()[2].answer_ids.empty());
    const std::vector<int32_t> prompt = seen_from(talk, "You are a kind teller.", 0);

    SECTION("the last question is answered") {
        const Turn& turn =
            GENERATE(true, false) ? talk.chat.regenerate(kNobody) : talk.chat.go_on(kNobody);
        CHECK(!turn.answer.empty());
        CHECK(talk.chat.stats().prompt_tokens == prompt.size());
    }
    SECTION("another one follows it, as behind an answer that was stopped") {
        CHECK(!talk.ask("Go on.").empty());
        CHECK(talk.chat.turns().size() == 4);
        CHECK(talk.chat.stats().prompt_tokens ==
              seen_from(talk, "You are a kind teller.", 0).size());
    }
}

TEST_CASE("no turns are a fresh conversation, with the same seed", "[model][chat]") {
    Talk talk({.context = 900}, fifty());
    const std::string want = talk.ask("Tell me a story.");
    talk.show();
    talk.chat.set_turns({});
    CHECK(talk.chat.turns().empty());
    CHECK(talk.chat.attached().empty());
    CHECK(talk.chat.options().sampler.seed == 3);
    CHECK(talk.ask("Tell me a story.") == want);
    talk.chat.clear();
    CHECK(talk.chat.options().sampler.seed == 4);
}

TEST_CASE("pictures of turns from elsewhere are made again", "[model][chat]") {
    Talk first(kExact, greedy());
    first.show();
    first.ask("What do you see?");
    const std::string want = first.ask("What is red?");
    std::vector<Turn> turns = {first.chat.turns()[0]};
    const PictureRef shown = turns[0].pictures.at(0).encoded.at(0);

    const Picture picture = Talk::two_shapes();
    const std::string name = "two shapes";
    const auto encode = [&](const Talk& talk) {
        return talk.chat.encode(std::span(&picture, 1), std::span(&name, 1));
    };
    // In the same process it is known, and the context holds it.
    const uint64_t submissions = first.loaded.device.counters().submissions;
    turns[0].pictures = encode(first);
    CHECK(first.loaded.device.counters().submissions == submissions);
    CHECK(turns[0].pictures.at(0).encoded.at(0) == shown);
    CHECK(turns[0].pictures.at(0).name == name);
    CHECK(first.chat.attached().empty());
    first.chat.set_turns(turns);
    CHECK(first.ask("What is red?") == want);
    CHECK(first.chat.stats().cached_tokens > first.loaded.model.config().mm_tokens_per_image);
    // In another one it is not.
    Talk second(kExact, greedy());
    second.ask("Tell me a story.");
    turns[0].pictures = encode(second);
    second.chat.set_turns(turns);
    CHECK(second.ask("What is red?") == want);
    CHECK(second.loaded.device.validation_messages() == 0);
}

TEST_CASE("an answer that goes on has the words of one that never ended", "[model][chat]") {
    ChatOptions options = fifty();
    options.sampler.seed = GENERATE(3u, 4u);
    Talk whole(kExact, options), parts(kExact, options);
    whole.ask("Tell me a story about a fox.");
    const Turn want = whole.chat.turns()[0];
    REQUIRE(want.answer_ids.size() == 50);
    whole.ask("And then?");

    uint32_t told = 0;
    parts.chat.options().on_token = [&](int32_t) { ++told; };
    const bool stopped = GENERATE(true, false);
    CAPTURE(stopped);
    AnswerOptions twenty{.max_tokens = 20};
    if (stopped)  // by the person
        parts.chat.ask("Tell me a story about a fox.", kNobody, [&] { return told >= 20; });
    else
        parts.chat.ask("Tell me a story about a fox.", kNobody, {}, twenty);
    const Turn begun = parts.chat.turns()[0];
    REQUIRE(begun.answer_ids.size() >= 20);
    REQUIRE(begun.answer_ids.size() < 50);
    told = 0;
    const uint32_t more = 50 - static_cast<uint32_t>(begun.answer_ids.size());
    std::string heard = begun.answer;
    const Turn& turn =
        parts.chat.go_on([&](std::string_view text) { heard += text; }, {}, {.max_tokens = more});
    CHECK(turn.answer_ids == want.answer_ids);
    CHECK(turn.answer == want.answer);
    CHECK(heard == want.answer);
    CHECK(told == more);
    CHECK(parts.chat.last_end() == EndReason::max_tokens);
    const GenerateStats& stats = parts.chat.stats();
    CHECK(stats.prompt_tokens ==
          seen_from(parts, "You are a kind teller.", 0).size() + begun.answer_ids.size());
    CHECK(stats.cached_tokens + 1 >= stats.prompt_tokens);
    CHECK(stats.drawn_tokens == more);
    // What follows is as if it had never been in parts.
    CHECK(parts.ask("And then?") == whole.chat.turns()[1].answer);
    CHECK(parts.chat.stats().cached_tokens + 30 >= parts.chat.stats().prompt_tokens);
    CHECK(parts.loaded.device.validation_messages() == 0);
}

TEST_CASE("an answer goes on without an end of its own", "[model][chat]") {
    Talk talk(kExact, greedy());
    SECTION("where the model has ended it, which it may again") {
        talk.chat.options().max_tokens = 0;
        talk.ask("Tell me a story about a fox.");
        REQUIRE(talk.chat.last_end() == EndReason::stop_id);
    }
    SECTION("where a stop text has ended it") {
        talk.chat.options().stop = {"the"};
        talk.ask("Tell me a story about a fox.");
        REQUIRE(talk.chat.last_end() == EndReason::stop_id);
    }
    const Turn before = talk.chat.turns()[0];
    std::string heard;
    const Turn& turn = talk.chat.go_on([&](std::string_view text) { heard += text; });
    CHECK(turn.answer == before.answer + heard);
    REQUIRE(turn.answer_ids.size() >= before.answer_ids.size());
    CHECK(std::equal(before.answer_ids.begin(), before.answer_ids.end(), turn.answer_ids.begin()));
    CHECK(talk.chat.turns().size() == 1);
    CHECK(talk.chat.stats().cached_tokens + 1 >= talk.chat.stats().prompt_tokens);
}

TEST_CASE("a character that the end of an answer has cut is whole when it goes on",
          "[model][chat]") {
    Talk talk(kExact, greedy());
    never_end(talk);
    std::vector<int32_t> bytes;  // of a fox's face
    for (const char* piece : {"<0xF0>", "<0x9F>", "<0xA6>", "<0x8A>"})
        bytes.push_back(talk.tokenizer.id_of(piece).value());
    const size_t size = static_cast<size_t>(talk.tokenizer.size());
    const auto byte = [&](size_t i) {
        return AnswerOptions{.max_tokens = 1, .allowed = only({bytes[i]}, size)};
    };
    std::string heard;
    const auto hear = [&](std::string_view text) { heard += text; };
    const size_t cut = GENERATE(1, 2, 3);  // bytes that are there
    CAPTURE(cut);
    std::vector<int32_t> ids = talk.tokenizer.encode("A fox: ");
    ids.insert(ids.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut));
    talk.chat.set_turns({{"Tell me a story.", {}, "A fox: \xef\xbf\xbd", ids}});

    SECTION("byte by byte") {
        for (size_t i = cut; i < 4; ++i) {
            heard.clear();
            const Turn& turn = talk.chat.go_on(hear, {}, byte(i));
            const std::string last = i < 3 ? "\xef\xbf\xbd" : "\xf0\x9f\xa6\x8a";
            CHECK(turn.answer == "A fox: " + last);
            CHECK(heard == last);
            REQUIRE(turn.answer_ids.size() == ids.size() + i - cut + 1);
            CHECK(turn.answer_ids.back() == bytes[i]);
        }
    }
    SECTION("unless it comes to nothing") {
        AnswerOptions other{.max_tokens = 1,
                            .allowed = only({talk.tokenizer.encode("o")[0]}, size)};
        CHECK(talk.chat.go_on(hear, {}, other).answer == "A fox: \xef\xbf\xbdo");
        CHECK(heard == "\xef\xbf\xbdo");
    }
    SECTION("or is stopped before") {
        CHECK(talk.chat
                  .go_on(
                      hear, [] { return true; }, byte(cut))
                  .answer.starts_with("A fox: "));
        const std::vector<int32_t>& now = talk.chat.turns()[0].answer_ids;
        CHECK(std::equal(ids.begin(), ids.end(), now.begin()));
    }
    SECTION("or was never cut: the answer has U+FFFD of its own") {
        const std::string own = "A fox: \xef\xbf\xbd";
        talk.chat.set_turns({{"Tell me a story.", {}, own, {}}});
        AnswerOptions other{.max_tokens = 1,
                            .allowed = only({talk.tokenizer.encode("o")[0]}, size)};
        CHECK(talk.chat.go_on(hear, {}, other).answer == own + "o");
        CHECK(heard == "o");
    }
}

TEST_CASE("an answer that cannot go on stays as it is", "[model][chat]") {
    Talk talk({.context = 120, .kv = KvType::f32}, greedy());
    CHECK(failure([&] { talk.chat.go_on(kNobody); }) == Fault::bad_input);  // there is none

    std::vector<int32_t> ids = talk.tokenizer.encode("A fox.");
    ids.push_back(talk.tokenizer.id_of("<0xF0>").value());
    const Turn cut{"Tell me a story.", {}, "A fox.\xef\xbf\xbd", ids};
    const auto same = [&](const Turn& want) {
        const Turn& turn = talk.chat.turns().back();
        return turn.user == want.user && turn.answer == want.answer &&
               turn.answer_ids == want.answer_ids;
    };
    SECTION("since an error comes in between") {
        talk.chat.set_turns({cut});
        never_end(talk);
        uint32_t left = 5;
        talk.chat.options().on_token = [&](int32_t) {
            if (--left == 0)
                fail(Fault::out_of_memory, "There is no more.");
        };
        CHECK(failure([&] { talk.chat.go_on(kNobody); }) == Fault::out_of_memory);
        CHECK(left == 0);
        CHECK(same(cut));
        left = 5;
        CHECK(failure([&] { talk.chat.regenerate(kNobody); }) == Fault::out_of_memory);
        CHECK(same(cut));
        CHECK(talk.chat.options().sampler.seed == 3);
        talk.chat.options().on_token = {};
        CHECK(talk.chat.go_on(kNobody).answer.starts_with("A fox."));
    }
    SECTION("since it is under a constraint") {
        const auto vocabulary = std::make_shared<const Vocabulary>(talk.tokenizer);
        const std::vector<std::string> texts = {"yes", "no"};
        const std::shared_ptr<Constraint> constraint = Constraint::choices(vocabulary, texts);
        talk.chat.ask("Is it a fox?", kNobody, {}, {.constraint = constraint});
        const Turn before = talk.chat.turns().back();
        CHECK(failure([&] { talk.chat.go_on(kNobody); }) == Fault::bad_input);
        CHECK(same(before));
        talk.chat.set_turns(talk.chat.turns());  // which know of none
        CHECK(talk.chat.go_on(kNobody).answer.starts_with(before.answer));
        talk.ask("Tell me a story.");
        CHECK(failure([&] { talk.chat.go_on(kNobody, {}, {.constraint = constraint}); }) ==
              Fault::bad_input);
        CHECK(!talk.chat.go_on(kNobody).answer.empty());
    }
    SECTION("since the context is full") {
        never_end(talk);
        talk.chat.options().max_tokens = 0;
        talk.chat.set_turns({cut});
        talk.chat.go_on(kNobody);
        REQUIRE(talk.chat.last_end() == EndReason::context_full);
        const Turn before = talk.chat.turns().back();
        CHECK(failure([&] { talk.chat.go_on(kNobody); }) == Fault::bad_input);
        CHECK(same(before));
    }
}

TEST_CASE("an answer in a full context goes on when turns may be forgotten", "[model][chat]") {
    ChatOptions options = greedy();
    options.max_tokens = 60;
    Talk talk({.context = 200, .kv = KvType::f32}, options);
    never_end(talk);
    const size_t begun = GENERATE(160, 230);  // in the middle, or before the first token
    CAPTURE(begun);
    std::vector<Turn> turns;
    while (turns.empty() || seen_from(talk, options.system, 0).size() < begun) {
        turns.push_back({"Tell me a story.", {}, "There was a fox.", {}});
        talk.chat.set_turns(turns);
    }
    turns.back().answer += " It went into the wood and saw a bear, who sat under a tree.";
    talk.chat.set_turns(turns);
    const std::vector<int32_t> ids = talk.chat.turns().back().answer_ids;
    talk.chat.options().shift = true;
    // What an error ends has forgotten nothing.
    uint32_t left = 59;
    talk.chat.options().on_token = [&](int32_t) {
        if (--left == 0)
            fail(Fault::out_of_memory, "There is no more.");
    };
    CHECK(failure([&] { talk.chat.go_on(kNobody); }) == Fault::out_of_memory);
    CHECK(talk.chat.forgotten_turns() == 0);
    talk.chat.options().on_token = {};
    const Turn& turn = talk.chat.go_on(kNobody);
    CHECK(talk.chat.forgot() > 0);
    CHECK(talk.chat.forgotten_turns() == talk.chat.forgot());
    CHECK(talk.chat.context_used() <= 200);
    CHECK(turn.answer.starts_with(turns.back().answer));
    CHECK(turn.answer_ids.size() == ids.size() + 60);
    CHECK(std::equal(ids.begin(), ids.end(), turn.answer_ids.begin()));
}

TEST_CASE("turns that are forgotten stay so while the conversation begins alike", "[model][chat]") {
    ChatOptions options = greedy();
    options.shift = true;
    Talk talk({.context = 300, .kv = KvType::f32}, options);
    while (talk.chat.forgotten_turns() < 2)
        talk.ask("Tell me a story about a fox and a bear.");
    const uint32_t forgotten = talk.chat.forgotten_turns();
    const std::vector<Turn> turns = talk.chat.turns();
    REQUIRE(forgotten + 1 < turns.size());
    std::vector<Turn> others = turns;
    uint32_t want = forgotten;
    SECTION("as it is") {}
    SECTION("without its last turn") {
        others.pop_back();
    }
    SECTION("with another answer to the first question that is seen") {
        others[forgotten] = {turns[forgotten].user, {}, "No.", {}};
    }
    SECTION("but not with another question there") {
        others[forgotten].user = "Who are you?";
        want = 0;
    }
    SECTION("nor with another answer before") {
        others[forgotten - 1] = {turns[forgotten - 1].user, {}, "No.", {}};
        want = 0;
    }
    SECTION("nor where there are no more turns") {
        others.resize(forgotten);
        want = 0;
    }
    talk.chat.set_turns(others);
    CHECK(talk.chat.forgotten_turns() == want);
    CHECK(!talk.ask("And then?").empty());
    CHECK(talk.chat.context_used() <= 300);
}

TEST_CASE("a conversation of thousands of turns is shortened in no time", "[model][chat]") {
    ChatOptions options = greedy();
    constexpr uint32_t kContext = 400, kTurns = 3000;
    Talk talk({.context = kContext, .kv = KvType::f32}, options);
    talk.ask("Hello");  // what compiles does so now
    std::vector<Turn> turns;
    for (uint32_t i = 0; i < kTurns; ++i)
        turns.push_back({"Tell me story number " + std::to_string(i) + ".",
                         {},
                         "There was a fox" + std::string(i % 7 * 3, '!'),
                         {}});
    CHECK(host_seconds([&] { talk.chat.set_turns(turns); }) < 1);
    // Without leave to forget anything it is refused as a whole.
    CHECK(failure([&] { talk.ask("And then?"); }) == Fault::bad_input);
    CHECK(talk.chat.turns().size() == kTurns);
    CHECK(talk.chat.forgotten_turns() == 0);

    talk.chat.options().shift = true;
    // 0.012 s; where the rest is encoded anew for every turn that goes, 40 s.
    CHECK(host_seconds([&] { talk.chat.ask("And then?", kNobody, {}, {.max_tokens = 1}); }) < 1);
    // As many as leave a quarter free, and no more.
    const uint32_t first = talk.chat.forgotten_turns();
    REQUIRE(first > 0);
    CHECK(talk.chat.forgot() == first);
    CHECK(talk.chat.turns().size() == kTurns + 1);
    CHECK(seen_from(talk, options.system, first).size() <= kContext / 4 * 3);
    CHECK(seen_from(talk, options.system, first - 1).size() > kContext / 4 * 3);
    CHECK(talk.chat.stats().prompt_tokens == seen_from(talk, options.system, first).size());
}

}  // namespace olivine::test
