// Weights that are read as the first pass needs them: the same logits, layers that run before the
// last is read, and what may happen in between.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include "model/context.h"
#include "model/generator.h"
#include "tests/model/checkpoint_files.h"
#include "tests/support/loaded.h"

namespace olivine::test {
namespace {

constexpr ContextOptions kOptions{.context = 96, .sequences = 2, .kv = KvType::f32};

ModelOptions options(bool as_needed, Progress progress = {}) {
    ModelOptions options;
    options.context = kOptions;
    options.as_needed = as_needed;
    options.progress = std::move(progress);
    return options;
}

DeviceOptions device_options(bool as_gpu) {
    DeviceOptions options;
    options.as_gpu = as_gpu;
    return options;
}

std::vector<float> all_logits(Model& model, const Cancelled& cancelled = {}) {
    Context context(model, kOptions);
    return model.forward(context, 0, random_ids(model, 20, 3), false, 0, cancelled);
}

std::vector<float> logits_at_once(const Checkpoint& checkpoint, bool as_gpu) {
    Device device(device_options(as_gpu));
    Model model(device, checkpoint, options(false));
    CHECK(model.unread() == 0);
    return all_logits(model);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0;
}

// A golden model whose head is a matrix of its own: the embedding's rows, moved by one.
void untie(const TemporaryFolder& folder) {
    copy_model("tiny-text", folder);
    Table table = Table::read(folder.path("model.safetensors"));
    Table::Tensor head = table.tensors.at("model.embed_tokens.weight");
    const size_t row_bytes = head.data.size() / head.shape[0];
    std::ranges::rotate(head.data, head.data.begin() + static_cast<ptrdiff_t>(row_bytes));
    table.tensors["lm_head.weight"] = head;
    table.write(folder.path("model.safetensors"));
    Json config = read_json(folder.path("config.json"));
    config["tie_word_embeddings"] = false;
    write_file(folder.path("config.json"), config.dump());
}

}  // namespace

TEST_CASE("weights that are read as needed give the same logits, bit by bit", "[model][loading]") {
    const bool as_gpu = GENERATE(false, true);
    const std::string name = GENERATE("tiny-text", "tiny-gemma2", "untied");
    CAPTURE(as_gpu, name);
    TemporaryFolder folder;
    if (name == "untied")
        untie(folder);
    const auto checkpoint = Checkpoint::open(name == "untied" ? folder.path() : golden(name));
    CHECK(checkpoint->config().tied_head == (name != "untied"));
    const std::vector<float> right = logits_at_once(*checkpoint, as_gpu);

    Device device(device_options(as_gpu));
    uint32_t slices = 0;          // that have been submitted
    std::set<uint32_t> at_slice;  // whenever something was read
    uint64_t read = 0;
    Model model(device, *checkpoint, options(true, [&](uint64_t done, uint64_t total) {
                    CHECK(done > read);
                    CHECK(done <= total);
                    read = done;
                    at_slice.insert(slices);
                    return true;
                }));
    CHECK(model.unread() == model.config().num_layers + (name == "untied" ? 2 : 1));
    CHECK(read < checkpoint->weight_bytes() / 10);  // the norms
    at_slice.clear();
    const uint32_t generation = model.generation();
    const auto count = [&] { return ++slices == 0; };
    CHECK(same_bits(all_logits(model, count), right));
    CHECK(model.unread() == 0);
    CHECK(model.generation() == generation + 1);
    CHECK(read == checkpoint->weight_bytes());
    // Each layer was read while the device had the one before it.
    CHECK(at_slice.size() >= model.config().num_layers);

    const uint64_t recorded = device.counters().recordings;
    CHECK(same_bits(all_logits(model), right));
    CHECK(device.counters().recordings > recorded);
}

TEST_CASE("what is no pass reads the rest of the weights first", "[model][loading]") {
    const auto checkpoint = Checkpoint::open(golden("tiny-gemma2"));
    const std::vector<float> right = logits_at_once(*checkpoint, false);
    Device device;
    Model model(device, *checkpoint, options(true));
    REQUIRE(model.unread() > 0);
    SECTION("a step") {
        Context context(model, kOptions);
        context.pretend(0, 4);
        REQUIRE(model.unread() > 0);
        context.prefill(0, random_ids(model, 3, 5), true, {});
        const int32_t first = context.join(0, {.temperature = 0});
        const int32_t second = context.step()[0];
        CHECK(model.unread() == 0);
        Model other(device, *checkpoint, options(false));
        Context again(other, kOptions);
        again.pretend(0, 4);
        again.prefill(0, random_ids(other, 3, 5), true, {});
        CHECK(again.join(0, {.temperature = 0}) == first);
        CHECK(again.step()[0] == second);
    }
    SECTION("another budget") {
        const ModelBytes bytes = model_bytes(*checkpoint, kOptions);
        model.set_budget(
            (residency(checkpoint->config(), bytes, kOptions, 0).least_bytes + bytes.total()) / 2);
        CHECK(model.unread() == 0);
        CHECK(model.residency().streams);
    }
    CHECK(same_bits(all_logits(model), right));
}

TEST_CASE("weights are read at once where there is no room for copies on their way", "[model][loading]") {
    const auto checkpoint = Checkpoint::open(golden("tiny-gemma2"));
    const uint64_t bytes = model_bytes(*checkpoint, kOptions).total();
    const bool as_gpu = GENERATE(false, true);  // else nothing is copied
    const bool enough = GENERATE(false, true);
    CAPTURE(as_gpu, enough);
    DeviceOptions within = device_options(as_gpu);
    within.memory_budget = bytes + Uploader::kMostBytes - (enough ? 0 : 1);
    Device device(within);
    Model model(device, *checkpoint, options(true));
    CHECK((model.unread() > 0) == (enough || !as_gpu));
    CHECK(!all_logits(model).empty());
    CHECK(device.bytes_peak() <= within.memory_budget);
}

TEST_CASE("a first pass that ends early leaves the model to be read on", "[model][loading]") {
    const bool as_gpu = GENERATE(false, true);
    CAPTURE(as_gpu);
    TemporaryFolder folder;
    copy_model("tiny-text", folder);
    const std::string path = folder.path("model.safetensors");
    const std::vector<std::byte> whole = read_file(path);
    const auto checkpoint = Checkpoint::open(folder.path());
    const std::vector<float> right = logits_at_once(*checkpoint, as_gpu);
    const uint64_t total = checkpoint->weight_bytes();

    Device device(device_options(as_gpu));
    uint64_t stop_at = UINT64_MAX;
    uint64_t read = 0;
    Model model(device, *checkpoint, options(true, [&](uint64_t done, uint64_t) {
                    read = done;
                    return done < stop_at;
                }));
    SECTION("by request, while something is read") {
        for (const uint64_t part : {1, 2, 3}) {
            stop_at = total * part / 4;
            CHECK(failure_of([&] { all_logits(model); }).fault == Fault::cancelled);
            CHECK(model.unread() > 0);
        }
        stop_at = UINT64_MAX;
    }
    SECTION("by request, while a layer runs") {
        Context context(model, kOptions);
        uint32_t asked = 0;
        const auto forward = [&] {
            model.forward(context, 0, random_ids(model, 20, 3), true, 0, [&] { return ++asked == 2; });
        };
        CHECK(failure_of(forward).fault == Fault::cancelled);
        CHECK(model.unread() > 0);
        CHECK(context.tokens(0).empty());
    }
    SECTION("because the file has become shorter") {
        std::filesystem::resize_file(path, whole.size() / 2);
        const Failure failure = failure_of([&] { all_logits(model); });
        CHECK(failure.fault == Fault::bad_file);
        CHECK(failure.text.find(path) != std::string::npos);
        CHECK(model.unread() > 0);
        write_file(path, whole);
    }
    CHECK(same_bits(all_logits(model), right));
    CHECK(read == total);
}

TEST_CASE("a device that is lost in the first pass is set up anew, and the pass goes on",
          "[model][loading]") {
    const auto checkpoint = Checkpoint::open(golden("tiny-text"));
    const std::vector<float> right = logits_at_once(*checkpoint, false);
    uint32_t rebuilt = 0;
    DeviceOptions counting;
    counting.rebuilt = [&] { ++rebuilt; };
    Device device(counting);
    uint64_t lost_at = UINT64_MAX;
    Model model(device, *checkpoint, options(true, [&](uint64_t done, uint64_t) {
                    if (done >= lost_at)
                        fail(Fault::device_lost, "A test says that the device is lost.");
                    return true;
                }));
    lost_at = checkpoint->weight_bytes() / 2;
    Remade<Context> context(device, [&](std::optional<Context>& made) { made.emplace(model, kOptions); });
    const std::vector<float> logits = device.surviving(
        [&] { return model.forward(*context, 0, random_ids(model, 20, 3), false); });
    CHECK(rebuilt == 1);
    CHECK(same_bits(logits, right));
}

// By name: OLIVINE_LOADING_MODEL=FILE olivine_tests "[.overlap]". What the figures in docs/memory.md come
// from: a first token from a model that is read at once, and from one that is read as needed.
TEST_CASE("the first token comes before loading and a pass would be over", "[.overlap]") {
    const char* const path = std::getenv("OLIVINE_LOADING_MODEL");
    if (!path)
        SKIP("OLIVINE_LOADING_MODEL names no model");
    constexpr int kRuns = 7;
    constexpr ContextOptions kLong{.context = 512, .checkpoint_bytes = 0};
    const auto checkpoint = Checkpoint::open(path);
    Device device;
    using Clock = std::chrono::steady_clock;
    const auto seconds = [](Clock::time_point a, Clock::time_point b) {
        return std::chrono::duration<double>(b - a).count();
    };
    struct Times {
        double load, pass;
    };
    const auto run = [&](bool as_needed) {
        const Clock::time_point start = Clock::now();
        ModelOptions options;
        options.context = kLong;
        options.as_needed = as_needed;
        Model model(device, *checkpoint, options);
        const Clock::time_point loaded = Clock::now();
        Context context(model, kLong);
        context.prefill(0, random_ids(model, 64, 1), true, {});
        return Times{seconds(start, loaded), seconds(loaded, Clock::now())};
    };
    run(false);  // compiles
    std::vector<double> load, pass, overlapped;
    for (int i = 0; i < kRuns; ++i) {
        const Times apart = run(false), together = run(true);
        load.push_back(apart.load);
        pass.push_back(apart.pass);
        overlapped.push_back(together.load + together.pass);
    }
    const auto median = [](std::vector<double> values) {
        std::ranges::sort(values);
        return values[values.size() / 2];
    };
    std::printf("loading %.3f s, a pass %.3f s; both together %.3f s\n", median(load), median(pass),
                median(overlapped));
    CHECK(median(overlapped) < median(load) + median(pass));
}

}  // namespace olivine::test
