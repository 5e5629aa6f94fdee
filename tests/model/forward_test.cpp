// Whole models against the goldens, on whichever device is there.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <cmath>
#include <numeric>
#include <random>

#include "engine/device.h"
#include "engine/error.h"
#include "engine/selftest/reference.h"
#include "model/checkpoint.h"
#include "model/context.h"
#include "model/generator.h"
#include "model/model.h"
#include "tests/support/device.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/golden.h"

namespace olivine::test {
namespace {

// Plain float32 is within 3e-5 of the goldens in every implementation they were checked with; 1e-4
// sees every mistake that was tried (window off by one, rope factor, eps, ...).
constexpr double kTolerance = 1e-4;

struct Loaded {
    explicit Loaded(const std::string& path, KvType kv = KvType::f32,
                    const DeviceOptions& on = {})
        : device(on), checkpoint(Checkpoint::open(path)), model(device, *checkpoint),
          options{.context = 256, .sequences = 2, .kv = kv} {}

    std::vector<float> logits(const std::vector<int32_t>& tokens,
                              const std::vector<uint32_t>& split) {
        Context context(model, options);
        std::vector<float> all;
        size_t done = 0;
        for (uint32_t count : split) {
            const std::vector<float> part = model.forward(
                context, 1, std::span(tokens).subspan(done, count), false);
            all.insert(all.end(), part.begin(), part.end());
            done += count;
        }
        REQUIRE(done == tokens.size());
        return all;
    }

