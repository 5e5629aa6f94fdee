// Weights that do not fit the device: what streams says the same as what is resident, within the
// budget.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>
#include <random>

#include "engine/weight_stream.h"
#include "model/context.h"
#include "model/generator.h"
#include "tests/model/checkpoint_files.h"

namespace olivine::test {
namespace {

constexpr ContextOptions kOptions{.context = 96, .sequences = 3, .drafts = 3, .kv = KvType::f32};

// A Gemma 2 whose embedding is as large as four layers, so that its head streams in several groups.
// Its rows are the golden model's, moved around.
class WideModel {
public:
    explicit WideModel(bool quantised) {
        constexpr uint64_t kVocab = 5003;
        copy_model("tiny-gemma2", folder_);
        Table table = Table::read(folder_.path("model.safetensors"));
        Table::Tensor& rows = table.tensors.at("model.embed_tokens.weight");
        const std::vector<std::byte> data = rows.data;
        const uint64_t vocab = rows.shape[0], cols = rows.shape[1],
                       size = data.size() / (vocab * cols);
        rows.shape[0] = kVocab;
        rows.data.resize(kVocab * cols * size);
        for (uint64_t r = 0; r < kVocab; ++r)
            for (uint64_t c = 0; c < cols; ++c)
                std::memcpy(&rows.data[(r * cols + c) * size],
                            &data[(r * 7 % vocab * cols + (c + r / vocab) % cols) * size], size);
        table.write(folder_.path("model.safetensors"));
        Json config = read_json(folder_.path("config.json"));
        config["vocab_size"] = kVocab;
        write_file(folder_.path("config.json"), config.dump());
        if (quantised)
            write_file(folder_.path("model.gguf"),
                       gguf_from_folder(folder_.path(), DataType::q8_0));
        path_ = quantised ? folder_.path("model.gguf") : folder_.path();
    }
    const std::string& path() const { return path_; }

private:
    TemporaryFolder folder_;
    std::string path_;
};

DeviceOptions with_budget(uint64_t bytes, bool as_gpu, uint64_t max_range = 0) {
    DeviceOptions options;
    options.memory_budget = bytes;
    options.as_gpu = as_gpu;
    options.max_range_bytes = max_range;
    return options;
}

ModelOptions model_options() {
    ModelOptions options;
    options.context = kOptions;
    return options;
}

// Everything that a context computes, for comparison bit by bit.
struct Answers {
    std::vector<float> prefill, last, steps;
    std::vector<int32_t> drawn;

    bool operator==(const Answers& other) const {
        const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
            return a.size() == b.size() &&
                   std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0;
        };
        return same(prefill, other.prefill) && same(last, other.last) && same(steps, other.steps) &&
               drawn == other.drawn;
    }
};

Answers answers(Model& model) {
    std::mt19937 random(7);
    const uint32_t vocab = model.config().vocab_size;
    const auto prompt = [&](size_t length) {
        std::vector<int32_t> ids(length);
        for (int32_t& id : ids)
            id = static_cast<int32_t>(random() % vocab);
        return ids;
    };
    Answers answers;
    Context context(model, kOptions);
    answers.prefill = model.forward(context, 0, prompt(41), false, 16);
    answers.last = model.forward(context, 0, prompt(1), true);
    context.rewind(0, 0);
    for (uint32_t s = 0; s < kOptions.sequences; ++s)
        context.prefill(s, prompt(9 + s), true, {});
    for (uint32_t s = 0; s < kOptions.sequences; ++s)
        answers.drawn.push_back(context.join(s, {.temperature = s == 0 ? 0.0f : 1.0f, .seed = s}));
    const auto read = [&](uint32_t rows) {
        answers.steps.resize(answers.steps.size() + size_t{rows} * vocab);
        context.read_logits(0, rows, std::span(answers.steps).last(size_t{rows} * vocab));
    };
    for (int i = 0; i < 4; ++i) {
        const std::span<const int32_t> ids = context.step();
        answers.drawn.insert(answers.drawn.end(), ids.begin(), ids.end());
        read(kOptions.sequences);
    }
    context.leave(1);
    context.leave(2);
    for (int i = 0; i < 3; ++i) {
        const std::vector<int32_t> guesses = prompt(kOptions.drafts);
        const std::span<const int32_t> ids = context.step_with(guesses);
        answers.drawn.insert(answers.drawn.end(), ids.begin(), ids.end());
        read(kOptions.drafts + 1);
    }
    return answers;
}

struct Needs {
    uint64_t least, whole;
};
Needs needs(const Checkpoint& checkpoint) {
    const ModelBytes bytes = model_bytes(checkpoint, kOptions);
    return {residency(checkpoint.config(), bytes, kOptions, 0).least_bytes, bytes.total()};
}

}  // namespace

