// The picture encoder and pictures in the text, against the golden tiny-vision.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "engine/device.h"
#include "engine/error.h"
#include "model/checkpoint.h"
#include "model/context.h"
#include "model/generator.h"
#include "model/model.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/golden.h"

namespace olivine::test {
namespace {

// Of the logits, as for text; the encoder's own values are smaller than ten.
constexpr double kTolerance = 1e-4;

std::vector<float> read_rows(Device& device, const Activation& rows) {
    std::vector<float> padded(size_t{rows.rows} * rows.stride);
    read(device, {rows.slice.buffer, rows.slice.offset, padded.size() * 4},
         std::as_writable_bytes(std::span(padded)));
    std::vector<float> values;
    for (uint32_t r = 0; r < rows.rows; ++r)
        values.insert(values.end(), padded.begin() + size_t{r} * rows.stride,
                      padded.begin() + size_t{r} * rows.stride + rows.cols);
    return values;
}

std::vector<Picture> golden_pictures(const Golden& golden) {
    std::vector<Picture> pictures;
    for (const char* name : {"image0.u8", "image1.u8"}) {
        const std::vector<uint64_t> shape = golden.shape(name);
        Picture picture{static_cast<uint32_t>(shape[1]), static_cast<uint32_t>(shape[0]), {}};
        const std::vector<uint8_t> rgb = golden.bytes(name);
        for (size_t i = 0; i < rgb.size(); i += 3)
            picture.pixels.push_back(rgb[i] | rgb[i + 1] << 8 | rgb[i + 2] << 16 | 0xff000000u);
        pictures.push_back(std::move(picture));
    }
    return pictures;
}

struct Loaded {
    explicit Loaded(const std::string& path, const std::string& mmproj = {})
        : checkpoint(Checkpoint::open(path, mmproj)),
          model(device, *checkpoint) {}

    // The golden prompt with its place holders replaced by the pictures.
    std::vector<int32_t> with_pictures(std::vector<int32_t> ids) {
        const uint32_t each = model.vision().tokens_per_picture();
        size_t soft = 0;
        for (int32_t& id : ids)
            if (id == *model.config().image_token_id)
                id = pictures.at(soft++ / each)->id;
        REQUIRE(soft == pictures.size() * each);
        return ids;
    }

    std::vector<float> logits(std::span<const int32_t> ids, const std::vector<uint32_t>& split) {
        Context context(model, options);
        std::vector<float> all;
        size_t done = 0;
        for (const uint32_t count : split) {
            const std::vector<float> part =
                model.forward(context, 1, ids.subspan(done, count), false);
            all.insert(all.end(), part.begin(), part.end());
            done += count;
        }
        REQUIRE(done == ids.size());
        return all;
    }