    Device device;
    std::unique_ptr<Checkpoint> checkpoint;
    Model model;
    ContextOptions options;
};

}  // namespace

TEST_CASE("logits equal the goldens however the prompt is split", "[model]") {
    const std::string name = GENERATE("tiny-text", "tiny-mqa", "tiny-gemma2");
    const Golden golden(name);
    Loaded loaded(golden.folder);
    const std::vector<int32_t> tokens = golden.ids("tokens");
    const std::vector<float> expected = golden.floats("logits");
    for (const auto& split : golden.info["prompt_splits"]) {
        CAPTURE(name, split.dump());
        const double error =
            max_abs_difference(loaded.logits(tokens, split.get<std::vector<uint32_t>>()), expected);
        UNSCOPED_INFO("largest logit error " << error);
        CHECK(error <= kTolerance);
    }
    CHECK(loaded.device.validation_messages() == 0);
}

TEST_CASE("greedy decoding gives the goldens' tokens", "[model]") {
    const std::string name = GENERATE("tiny-text", "tiny-mqa", "tiny-gemma2");
    const KvType kv = GENERATE(KvType::f32, KvType::f16);
    CAPTURE(name, int(kv));
    const Golden golden(name);
    Loaded loaded(golden.folder, kv);
    const std::vector<int32_t> expected = golden.ids("greedy.tokens");
    Generator generator(loaded.model, loaded.options);
    GenerateRequest request;
    request.prompt = golden.ids("greedy.prompt");
    request.max_tokens = static_cast<uint32_t>(expected.size());
    request.sampler.temperature = 0;
    // Two prompts side by side must not disturb each other, nor a second run over the same cache.
    const std::vector<GenerateRequest> both = {request, request};
    for (int run = 0; run < 2; ++run)
        for (const GenerateResult& result : generator.generate(both))
            CHECK(result.ids == expected);
    CHECK(loaded.device.validation_messages() == 0);
}

TEST_CASE("any chunking gives the same logits", "[model]") {
    const Golden golden("tiny-text");
    Loaded loaded(golden.folder);
    std::mt19937 random(7);
    std::vector<int32_t> tokens(200);  // the rings of 8 + 255 slots wrap in the second sequence half
    for (int32_t& token : tokens)
        token = static_cast<int32_t>(random() % loaded.model.config().vocab_size);
    const std::vector<float> whole = loaded.logits(tokens, {200});
    for (int trial = 0; trial < 6; ++trial) {
        std::vector<uint32_t> split;
        for (uint32_t left = 200; left > 0;) {
            const uint32_t count = std::min<uint32_t>(left, 1 + random() % (trial < 3 ? 9 : 80));
            split.push_back(count);
            left -= count;
        }
        CAPTURE(trial, split);
        // Sums in another order: 3e-5 measured; a wrong mask or slot is off by whole units.
        CHECK(max_abs_difference(loaded.logits(tokens, split), whole) <= kTolerance);
    }
}

TEST_CASE("GGUF gives the logits of the folder it was made from", "[model]") {
    const std::string name = GENERATE("tiny-text", "tiny-mqa", "tiny-gemma2");
    CAPTURE(name);
    const Golden golden(name);
    const std::vector<int32_t> tokens = golden.ids("tokens");
    const std::vector<uint32_t> split = {static_cast<uint32_t>(tokens.size())};
    const TemporaryFolder folder;
    const std::string path = folder.path("model.gguf");
    const std::vector<float> expected = Loaded(golden.folder).logits(tokens, split);
    for (DataType type : {DataType::f32, DataType::bf16}) {
        CAPTURE(olivine::name(type));
        write_file(path, gguf_from_folder(golden.folder, type));
        Loaded loaded(path);
        CHECK(max_abs_difference(loaded.logits(tokens, split), expected) <= 1e-5);
    }
    for (DataType type : {DataType::f16, DataType::q8_0, DataType::q4_0, DataType::q4_1,
                          DataType::q5_0, DataType::q5_1, DataType::iq4_nl}) {
        CAPTURE(olivine::name(type));
        write_file(path, gguf_from_folder(golden.folder, type, std::nullopt, true));
        const std::vector<float> dequantised = Loaded(path).logits(tokens, split);
        write_file(path, gguf_from_folder(golden.folder, type));
        // A scale multiplies the sum of 16 products, not each of them: 1.2e-5 measured.
        CHECK(max_abs_difference(Loaded(path).logits(tokens, split), dequantised) <= 3e-5);
    }
}

TEST_CASE("logits stay near the goldens where operands are rounded", "[model][rungs]") {
    const Rung rung = GENERATE(from_range(rounding_rungs()));
    const Golden golden("tiny-text");
    const TemporaryFolder folder;
    const std::string path = folder.path("model.gguf");
    const std::vector<int32_t> tokens = golden.ids("tokens");
    const uint32_t count = static_cast<uint32_t>(tokens.size());
    DeviceOptions on;
    on.as_gpu = true;
    on.precision = Precision::automatic;
    for (const Rung other : rounding_rungs())
        on.disabled.set(other, other != rung);
    // Prompts as a whole, and token by token, which is decode's shader.
    for (const bool whole : {true, false}) {
        const std::vector<uint32_t> split = whole ? std::vector{count} : std::vector(count, 1u);
        CAPTURE(name(rung), whole);
        write_file(path, gguf_from_folder(golden.folder, DataType::q8_0, std::nullopt, true));
        const std::vector<float> want = Loaded(path).logits(tokens, split);
        write_file(path, gguf_from_folder(golden.folder, DataType::q8_0));
        const std::vector<float> got = Loaded(path, KvType::f32, on).logits(tokens, split);
        const std::vector<double> exact(want.begin(), want.end());
        const double relative = std::sqrt(nmse(exact, got));
        UNSCOPED_INFO("relative L2 error " << relative);
        // Halves; bytes, whose rounding is 0.4 % of the largest of 32 values, in every product:
        // measured 3.0e-2.
        const bool bytes = rung == Rung::int_dot || rung == Rung::coopmat_int8;
        CHECK(relative <= (bytes ? 4e-2 : 4e-3));
        // The rung's shaders ran: of single tokens int_dot has matvec, the halves' matrices attention.
        CHECK((relative > 1e-5) == (whole || (rung != Rung::fp16 && rung != Rung::coopmat_int8)));
    }
}

TEST_CASE("rewinding keeps what the rings still hold", "[model]") {
    const Golden golden("tiny-text");
    Loaded loaded(golden.folder);
    const std::vector<int32_t> tokens = golden.ids("tokens");
    Context context(loaded.model, loaded.options);
    const std::span<const int32_t> all(tokens);
    const std::vector<float> first = loaded.model.forward(context, 0, all, false);
    REQUIRE(context.rewind(0, 40) == 40);
    const std::vector<float> again = loaded.model.forward(context, 0, all.subspan(40), false);
    const size_t vocab = loaded.model.config().vocab_size;
    CHECK(max_abs_difference({first.begin() + static_cast<ptrdiff_t>(40 * vocab), first.end()}, again) <=
          kTolerance);
}

TEST_CASE("a rewind knows what the rings have taken besides the text that is left", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    const uint32_t vocab = loaded.model.config().vocab_size;
    Context context(loaded.model, {.context = 1400, .drafts = 7}), fresh(loaded.model, {.context = 1400});
    REQUIRE(context.max_chunk() == 512);
    std::vector<int32_t> tokens(1100);
    for (size_t i = 0; i < tokens.size(); ++i)
        tokens[i] = static_cast<int32_t>((i * i + 7 * i) % (vocab - 5));
    const std::span<const int32_t> all(tokens);
    loaded.model.forward(context, 0, all, true);
    SECTION("rewound twice") {
        REQUIRE(context.rewind(0, 700) == 700);
        loaded.model.forward(context, 0, all.first(10), true);
        CHECK(context.rewind(0, 560) == 0);  // 150 back from 710, but 540 back from 1100
        CHECK(context.rewind(0, 0) == 0);
        loaded.model.forward(context, 0, all.first(600), true);
        CHECK(context.rewind(0, 300) == 300);
    }
    SECTION("guesses that were wrong") {
        context.join(0, {});
        std::vector<int32_t> drafts(7);
        int32_t drawn = context.step().front();
        for (int32_t& draft : drafts)
            draft = (drawn = (drawn + 1) % 50);
        context.step_with(drafts);
        const uint32_t held = static_cast<uint32_t>(context.tokens(0).size());
        REQUIRE(held == 1102);
        CHECK(context.rewind(0, 1109 - 512) == 1109 - 512);
        const std::vector<float> again = loaded.model.forward(context, 0, all.subspan(597, 100), false);
        const std::vector<float> first = loaded.model.forward(fresh, 0, all.first(697), false);
        CHECK(max_abs_difference({first.begin() + static_cast<ptrdiff_t>(size_t{597} * vocab), first.end()},
                                 again) <= kTolerance);
    }
    SECTION("guesses that were wrong, one position too far") {
        context.join(0, {});
        context.step();
        context.step_with(std::vector<int32_t>(7, 1));
        REQUIRE(context.tokens(0).size() < 1109);
        CHECK(context.rewind(0, 1109 - 513) == 0);
    }
}

TEST_CASE("work that takes long is cut as far as it goes, and comes out the same", "[model]") {
    const Golden golden(GENERATE("tiny-mqa", "tiny-gemma2"));
    Loaded loaded(golden.folder);
    Context usual(loaded.model, loaded.options);
    loaded.options.slice_seconds = 1e-9;
    Context hurried(loaded.model, loaded.options);
    const std::vector<int32_t> tokens = golden.ids("tokens");
    const auto run = [&](Context& context) {
        for (size_t done = 0; done < tokens.size();) {
            const size_t count = std::min<size_t>(context.pace(), tokens.size() - done);
            context.prefill(0, std::span(tokens).subspan(done, count), done + count == tokens.size(), {});
            done += count;
        }
        std::vector<int32_t> ids = {context.join(0, {.temperature = 0})};
        while (ids.size() < 5)
            ids.push_back(context.step().front());
        return ids;
    };
    const std::vector<int32_t> want = run(usual);
    const Counters& counters = loaded.device.counters();
    // What runs first may have waited for the driver's compiler, and counts for nothing.
    for (int warm = 0; warm < 3; ++warm) {
        run(hurried);
        hurried.rewind(0, 0);
    }
    CHECK(hurried.pace() == 8);
    const uint64_t before = counters.submissions;
    CHECK(run(hurried) == want);
    // A chunk of 8 has a submission for five parts of each layer, a step one for each layer.
    const uint32_t layers = loaded.model.config().num_layers;
    CHECK(counters.submissions - before >= (tokens.size() / 8) * 4 * layers + 4 * layers);
}

TEST_CASE("a growing cache changes no logit", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    std::vector<int32_t> tokens(KvCache::kGrowth + 60);
    std::mt19937 random(3);
    for (int32_t& token : tokens)
        token = static_cast<int32_t>(random() % loaded.model.config().vocab_size);
    loaded.options.context = 1200;
    Context context(loaded.model, loaded.options);
    loaded.model.forward(context, 0, std::span(tokens).first(KvCache::kGrowth - 40), true);
    const uint64_t bytes = loaded.device.bytes_in(Arena::kv);
    const std::vector<float> grown =
        loaded.model.forward(context, 0, std::span(tokens).last(100), true);
    CHECK(loaded.device.bytes_in(Arena::kv) > bytes);
    // The same context with all of its room from the start.
    Context large(loaded.model, loaded.options);
    large.pretend(0, 1200);
    large.rewind(0, 0);
    CHECK(max_abs_difference(loaded.model.forward(large, 0, tokens, true), grown) <= kTolerance);
}

TEST_CASE("a prompt beyond the context is refused with both lengths", "[model]") {
    const Golden golden("tiny-mqa");
    Loaded loaded(golden.folder);
    loaded.options.context = 16;
    Generator generator(loaded.model, loaded.options);
    GenerateRequest request;
    request.prompt.assign(17, 3);
    try {
        generator.generate(std::span(&request, 1));
        FAIL("it was accepted");
    } catch (const Error& error) {
        CHECK(error.fault() == Fault::bad_input);
        CHECK(std::string(error.what()).find("17") != std::string::npos);
        CHECK(std::string(error.what()).find("16") != std::string::npos);
    }
    request.prompt.assign(16, 3);
    request.max_tokens = 5;
    const std::vector<GenerateResult> results = generator.generate(std::span(&request, 1));
    CHECK(results[0].end == EndReason::context_full);
    CHECK(results[0].ids.size() == 1);  // the logits of the last position give one more id
}

}  // namespace olivine::test
