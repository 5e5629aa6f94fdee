// Decoding: batches that sequences join and leave, and steps that run several in a submission.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <random>

#include "engine/error.h"
#include "model/context.h"
#include "tests/support/golden.h"
#include "tests/support/loaded.h"

namespace olivine::test {
namespace {

// Seconds, so that any number of steps fits and none is cut.
constexpr double kForever = 1000;
constexpr ContextOptions kOptions{.context = 400, .kv = KvType::f32};

std::vector<int32_t> random_prompt(std::mt19937& random, const Model& model, size_t length) {
    std::vector<int32_t> prompt(length);
    for (int32_t& id : prompt)
        id = static_cast<int32_t>(random() % model.config().vocab_size);
    return prompt;
}

// What a sequence draws alone, greedily or with a seed.
std::vector<int32_t> answer(Model& model, const std::vector<int32_t>& prompt, const SamplerOptions& sampler,
                            size_t count) {
    Context context(model, kOptions);
    context.prefill(0, prompt, true, {});
    std::vector<int32_t> ids = {context.join(0, sampler)};
    while (ids.size() < count)
        ids.push_back(context.step().front());
    return ids;
}

}  // namespace

TEST_CASE("a warm decode step records, updates and allocates nothing", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    Context context(loaded.model, {.context = 256, .slice_seconds = kForever});
    const std::vector<int32_t> prompt = golden.ids("greedy.prompt");
    loaded.model.forward(context, 0, prompt, true);
    context.join(0, {});
    context.step();
    Counters& counters = loaded.device.counters();
    const uint64_t recordings = counters.recordings, updates = counters.descriptor_updates,
                   allocations = counters.allocations, submissions = counters.submissions;
    for (int i = 0; i < 10; ++i)
        context.step();
    CHECK(counters.recordings == recordings);
    CHECK(counters.descriptor_updates == updates);
    CHECK(counters.allocations == allocations);
    CHECK(counters.submissions == submissions + 10);
    const LayerWeights& layer = loaded.model.weights().layers.front();
    const Linear& linear = loaded.model.ops().linear;
    const uint32_t each =
        8 - linear.norms_as_it_ends(layer.o_proj, 1) - linear.norms_as_it_ends(layer.down_proj, 1);
    // And the embedding, the head, the two of sampling, and what makes the next step of it.
    CHECK(context.dispatches_per_step() == each * loaded.model.config().num_layers + 5);
    if (loaded.device.capabilities().addresses && loaded.device.capabilities().subgroup_size == 8)
        CHECK(each == 6);
}

TEST_CASE("sequences join and leave between steps and draw what each draws alone", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    constexpr size_t kTokens = 12;
    std::mt19937 random(5);
    std::vector<std::vector<int32_t>> prompts(kMaxSequences);
    std::vector<SamplerOptions> samplers(kMaxSequences);
    std::vector<std::vector<int32_t>> alone;
    for (uint32_t s = 0; s < kMaxSequences; ++s) {
        // Some beyond the window, some beyond a piece of split attention.
        prompts[s] = random_prompt(random, loaded.model, 1 + s * 20);
        samplers[s].seed = s;
        samplers[s].temperature = s % 2 == 0 ? 0.0f : 0.8f;
        alone.push_back(answer(loaded.model, prompts[s], samplers[s], kTokens));
    }

    ContextOptions options = kOptions;
    options.sequences = kMaxSequences;
    Context context(loaded.model, options);
    std::vector<std::vector<int32_t>> drawn(kMaxSequences);
    uint32_t next = 0;
    for (uint32_t round = 0; round < 60; ++round) {
        // Three a round come in; who has all of its tokens goes.
        for (uint32_t i = 0; i < 3 && next < kMaxSequences; ++i, ++next) {
            context.prefill(next, prompts[next], true, {});
            drawn[next].push_back(context.join(next, samplers[next]));
        }
        for (const uint32_t sequence : context.decoding())
            if (drawn[sequence].size() == kTokens)
                context.leave(sequence);
        const std::vector<uint32_t> sequences = context.decoding();
        if (sequences.empty())
            break;
        const std::span<const int32_t> ids = context.step();
        REQUIRE(ids.size() == sequences.size());
        for (size_t i = 0; i < ids.size(); ++i)
            drawn[sequences[i]].push_back(ids[i]);
    }
    for (uint32_t s = 0; s < kMaxSequences; ++s) {
        CAPTURE(s);
        CHECK(drawn[s] == alone[s]);
        CHECK(context.tokens(s).size() == prompts[s].size() + kTokens - 1);
    }
}

TEST_CASE("a full context refuses a step and keeps what it holds", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    Context context(loaded.model, {.context = 8});
    context.prefill(0, std::vector<int32_t>(7, 3), true, {});
    context.join(0, {});
    context.step();
    CHECK_THROWS_AS(context.step(), Error);
    CHECK(context.tokens(0).size() == 8);
    CHECK(context.rewind(0, 8) == 8);
    CHECK(context.decoding().empty());
}

TEST_CASE("steps in one submission draw what single steps draw", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    std::mt19937 random(6);
    const uint32_t sequences = GENERATE(1u, 3u);
    const SamplerOptions sampler{.temperature = GENERATE(0.0f, 0.9f), .repeat_penalty = 1.2f, .seed = 3};
    CAPTURE(sequences, sampler.temperature);
    ContextOptions options{
        .context = 400, .sequences = sequences, .slice_seconds = kForever, .kv = KvType::f32};
    Context single(loaded.model, options);
    options.chain_seconds = kForever;
    Context chained(loaded.model, options);
    for (uint32_t s = 0; s < sequences; ++s) {
        const std::vector<int32_t> prompt = random_prompt(random, loaded.model, 5 + 60 * s);
        for (Context* context : {&single, &chained}) {
            context->prefill(s, prompt, true, {});
            context->join(s, sampler);
        }
    }
    const uint64_t before = loaded.device.counters().submissions;
    constexpr uint32_t kSteps = 70;  // the ring of drawn ids goes round
    std::vector<std::vector<int32_t>> ids;
    for (uint32_t i = 0; i < kSteps; ++i) {
        const std::span<const int32_t> drawn = chained.step(kSteps - i);
        ids.emplace_back(drawn.begin(), drawn.end());
    }
    // The first is alone, for its time; then as many as there may be.
    CHECK(loaded.device.counters().submissions - before <= 2 + kSteps / ChainLength::kMost + 1);
    for (uint32_t i = 0; i < kSteps; ++i) {
        const std::span<const int32_t> drawn = single.step();
        CHECK(std::equal(drawn.begin(), drawn.end(), ids[i].begin(), ids[i].end()));
    }
    for (uint32_t s = 0; s < sequences; ++s)
        CHECK(chained.tokens(s) == single.tokens(s));
    const size_t vocab = loaded.model.config().vocab_size;
    std::vector<float> want(vocab * sequences), got(want.size());
    single.read_logits(0, sequences, want);
    chained.read_logits(0, sequences, got);
    CHECK(got == want);
}

TEST_CASE("a stop id ends the steps of a submission on the device", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    std::mt19937 random(7);
    const SamplerOptions sampler{.temperature = 0.9f, .seed = 4};
    const std::vector<int32_t> first = random_prompt(random, loaded.model, 5),
                               second = random_prompt(random, loaded.model, 90);
    const std::vector<int32_t> plain = answer(loaded.model, first, sampler, 40),
                               other = answer(loaded.model, second, sampler, 40);
    const auto stop_at = std::find_if(plain.begin() + 6, plain.end(), [&](const int32_t& id) {
        return std::find(plain.data(), &id, id) == &id &&
               std::find(other.begin(), other.end(), id) == other.end();
    });
    // Drawn for the first time, never by the other, and by no step that ends a submission anyway: one has the
    // first step, the next those up to 17.
    REQUIRE(stop_at < plain.begin() + 17);
    const size_t steps = static_cast<size_t>(stop_at - plain.begin());

    ContextOptions options{.context = 400,
                           .sequences = 2,
                           .slice_seconds = kForever,
                           .chain_seconds = kForever,
                           .kv = KvType::f32};
    Context context(loaded.model, options);
    context.prefill(0, first, true, {});
    context.prefill(1, second, true, {});
    context.join(0, sampler, {}, std::vector<int32_t>{-5, *stop_at});
    context.join(1, sampler, {}, std::vector<int32_t>{*stop_at});
    std::vector<int32_t> one = {plain[0]}, two = {other[0]};
    const auto step = [&] {
        const std::span<const int32_t> drawn = context.step(100);
        if (drawn.size() == 2)
            one.push_back(drawn.front());
        two.push_back(drawn.back());
    };
    while (one.size() <= steps)
        step();
    CHECK(std::equal(one.begin(), one.end(), plain.begin()));
    CHECK(std::equal(two.begin(), two.end(), other.begin()));
    // Nothing has been drawn beyond it.
    const uint64_t submissions = loaded.device.counters().submissions;
    SECTION("the others go on") {
        context.leave(0);
        CHECK(context.tokens(0).size() == first.size() + steps);
        step();
        CHECK(loaded.device.counters().submissions == submissions + 2);  // of its rows, and of a chain
    }
    SECTION("so does the one that has drawn it, if the caller wants") {
        step();
        CHECK(loaded.device.counters().submissions > submissions);
    }
    SECTION("a sequence that leaves in the middle of it") {
        step();
        step();
        context.leave(0);
        CHECK(context.tokens(0).size() == first.size() + steps + 2);
    }
    while (two.size() < 40)
        step();
    CHECK(std::equal(one.begin(), one.end(), plain.begin()));
    CHECK(two == other);
}

TEST_CASE("a chain of steps ends where the context does", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    Context context(loaded.model, {.context = 12, .chain_seconds = kForever});
    context.prefill(0, std::vector<int32_t>(5, 3), true, {});
    context.join(0, {});
    for (int i = 0; i < 7; ++i)
        context.step(100);
    CHECK(context.tokens(0).size() == 12);
    CHECK_THROWS_AS(context.step(100), Error);
}

}  // namespace olivine::test
