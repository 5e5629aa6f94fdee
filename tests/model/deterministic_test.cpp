// DeviceOptions::deterministic: the logits of a text have the same bits however it came to be computed.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>

#include "model/context.h"
#include "model/model.h"
#include "tests/support/golden.h"
#include "tests/support/loaded.h"

namespace olivine::test {
namespace {

constexpr uint32_t kSteps = 8, kDrafts = 7, kSequences = 8;
constexpr SamplerOptions kSampler{.temperature = 1, .seed = 11};  // sampling scales the logits in place

void prefill(Context& context, uint32_t sequence, std::span<const int32_t> ids) {
    context.rewind(sequence, 0);
    for (size_t done = 0; done < ids.size();) {
        const size_t count = std::min<size_t>(50, ids.size() - done);
        context.prefill(sequence, ids.subspan(done, count), done + count == ids.size(), {});
        done += count;
    }
}

// Decodes behind the prompt, as one of `batch` sequences that are at other positions. Appends what it draws
// to `text`. Returns the logits of the steps.
std::vector<float> decode(Model& model, Context& context, uint32_t batch, std::vector<int32_t>& text) {
    const size_t vocab = model.config().vocab_size;
    const uint32_t ours = batch / 2;
    for (uint32_t s = 0; s < batch; ++s) {
        prefill(context, s, s == ours ? text : random_ids(model, 5 + 9 * s, s));
        const int32_t drawn = context.join(s, kSampler);
        if (s == ours)
            text.push_back(drawn);
    }
    std::vector<float> logits(kSteps * vocab);
    for (uint32_t i = 0; i < kSteps; ++i) {
        text.push_back(context.step()[ours]);
        context.read_logits(ours, 1, std::span(logits).subspan(i * vocab, vocab));
    }
    for (uint32_t s = 0; s < batch; ++s)
        context.leave(s);
    return logits;
}

constexpr ContextOptions kContext{.context = 300, .sequences = kSequences, .drafts = kDrafts};

// The ways to compute a text, a prompt of random ids and what is drawn behind it, whose logits differ from
// `whole`: those of a single chunk, of this model if there are none yet.
std::vector<std::string> differing_ways(Model& model, uint32_t prompt_length, std::vector<float>& whole) {
    const size_t vocab = model.config().vocab_size;
    Context context(model, kContext);
    const std::vector<int32_t> prompt = random_ids(model, prompt_length, 100);
    std::vector<int32_t> text = prompt;
    const std::vector<float> alone = decode(model, context, 1, text);
    text.resize(prompt_length + kSteps);  // the last id has not run

    context.rewind(0, 0);
    const std::vector<float> chunk_of_all = model.forward(context, 0, text, false);
    if (whole.empty())
        whole = chunk_of_all;
    std::vector<std::string> differing;
    const auto compare = [&](const std::string& way, const std::vector<float>& logits, size_t first) {
        if (std::memcmp(logits.data(), whole.data() + first * vocab, logits.size() * sizeof(float)) != 0)
            differing.push_back(way);
    };
    compare("a single chunk", chunk_of_all, 0);
    compare("decode alone", alone, prompt_length);
    for (const uint32_t chunk : {1u, 7u, 64u}) {
        context.rewind(0, 0);
        compare("chunks of " + std::to_string(chunk), model.forward(context, 0, text, false, chunk), 0);
    }
    for (const uint32_t batch : {3u, kSequences}) {
        std::vector<int32_t> again = prompt;
        compare("decode beside " + std::to_string(batch - 1), decode(model, context, batch, again),
                prompt_length);
    }
    prefill(context, 0, prompt);
    context.join(0, kSampler);
    context.step_with(std::span(text).subspan(prompt_length + 1, kDrafts));
    std::vector<float> guessed((kDrafts + 1) * vocab);
    context.read_logits(0, kDrafts + 1, guessed);
    compare("guesses", guessed, prompt_length);
    return differing;
}

std::string folder_of(const std::string& model) {
    return model == "built-in" ? std::string(OLIVINE_TEST_GOLDENS) + "/../../assets/pebble"
                               : Golden(model).folder;
}

void check_model(const std::string& name, bool as_gpu) {
    CAPTURE(name, as_gpu);
    const auto checkpoint = Checkpoint::open(folder_of(name));
    DeviceOptions options;
    options.as_gpu = as_gpu;
    options.deterministic = true;
    // Longer than every model's window, and with the answer longer than a piece of split attention.
    const uint32_t length = name == "tiny-text" ? 250 : name == "built-in" ? 140 : 60;
    std::vector<float> whole;
    {
        Device device(options);
        Model model(device, *checkpoint, {.context = kContext});
        CHECK(differing_ways(model, length, whole) == std::vector<std::string>{});
    }
    if (name == "tiny-mqa") {  // with weights that are streamed
        const ModelBytes bytes = model_bytes(*checkpoint, kContext);
        options.memory_budget = residency(checkpoint->config(), bytes, kContext, 0).least_bytes;
        Device device(options);
        Model model(device, *checkpoint, {.context = kContext});
        CHECK(model.residency().streamed_bytes > 0);
        CHECK(differing_ways(model, length, whole) == std::vector<std::string>{});
        options.memory_budget = 0;
    }
    // Otherwise GPUs, and who is taken for one, compute one row by another shader than many.
    if (as_gpu && name == "tiny-text") {
        options.deterministic = false;
        Device device(options);
        Model model(device, *checkpoint);
        whole.clear();
        CHECK(differing_ways(model, length, whole) != std::vector<std::string>{});
    }
}

}  // namespace

TEST_CASE(
    "deterministic logits are bit-equal in chunks, batches, steps and guesses, resident or "
    "streamed",
    "[model]") {
    // The built-in model's matrices take the others' ways on GPUs.
    const auto [name, as_gpu] = GENERATE(
        table<std::string, bool>({{"tiny-mqa", false}, {"tiny-mqa", true}, {"built-in", false}}));
    check_model(name, as_gpu);
}

TEST_CASE("and so are those of models with longer windows", "[model][long]") {
    const std::string name = GENERATE("tiny-text", "tiny-gemma2");
    check_model(name, GENERATE(false, true));
}

}  // namespace olivine::test