    Device device;
    std::unique_ptr<Checkpoint> checkpoint;
    Model model;
    ContextOptions options{.context = 128, .sequences = 2, .kv = KvType::f32};
    std::vector<PictureRef> pictures;
};

}  // namespace

TEST_CASE("every stage of the picture encoder equals the golden", "[model][vision]") {
    const Golden golden("tiny-vision");
    Loaded loaded(golden.folder);
    uint32_t layer = 0;
    std::vector<std::string> seen;
    EncodeOptions options{.patches_a_slice = GENERATE(0u, 64u)};
    options.trace = [&](const std::string& stage, const Activation& result) {
        std::string name = "vision." + stage;
        if (stage == "pixels" || stage == "soft_tokens")
            name = stage;
        if (stage == "layer")
            name = "vision.layer" + std::to_string(layer++) + ".out";
        seen.push_back(name);
        const double error = max_abs_difference(read_rows(loaded.device, result), golden.floats(name));
        UNSCOPED_INFO(name << ": largest error " << error);
        // Pixels are exact to the integer; a step of one is 2 / 255.
        CHECK(error <= (stage == "pixels" ? 1e-6 : 2e-5));
    };
    loaded.model.vision().encode(golden_pictures(golden), options);
    CHECK(seen == std::vector<std::string>{"pixels", "vision.patch_embed", "vision.layer0.out",
                                           "vision.layer1.out", "vision.layer2.out", "vision.out",
                                           "vision.pooled", "soft_tokens"});
    CHECK(loaded.device.validation_messages() == 0);
}

TEST_CASE("logits with pictures equal the golden however the prompt is split", "[model][vision]") {
    const Golden golden("tiny-vision");
    Loaded loaded(golden.folder);
    loaded.pictures = loaded.model.vision().encode(golden_pictures(golden));
    const std::vector<int32_t> ids = loaded.with_pictures(golden.ids("tokens"));
    const std::vector<float> expected = golden.floats("logits");
    for (const auto& split : golden.info["prompt_splits"]) {
        const double error =
            max_abs_difference(loaded.logits(ids, split.get<std::vector<uint32_t>>()), expected);
        UNSCOPED_INFO("largest logit error " << error);
        CHECK(error <= kTolerance);
    }

    Generator generator(loaded.model, loaded.options);
    GenerateRequest request;
    request.prompt = loaded.with_pictures(golden.ids("greedy.prompt"));
    request.max_tokens = static_cast<uint32_t>(golden.ids("greedy.tokens").size());
    request.sampler.temperature = 0;
    const std::vector<GenerateRequest> both = {request, request};
    for (int run = 0; run < 2; ++run)
        for (const GenerateResult& result : generator.generate(both))
            CHECK(result.ids == golden.ids("greedy.tokens"));
    // The second run found all but the last token of both in the cache.
    CHECK(generator.stats().cached_tokens == 2 * (request.prompt.size() - 1));
    CHECK(loaded.device.validation_messages() == 0);
}

TEST_CASE("a picture is encoded once", "[model][vision]") {
    const Golden golden("tiny-vision");
    Loaded loaded(golden.folder);
    Vision& vision = loaded.model.vision();
    const std::vector<Picture> pictures = golden_pictures(golden);
    uint32_t steps = 0;
    EncodeOptions options;
    options.progress = [&](uint32_t done, uint32_t total) {
        CHECK(done <= total);
        ++steps;
    };
    const auto first = vision.encode(pictures, options);
    CHECK(steps == 3 + 2 * 3);
    CHECK(first[0]->id != first[1]->id);
    const auto again = vision.encode(std::vector{pictures[1], pictures[0], pictures[1]}, options);
    CHECK(steps == 3 + 2 * 3);
    CHECK(again == std::vector{first[1], first[0], first[1]});

    // Alone or with others, a picture has the same soft tokens.
    Loaded other(golden.folder);
    const auto alone = other.model.vision().encode(std::vector{pictures[1]});
    CHECK(max_abs_difference(alone[0]->soft_tokens, first[1]->soft_tokens) <= 1e-6);
}

TEST_CASE("encoding stops on request and can be repeated", "[model][vision]") {
    const Golden golden("tiny-vision");
    Loaded loaded(golden.folder);
    Vision& vision = loaded.model.vision();
    const std::vector<Picture> pictures = golden_pictures(golden);
    EncodeOptions options;
    uint32_t asked = 0;
    options.cancelled = [&] { return ++asked > 3; };
    try {
        vision.encode(pictures, options);
        FAIL("it went on");
    } catch (const Error& error) {
        CHECK(error.fault() == Fault::cancelled);
    }
    loaded.pictures = vision.encode(pictures);
    const std::vector<int32_t> ids = loaded.with_pictures(golden.ids("tokens"));
    CHECK(max_abs_difference(loaded.logits(ids, {static_cast<uint32_t>(ids.size())}),
                             golden.floats("logits")) <= kTolerance);
}

TEST_CASE("GGUF with its mmproj file gives the logits of the folder", "[model][vision]") {
    const Golden golden("tiny-vision");
    const TemporaryFolder folder;
    Loaded plain(golden.folder);
    plain.pictures = plain.model.vision().encode(golden_pictures(golden));
    const std::vector<int32_t> tokens = golden.ids("tokens");
    const std::vector<uint32_t> split = {static_cast<uint32_t>(tokens.size())};
    const std::vector<float> expected = plain.logits(plain.with_pictures(tokens), split);
    for (const DataType type : {DataType::f32, DataType::bf16}) {
        CAPTURE(name(type));
        write_file(folder.path("model.gguf"), gguf_from_folder(golden.folder, type));
        write_file(folder.path("mmproj-model.gguf"), mmproj_from_folder(golden.folder, type));
        Loaded loaded(folder.path("model.gguf"));  // the file beside it is found
        loaded.pictures = loaded.model.vision().encode(golden_pictures(golden));
        CHECK(max_abs_difference(loaded.logits(loaded.with_pictures(tokens), split), expected) <=
              1e-5);
    }
}

TEST_CASE("soft tokens come as whole pictures", "[model][vision]") {
    const Golden golden("tiny-vision");
    Loaded loaded(golden.folder);
    loaded.pictures = loaded.model.vision().encode(golden_pictures(golden));
    Context context(loaded.model, loaded.options);
    const uint32_t soft = loaded.model.vision().tokens_per_picture();
    const auto refused = [&](std::vector<int32_t> ids) {
        CHECK_THROWS_AS(loaded.model.forward(context, 0, ids, true), Error);
        CHECK(context.tokens(0).empty());  // nothing has run
    };
    std::vector<int32_t> ids = {2, 3};
    ids.insert(ids.end(), soft - 1, loaded.pictures[0]->id);
    refused(ids);  // one is missing at the end
    ids.push_back(7);
    refused(ids);
    ids.back() = loaded.pictures[1]->id;
    refused(ids);  // the last one is another picture's
    ids.back() = -1000;
    refused(ids);
    ids.back() = loaded.pictures[0]->id;
    CHECK_NOTHROW(loaded.model.forward(context, 0, ids, true));

    // Two in a row are two pictures, and a context that runs fewer rows than one has says so.
    ids.insert(ids.end(), soft, loaded.pictures[0]->id);
    context.rewind(0, 0);
    CHECK_NOTHROW(loaded.model.forward(context, 0, ids, true));
    loaded.options.context = soft - 1;
    Context small(loaded.model, loaded.options);
    CHECK_THROWS_AS(small.check(std::vector<int32_t>(soft, loaded.pictures[0]->id)), Error);
}

TEST_CASE("a model without an encoder refuses pictures", "[model][vision]") {
    Loaded loaded(Golden("tiny-text").folder);
    CHECK_THROWS_AS(loaded.model.vision(), Error);
    CHECK_THROWS_AS(loaded.logits(std::vector<int32_t>{2, -1, -1}, {3}), Error);
}

}  // namespace olivine::test