TEST_CASE("streamed weights give the resident ones' logits, bit by bit, within the budget",
          "[model][stream]") {
    const bool as_gpu = GENERATE(false, true);
    const std::string name = GENERATE("tiny-mqa", "wide", "wide q8_0");
    CAPTURE(as_gpu, name);
    const uint64_t range = as_gpu ? 192u << 10 : 0;  // so that a layer has matrices in several pieces
    const WideModel wide(name == "wide q8_0");
    const auto checkpoint = Checkpoint::open(name == "tiny-mqa" ? golden(name) : wide.path());
    const auto [least, whole] = needs(*checkpoint);
    REQUIRE(least < whole);
    Answers resident;
    {
        Device device(with_budget(0, as_gpu, range));
        Model model(device, *checkpoint, model_options());
        CHECK(!model.residency().streams);
        CHECK(!model.stream());
        resident = answers(model);
        CHECK(device.bytes_peak() <=
              whole + (as_gpu ? uint64_t{1} << 20 : 0));  // copies to the host
    }
    for (const uint64_t budget : {least, (least + whole) / 2, whole - 1}) {
        CAPTURE(least, budget, whole);
        Device device(with_budget(budget, as_gpu, range));
        Model model(device, *checkpoint, model_options());
        REQUIRE(model.stream());
        const uint64_t before = model.stream()->bytes_copied();
        CHECK(answers(model) == resident);
        CHECK(device.bytes_peak() <= budget);
        CHECK(device.validation_messages() == 0);
        CHECK(model.stream()->bytes_copied() > before);
        CHECK(model.residency().resident_bytes + model.residency().streamed_bytes ==
              model_bytes(*checkpoint, kOptions).weights);
        if (budget == least) {
            CHECK(model.residency().layers == 0);
            if (name != "tiny-mqa")
                CHECK(model.weights().head().pieces().size() > 2);
        }
        if (budget == whole - 1 && name != "tiny-mqa")
            CHECK(model.residency().layers > 0);
    }
}

TEST_CASE("a warm streamed step records nothing but its copies", "[model][stream]") {
    const WideModel wide(false);
    const auto checkpoint = Checkpoint::open(wide.path());
    Device device(with_budget(needs(*checkpoint).least, true));
    Model model(device, *checkpoint, model_options());
    Context context(model, kOptions);
    const std::vector<int32_t> prompt = {2, 7, 1};
    context.prefill(0, prompt, true, {});
    context.join(0, {});
    for (int i = 0; i < 3; ++i)
        context.step();
    Counters& counters = device.counters();
    const uint64_t recordings = counters.recordings, allocations = counters.allocations,
                   dispatches = counters.dispatches_recorded, submissions = counters.submissions,
                   updates = counters.descriptor_updates, copied = model.stream()->bytes_copied();
    for (int i = 0; i < 5; ++i)
        context.step();
    CHECK(counters.dispatches_recorded == dispatches);
    CHECK(counters.descriptor_updates == updates);
    CHECK(counters.recordings - recordings < counters.submissions - submissions);
    CHECK(counters.allocations == allocations);
    CHECK(model.stream()->bytes_copied() > copied);
}

TEST_CASE("a budget that shrinks and grows in the middle of an answer changes nothing of it",
          "[model][stream]") {
    const bool as_gpu = GENERATE(false, true);
    CAPTURE(as_gpu);
    const WideModel wide(true);
    const auto checkpoint = Checkpoint::open(wide.path());
    const auto [least, whole] = needs(*checkpoint);
    const std::vector<GenerateRequest> requests = {{.prompt = {2, 5, 77, 4999, 12},
                                                    .max_tokens = 40,
                                                    .sampler = {.temperature = 0.9f, .seed = 3}}};
    std::vector<int32_t> undisturbed;
    {
        Device device(with_budget(0, as_gpu));
        Model model(device, *checkpoint, model_options());
        undisturbed = Generator(model, kOptions).generate(requests)[0].ids;
    }
    // Room for copies between host and device, which a model that fits exactly leaves none for.
    constexpr uint64_t kCopies = 3u << 20;
    Device device(with_budget(whole + kCopies, as_gpu));
    Model model(device, *checkpoint, model_options());
    Generator generator(model, kOptions);
    std::vector<bool> streamed;
    size_t drawn = 0;
    const auto on_token = [&](uint32_t, int32_t) {
        const std::map<size_t, uint64_t> budgets = {
            {3, (least + whole) / 2}, {6, least}, {7, least}, {12, whole - 1},
            {20, whole + kCopies},    {30, least}};
        if (const auto at = budgets.find(++drawn); at != budgets.end()) {
            model.set_budget(at->second);
            CHECK(device.budget_bytes() == at->second);
            CHECK(device.bytes_now() <= at->second);
            streamed.push_back(model.residency().streams);
        }
        return true;
    };
    CHECK(generator.generate(requests, on_token)[0].ids == undisturbed);
    CHECK(streamed == std::vector<bool>{true, true, true, true, false, true});
    CHECK(generator.generate(requests)[0].ids == undisturbed);

    const Failure failure = failure_of([&] { model.set_budget(least - 1); });
    CHECK(failure.fault == Fault::out_of_memory);
    CHECK(failure.text.find(std::to_string(least)) != std::string::npos);
    CHECK(failure.text.find(std::to_string(least - 1)) != std::string::npos);
    CHECK(device.budget_bytes() == least);
    CHECK(generator.generate(requests)[0].ids == undisturbed);
    CHECK(device.validation_messages() == 0);
}

