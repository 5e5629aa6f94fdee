// Guesses of the ids that come next: model/speculation.h, and Context::step_with that checks them.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <random>

#include "engine/error.h"
#include "model/context.h"
#include "model/generator.h"
#include "model/model.h"
#include "model/speculation.h"
#include "tests/support/golden.h"
#include "tests/support/loaded.h"

namespace olivine::test {

TEST_CASE("what followed last time is looked up", "[model][cpu]") {
    using Ids = std::vector<int32_t>;
    CHECK(look_up(Ids{}, 4).empty());
    CHECK(look_up(Ids{1, 2, 3}, 4).empty());
    CHECK(look_up(Ids{1, 2, 3, 4, 5, 1, 2, 3}, 2) == Ids{4, 5});
    CHECK(look_up(Ids{1, 2, 3, 4, 1, 2, 3, 5, 9, 1, 2, 3}, 1) == Ids{5});  // the latest
    CHECK(look_up(Ids{7, 2, 3, 4, 1, 2, 3}, 3) == Ids{4, 1, 2});          // by two ids
    CHECK(look_up(Ids{6, 6, 6, 6}, 5) == Ids{6});
    CHECK(look_up(Ids{1, 2, 3, 4, -1, -1, 1, 2, 3}, 7) == Ids{4});  // not into a picture
}

TEST_CASE("guessing goes on while it pays", "[model][cpu]") {
    DraftLength length(7);
    CHECK(length.next() == 0);  // a step without guesses comes first,
    length.measured(0, 0, 0);   // and one whose time counts
    CHECK(length.next() == 0);
    length.measured(0, 0, 1.0);
    const uint32_t first = length.next();
    REQUIRE(first > 0);
    length.measured(1, 1, 0);  // less was found than was asked for, and it was right
    CHECK(length.next() >= first);
    for (int i = 0; i < 5; ++i)
        length.measured(length.next(), length.next(), 1.2);
    CHECK(length.next() == 7);
    // Wrong all the time, and each try costs three plain steps: it rests, longer each time.
    uint32_t tries = 0;
    for (int i = 0; i < 1000; ++i) {
        const uint32_t drafts = length.next();
        tries += drafts > 0;
        length.measured(drafts, 0, drafts > 0 ? 3.0 : 1.0);
    }
    CHECK(tries >= 3);
    CHECK(tries <= 30);
}

TEST_CASE("guesses, right or wrong, change nothing of what is drawn", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    const uint32_t vocab = loaded.model.config().vocab_size;
    constexpr uint32_t kDrafts = 7;
    constexpr size_t kTokens = 60;
    ContextOptions options{.context = 200, .drafts = kDrafts};
    Context context(loaded.model, options);
    std::mt19937 random(4);
    const struct {
        float temperature, repeat_penalty;
    } cases[] = {{0.0f, 1.0f}, {0.9f, 1.0f}, {0.9f, 1.3f}};
    for (const auto& each : cases) {
        const SamplerOptions sampler{.temperature = each.temperature,
                                     .repeat_penalty = each.repeat_penalty,
                                     .seed = 11};
        CAPTURE(each.temperature, each.repeat_penalty);
        std::vector<int32_t> prompt(70);  // beyond the window
        for (int32_t& id : prompt)
            id = static_cast<int32_t>(random() % vocab);
        context.rewind(0, 0);
        context.prefill(0, prompt, true, {});
        std::vector<int32_t> plain = {context.join(0, sampler)};
        while (plain.size() < kTokens)
            plain.push_back(context.step().front());

        context.rewind(0, 0);
        context.prefill(0, prompt, true, {});
        std::vector<int32_t> guessed = {context.join(0, sampler)};
        uint32_t accepted = 0, drafted = 0;
        while (guessed.size() < kTokens) {
            // Some guesses are right, some go wrong at any place, some steps go without.
            std::vector<int32_t> drafts;
            const size_t count = std::min<size_t>(random() % (kDrafts + 1), kTokens - guessed.size() - 1);
            for (size_t i = 0; i < count; ++i)
                drafts.push_back(random() % 4 == 0 ? static_cast<int32_t>(random() % vocab)
                                                   : plain[guessed.size() + i]);
            const std::span<const int32_t> ids = context.step_with(drafts);
            REQUIRE(ids.size() <= drafts.size() + 1);
            guessed.insert(guessed.end(), ids.begin(), ids.end());
            drafted += static_cast<uint32_t>(drafts.size());
            accepted += static_cast<uint32_t>(ids.size()) - 1;
        }
        CHECK(guessed == plain);
        CHECK(accepted > 0);
        CHECK(accepted < drafted);
        CHECK(context.tokens(0).size() == prompt.size() + kTokens - 1);
    }
}

TEST_CASE("an answer with guesses is the answer without, up to its last token", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    // A prompt that repeats itself, so that there is something to look up.
    GenerateRequest request;
    for (int i = 0; i < 40; ++i)
        request.prompt.push_back(3 + i % 5);
    request.sampler = {.temperature = 0.7f, .seed = 5};
    for (const uint32_t most : {0u, 1u, 2u, 30u}) {  // 0: until the context is full
        request.max_tokens = most;
        CAPTURE(most);
        Generator plain(loaded.model, {.context = 80}), guessing(loaded.model, {.context = 80, .drafts = 7});
        const std::vector<GenerateResult> want = plain.generate(std::span(&request, 1));
        const std::vector<GenerateResult> got = guessing.generate(std::span(&request, 1));
        CHECK(got.front().ids == want.front().ids);
        CHECK(got.front().end == want.front().end);
        if (most == 0) {
            CHECK(got.front().end == EndReason::context_full);
            CHECK(guessing.stats().drafted_tokens > 0);
        }
    }
}

TEST_CASE("a draft model changes nothing of what is drawn", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    const Config& config = loaded.model.config();
    Config smaller = config;  // than the tokens that there are, and of another mind
    smaller.vocab_size = config.vocab_size / 2;
    Model stranger(loaded.device, smaller, DataType::f32);
    GenerateRequest request;
    std::mt19937 random(8);
    for (int i = 0; i < 70; ++i)
        request.prompt.push_back(static_cast<int32_t>(random() % config.vocab_size));
    request.max_tokens = GENERATE(1u, 2u, 40u, 0u);  // 0: until the context is full
    request.sampler = {.temperature = GENERATE(0.0f, 0.9f), .repeat_penalty = 1.1f, .seed = 9};
    CAPTURE(request.max_tokens, request.sampler.temperature);
    const ContextOptions plain_options{.context = 130, .kv = KvType::f32},
        options{.context = 130, .drafts = 7, .kv = KvType::f32};
    Generator plain(loaded.model, plain_options), with_itself(loaded.model, options, &loaded.model),
        with_stranger(loaded.model, options, &stranger);
    // The second time, everything of the prompt and more is there already.
    for (int again = 0; again < 2; ++again) {
        const std::vector<GenerateResult> want = plain.generate(std::span(&request, 1));
        for (Generator* generator : {&with_itself, &with_stranger}) {
            const std::vector<GenerateResult> got = generator->generate(std::span(&request, 1));
            CHECK(got.front().ids == want.front().ids);
            CHECK(got.front().end == want.front().end);
        }
        // The same model draws the same, also by chance, up to where rounding decides.
        const GenerateStats& stats = with_itself.stats();
        if (request.max_tokens != 1 && request.max_tokens != 2) {
            CHECK(stats.drafted_tokens > 0);
            CHECK(stats.accepted_tokens >= stats.drafted_tokens * 9 / 10);
        }
    }
}

TEST_CASE("a draft model that has read on finds its way back", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    std::mt19937 random(10);
    std::vector<int32_t> text(60);
    for (int32_t& id : text)
        id = static_cast<int32_t>(random() % loaded.model.config().vocab_size);
    const std::span<const int32_t> all(text);
    const SamplerOptions sampler{.temperature = 0.8f, .seed = 2};
    const std::vector<uint32_t> allowed(Sampling::mask_words(loaded.model.config().vocab_size), 0xffffffffu);
    Drafter drafter(loaded.model, 64, KvType::f32), fresh(loaded.model, 64, KvType::f32);
    const std::vector<int32_t> first = drafter.guess(all.first(30), 5, sampler, allowed);
    CHECK(first.size() == 5);
    CHECK(fresh.guess(all.first(30), 5, sampler, allowed) == first);
    drafter.guess(all.first(50), 7, sampler, allowed);  // other ids than it guessed
    CHECK(drafter.guess(all.first(30), 5, sampler, allowed) == first);
    drafter.read(all);
    CHECK(drafter.guess(all.first(30), 3, sampler, allowed) == std::vector(first.begin(), first.begin() + 3));
    text[10] = -4;  // a picture's
    CHECK(drafter.guess(text, 7, sampler, allowed).size() == 5);  // the context ends
    text.resize(65, 3);
    CHECK(drafter.guess(text, 7, sampler, allowed).empty());
}

TEST_CASE("guesses that do not fit the context are refused", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    Context context(loaded.model, {.context = 8, .drafts = 7});
    context.prefill(0, std::vector<int32_t>(5, 3), true, {});
    context.join(0, {});
    CHECK_THROWS_AS(context.step_with(std::vector<int32_t>(3, 3)), Error);
    CHECK(context.tokens(0).size() == 5);
    CHECK(!context.step_with(std::vector<int32_t>(2, 3)).empty());
}

}  // namespace olivine::test
