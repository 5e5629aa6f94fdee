// The cache: what it takes, pieces and pages, sharing, and going back.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <chrono>
#include <cmath>

#include "engine/error.h"
#include "model/context.h"
#include "model/generator.h"
#include "tests/model/checkpoint_files.h"
#include "tests/support/golden.h"
#include "tests/support/loaded.h"

namespace olivine::test {
namespace {

// Runs ids in chunks of `chunk` and gives the logits behind the last.
std::vector<float> run(Context& context, uint32_t sequence, std::span<const int32_t> ids,
                       uint32_t chunk = 64) {
    std::vector<float> logits(context.logits().cols);
    for (size_t done = 0; done < ids.size(); done += chunk) {
        const size_t count = std::min<size_t>(chunk, ids.size() - done);
        context.prefill(sequence, ids.subspan(done, count), done + count == ids.size(), {});
    }
    context.read_logits(sequence, 1, logits);
    return logits;
}

std::vector<int32_t> decode(Context& context, uint32_t sequence, size_t count) {
    std::vector<int32_t> ids = {context.join(sequence, {.temperature = 0})};
    while (ids.size() < count)
        ids.push_back(context.step(static_cast<uint32_t>(count - ids.size())).front());
    context.leave(sequence);
    return ids;
}

void check_bytes(const std::string& size, uint32_t context, KvType type) {
    Device device;
    const Config config = *preset(size);
    CAPTURE(size, context, name(type));
    const ContextOptions options{.context = context, .kv = type};
    uint64_t slots = 0;
    for (const bool global : config.global_layers)
        slots += global ? context : config.sliding_window + std::min(512u, context) - 1;
    // q8_0: blocks of 34 bytes, of which every head has an even number.
    const uint64_t head = type == KvType::q8_0 ? config.head_dim / 32 * 34
                                               : config.head_dim * (type == KvType::f32 ? 4 : 2);
    const uint64_t bytes = slots * 2 * config.num_kv_heads * head;
    CHECK(model_bytes(config, DataType::q4_0, options).kv == bytes);
    KvCache cache(device, config, options);
    cache.reserve(0, 0, context);
    CHECK(device.bytes_in(Arena::kv) == bytes);
    CHECK(cache.stored_bytes(context, KvPart::all) <= bytes);
    UNSCOPED_INFO(size << " at " << context << ": " << bytes << " bytes");
}

// A model whose layers are all local, on and on: memory and speed stay.
void run_on(size_t count) {
    TemporaryFolder folder;
    copy_model("tiny-mqa", folder);
    Json config = read_json(folder.path("config.json"));
    config["layer_types"] = std::vector<std::string>(config["num_hidden_layers"], "sliding_attention");
    write_file(folder.path("config.json"), config.dump());
    const ContextOptions options{.context = static_cast<uint32_t>(count)};
    const auto checkpoint = Checkpoint::open(folder.path());
    Device device;
    Model model(device, *checkpoint, {.context = options});
    Context context(model, options);
    const std::vector<int32_t> ids = random_ids(model, 512, 7);
    const auto prefill = [&](Context& where) {
        const auto begin = std::chrono::steady_clock::now();
        where.prefill(0, ids, true, {});
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    constexpr size_t kAnswer = 50, kTimed = 9;
    prefill(context);
    const uint64_t bytes = device.bytes_now();
    while (context.tokens(0).size() + (kTimed + 1) * ids.size() + kAnswer < count)
        prefill(context);
    CHECK(device.bytes_now() == bytes);
    CHECK(device.bytes_peak() <= bytes + (8u << 20));
    // In turn with a short context, since other work on the machine comes and goes.
    Context young(model, options);
    prefill(young);
    std::vector<double> late, early;
    for (size_t i = 0; i < kTimed; ++i) {
        late.push_back(prefill(context));
        early.push_back(prefill(young));
    }
    const auto median = [](std::vector<double>& some) {
        std::ranges::nth_element(some, some.begin() + kTimed / 2);
        return some[kTimed / 2];
    };
    CHECK(decode(context, 0, kAnswer).size() == kAnswer);
    UNSCOPED_INFO("512 tokens take " << median(early) << " s at first and " << median(late)
                                     << " s at last, after " << context.tokens(0).size());
    CHECK(median(late) < 1.5 * median(early));
}

void ask_again(uint32_t length) {
    const Golden golden("tiny-gemma2");
    Loaded loaded(golden.folder);
    GenerateRequest request;
    request.prompt = random_ids(loaded.model, length, 6);
    request.max_tokens = 520;  // more than rings can go back
    request.checkpoints = true;
    request.sampler.seed = 5;
    Generator generator(loaded.model, {.context = length + 1000});
    const std::vector<int32_t> ids = generator.generate(std::span(&request, 1))[0].ids;
    CHECK(generator.stats().cached_tokens == 0);
    const double seconds = generator.stats().prefill_seconds;
    CHECK(generator.generate(std::span(&request, 1))[0].ids == ids);
    CHECK(generator.stats().cached_tokens == length);
    UNSCOPED_INFO(generator.stats().prefill_seconds << " s instead of " << seconds);
    CHECK(generator.stats().prefill_seconds <= 0.02 * seconds);
}

}  // namespace

TEST_CASE("a model of local layers alone runs on in constant memory at constant speed",
          "[model][long]") {
    run_on(20'000);
}

TEST_CASE("and so for a million tokens", "[.large]") { run_on(1'000'000); }

TEST_CASE("the cache takes what the formula says", "[model]") {
    const auto [size, context] = GENERATE(table<std::string, uint32_t>(
        {{"270m", 2048}, {"270m", 32768}, {"1b", 2048}, {"1b", 32768}, {"4b", 2048}, {"gemma2-2b", 2048}}));
    check_bytes(size, context, GENERATE(KvType::f32, KvType::f16, KvType::q8_0));
}

// Takes up to 11 GiB; asked for by its name.
TEST_CASE("the cache of every size takes what the formula says", "[.large]") {
    const std::string size = GENERATE("270m", "1b", "4b", "12b", "27b", "gemma2-2b", "gemma2-9b");
    check_bytes(size, GENERATE(2048u, 32768u, 131072u), KvType::f16);
}

TEST_CASE("a global layer in pieces gives the same logits", "[model]") {
    const Golden golden("tiny-mqa");
    // 576 positions of seven sequences at 128 bytes a key, or 1152 of twelve at 36.
    const auto [type, as_gpu, sequences, positions] =
        GENERATE(table<KvType, bool, uint32_t, uint32_t>(
            {{KvType::f32, false, 7, 700}, {KvType::q8_0, true, 12, 1200}}));
    CAPTURE(name(type), as_gpu);
    const auto checkpoint = Checkpoint::open(golden.folder);
    Device device({.as_gpu = as_gpu}), poor({.max_range_bytes = 512 << 10, .as_gpu = as_gpu});
    Model model(device, *checkpoint), other(poor, *checkpoint);
    const ContextOptions options{.context = positions, .sequences = sequences, .kv = type};
    Context whole(model, options), pieces(other, options);
    const std::vector<int32_t> ids = random_ids(model, positions - 10, 1);
    REQUIRE(KvCache(poor, model.config(), options).in_pieces());
    pieces.prefill(0, std::span(ids).first(200), false, {});
    std::vector<float> want = run(whole, 2, ids), got = run(pieces, 2, ids);
    CHECK(max_abs_difference(want, got) <= 1e-4);
    CHECK(decode(whole, 2, 9) == decode(pieces, 2, 9));
    CHECK(device.validation_messages() + poor.validation_messages() == 0);
}

TEST_CASE("q8_0 keys and values change little", "[model]") {
    const Golden golden(GENERATE("tiny-text", "tiny-gemma2"));
    Loaded loaded(golden.folder);
    const std::vector<int32_t> ids = golden.ids("tokens");
    std::vector<std::vector<float>> logits;
    for (const KvType type : {KvType::f32, KvType::q8_0}) {
        Context context(loaded.model, {.context = 256, .kv = type});
        logits.push_back(loaded.model.forward(context, 0, ids, false));
    }
    double error = 0, size = 0;
    for (size_t i = 0; i < logits[0].size(); ++i) {
        error += std::pow(double{logits[1][i]} - logits[0][i], 2);
        size += std::pow(double{logits[0][i]}, 2);
    }
    // Steps of 1/127 of the largest in 32 numbers: measured 3.1e-2.
    CHECK(std::sqrt(error / size) < 4e-2);
    CHECK(error > 0);
}

TEST_CASE("sequences that begin alike share it, and go on apart", "[model]") {
    const Golden golden("tiny-text");
    Loaded loaded(golden.folder);
    Model& model = loaded.model;
    constexpr uint32_t kPrefix = 300;
    const ContextOptions options{.context = 512, .sequences = 4, .kv = KvType::f32};
    const std::vector<int32_t> prefix = random_ids(model, kPrefix, 2);
    std::vector<std::vector<int32_t>> rest;
    for (uint32_t s = 0; s < 4; ++s)
        rest.push_back(random_ids(model, 70, 10 + s));

    Context alone(model, options), shared(model, options);
    const uint64_t without = loaded.device.bytes_in(Arena::kv);
    run(shared, 0, prefix);
    const uint64_t of_one = loaded.device.bytes_in(Arena::kv) - without;
    for (uint32_t s = 1; s < 4; ++s)
        CHECK(shared.fork(0, s, kPrefix) == kPrefix);
    // Nothing more is there of the prefix.
    CHECK(loaded.device.bytes_in(Arena::kv) - without == of_one);
    for (uint32_t s = 0; s < 4; ++s) {
        run(alone, s, prefix);
        const std::vector<float> want = run(alone, s, rest[s]), got = run(shared, s, rest[s]);
        CHECK(want == got);
    }
    // Each wrote behind the prefix without harm to the others.
    for (uint32_t s = 0; s < 4; ++s)
        CHECK(decode(alone, s, 6) == decode(shared, s, 6));
}

TEST_CASE("prompts of a batch that begin alike run it once", "[model][long]") {
    const Golden golden("tiny-text");
    Loaded loaded(golden.folder);
    Model& model = loaded.model;
    constexpr uint32_t kCharacters = 8, kPrefix = 1000;
    const ContextOptions options{.context = 1536, .sequences = kCharacters, .kv = KvType::f32};
    std::vector<GenerateRequest> requests(kCharacters);
    for (uint32_t s = 0; s < kCharacters; ++s) {
        requests[s].prompt = random_ids(model, kPrefix, 2);
        // Longer than what rings can go back.
        const std::vector<int32_t> own = random_ids(model, s == 0 ? 530 : 20 + s, 20 + s);
        requests[s].prompt.insert(requests[s].prompt.end(), own.begin(), own.end());
        requests[s].sampler.temperature = 0;
        requests[s].max_tokens = 6;
    }
    Generator together(model, options);
    const std::vector<GenerateResult> results = together.generate(requests);
    CHECK(together.stats().cached_tokens == (kCharacters - 1) * kPrefix);
    for (uint32_t s = 0; s < kCharacters; ++s) {
        Generator alone(model, {.context = 1536, .kv = KvType::f32});
        CHECK(alone.generate(std::span(&requests[s], 1))[0].ids == results[s].ids);
    }
}

TEST_CASE("going back to a checkpoint is exact, however much has run since", "[model][long]") {
    const auto [folder, type] =
        GENERATE(table<std::string, KvType>({{"tiny-text", KvType::f16}, {"tiny-gemma2", KvType::q8_0}}));
    Loaded loaded(Golden(folder).folder);
    Model& model = loaded.model;
    const ContextOptions options{.context = 2000, .kv = type};
    const std::vector<int32_t> first = random_ids(model, 600, 3), second = random_ids(model, 640, 4);
    Context context(model, options);
    run(context, 0, std::span(first).first(300));
    context.keep(0);
    const std::vector<float> want = run(context, 0, std::span(first).subspan(300));
    context.keep(0);
    const std::vector<int32_t> answer = decode(context, 0, 8);
    run(context, 0, second);

    SECTION("with its logits") {
        CHECK(context.reach(0, 700) == 600);
        CHECK(context.rewind(0, 600) == 600);
        REQUIRE(context.has_logits(0));
        std::vector<float> got(want.size());
        context.read_logits(0, 1, got);
        CHECK(got == want);
        CHECK(decode(context, 0, 8) == answer);
    }
    SECTION("one token before it") {
        CHECK(context.rewind(0, 600) == 600);
        CHECK(context.rewind(0, 599) == 599);
        CHECK(!context.has_logits(0));
        CHECK(max_abs_difference(run(context, 0, std::span(first).last(1)), want) < 1e-3);
    }
    SECTION("to an earlier one, and on another way") {
        CHECK(context.rewind(0, 599) == 300);
        CHECK(context.rewind(0, 600) == 300);
        CHECK(run(context, 0, std::span(first).subspan(300)) == want);
        CHECK(decode(context, 0, 8) == answer);
        CHECK(context.rewind(0, 600) == 600);  // by the rings
        CHECK(!context.has_logits(0));         // its checkpoint is gone with what it was of
    }
    SECTION("from where another sequence goes on") {
        Context two(model, {.context = 2000, .sequences = 2, .kv = type});
        run(two, 1, std::span(first).first(300));
        two.keep(1);
        run(two, 1, std::span(first).subspan(300));
        run(two, 1, second);
        CHECK(two.fork(1, 0, 450) == 300);
        CHECK(run(two, 0, std::span(first).subspan(300)) == want);
    }
}

TEST_CASE("checkpoints keep to their bytes", "[model]") {
    const Golden golden("tiny-text");
    Loaded loaded(golden.folder);
    // tiny-text: six rings of 8 positions of 2 * 4 * 32 halves, and the logits' 512 floats.
    constexpr uint64_t kOne = 6 * 8 * 2 * 4 * 32 * 2 + 512 * 4;
    Context context(loaded.model, {.context = 3000, .checkpoint_bytes = 2 * kOne});
    const std::vector<int32_t> ids = random_ids(loaded.model, 2400, 5);
    for (uint32_t i = 0; i < 3; ++i) {
        run(context, 0, std::span(ids).subspan(i * 200, 200));
        context.keep(0);
    }
    run(context, 0, std::span(ids).subspan(600));
    CHECK(context.reach(0, 650) == 600);
    CHECK(context.reach(0, 599) == 200);  // the oldest but the first is gone
    CHECK(context.reach(0, 199) == 0);
}

TEST_CASE("a prompt asked for again costs no step, and gives the same", "[model][long]") {
    ask_again(2000);
}

TEST_CASE("and so does one of 4,000 tokens", "[.large]") { ask_again(4000); }

TEST_CASE("logits that were drawn from are not drawn from again", "[model]") {
    const Golden golden("tiny-gemma2");
    Loaded loaded(golden.folder);
    GenerateRequest request;
    request.prompt = random_ids(loaded.model, 100, 6);
    request.max_tokens = 1;
    request.checkpoints = true;
    Generator generator(loaded.model, {.context = 500});
    // Drawing scales them in their place: they come from the checkpoint, also where nothing has run
    // behind it.
    for (const float temperature : {0.5f, 2.0f, 0.5f}) {
        request.sampler.temperature = temperature;
        Generator fresh(loaded.model, {.context = 500});
        CHECK(generator.generate(std::span(&request, 1))[0].ids ==
              fresh.generate(std::span(&request, 1))[0].ids);
        CHECK(!generator.context().has_logits(0));
    }
    CHECK(generator.stats().cached_tokens == 100);
}

}  // namespace olivine::test