TEST_CASE("too small a budget is refused with numbers before anything is allocated",
          "[model][stream]") {
    const auto checkpoint = Checkpoint::open(golden("tiny-mqa"));
    const auto [least, whole] = needs(*checkpoint);
    Device device(with_budget(least - 1, false));
    const Failure failure = failure_of([&] { Model(device, *checkpoint, model_options()); });
    CHECK(failure.fault == Fault::out_of_memory);
    for (const uint64_t number : {least, least - 1, whole})
        CHECK(failure.text.find(std::to_string(number)) != std::string::npos);
    CHECK(device.bytes_peak() == 0);
}

TEST_CASE("loading that is stopped, or whose file is cut meanwhile, leaves nothing behind",
          "[model][stream]") {
    const bool streams = GENERATE(false, true), as_gpu = GENERATE(false, true);
    CAPTURE(streams, as_gpu);
    const WideModel wide(false);
    const auto checkpoint = Checkpoint::open(wide.path());
    Device device(with_budget(streams ? needs(*checkpoint).least : 0, as_gpu));
    ModelOptions options = model_options();
    uint64_t calls = 0;
    options.progress = [&](uint64_t done, uint64_t total) {
        CHECK(done <= total);
        return ++calls < 5;
    };
    CHECK(failure_of([&] { Model(device, *checkpoint, options); }).fault == Fault::cancelled);
    CHECK(calls == 5);
    CHECK(device.bytes_now() == 0);
    options.progress = [&](uint64_t, uint64_t) {
        std::filesystem::resize_file(wide.path() + "/model.safetensors", 5000);
        return true;
    };
    CHECK(failure_of([&] { Model(device, *checkpoint, options); }).fault == Fault::bad_file);
    CHECK(device.bytes_now() == 0);
}

TEST_CASE("a first picture finds room where only streaming leaves any", "[model][stream][vision]") {
    const bool as_gpu = GENERATE(false, true);
    CAPTURE(as_gpu);
    const auto checkpoint = Checkpoint::open(golden("tiny-vision"));
    const auto [least, whole] = needs(*checkpoint);
    const uint64_t vision = model_bytes(*checkpoint, kOptions).vision;
    Picture picture{64, 48, {}};
    for (uint32_t i = 0; i < 64 * 48; ++i)
        picture.pixels.push_back(i * 2654435761u | 0xff000000u);
    const auto logits = [&](Model& model) {
        Context context(model, kOptions);
        const std::vector<int32_t> before = {2, 9, 4};
        std::vector<float> result = model.forward(context, 0, before, false);
        // By the same number of patches, whatever the clock says: products of other sizes round otherwise.
        const std::vector<PictureRef> encoded =
            model.vision().encode(std::span(&picture, 1), {.patches_a_slice = 64});
        std::vector<int32_t> ids(model.vision().tokens_per_picture(), encoded[0]->id);
        ids.insert(ids.end(), {7, 8, 3, 11});
        const std::vector<float> after = model.forward(context, 0, ids, false);
        result.insert(result.end(), after.begin(), after.end());
        return result;
    };
    Device roomy(with_budget(0, as_gpu));
    Model resident(roomy, *checkpoint, model_options());
    const std::vector<float> expected = logits(resident);
    CHECK(!resident.residency().streams);

    constexpr uint64_t kPixels = 128u << 10;  // for a while, to resize them
    const uint64_t budget = std::max(whole, least + vision) + kPixels;
    REQUIRE(budget < whole + vision);
    Device device(with_budget(budget, as_gpu));
    Model model(device, *checkpoint, model_options());
    CHECK(!model.residency().streams);
    CHECK(logits(model) == expected);
    CHECK(model.residency().streams);
    CHECK(device.bytes_peak() <= budget);
    CHECK(device.validation_messages() == 0);
}

TEST_CASE("a random model streams, too", "[model][stream]") {
    const bool as_gpu = GENERATE(false, true);
    CAPTURE(as_gpu);
    const auto checkpoint = Checkpoint::open(golden("tiny-mqa"));
    const Config& config = checkpoint->config();
    const ModelBytes bytes = model_bytes(config, DataType::f16, kOptions);
    const uint64_t least = residency(config, bytes, kOptions, 0).least_bytes;
    Device device(with_budget(least, as_gpu));
    Model model(device, config, DataType::f16, model_options());
    REQUIRE(model.stream());
    Device roomy(with_budget(0, as_gpu));
    Model resident(roomy, config, DataType::f16, model_options());
    CHECK(answers(model) ==
          answers(resident));  // its head is one group, filled as the resident one
    CHECK(device.bytes_peak() <= least);
}

}  // namespace olivine::test
