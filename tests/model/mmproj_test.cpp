// The picture encoder of a GGUF model, which has a file of its own.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "engine/error.h"
#include "model/checkpoint.h"
#include "tests/model/checkpoint_files.h"
#include "tests/support/gguf_writer.h"

namespace olivine {
namespace {

namespace fs = std::filesystem;
using test::copy_model;
using test::Failure;
using test::failure_of;
using test::golden;
using test::is_picture;
using test::Json;
using test::read_json;
using test::Table;
using test::TemporaryFolder;
using test::values_of;

// tiny-vision with random picture weights of sizes that divide into blocks of 32, over a grid that
// is not its own: 19 patches of 8 pixels a side (one pixel unused) pool to one soft token.
void write_blocky_model(const TemporaryFolder& folder) {
    copy_model("tiny-vision", folder);
    Json json = read_json(folder.path("config.json"));
    json["vision_config"] = {{"hidden_size", 64}, {"intermediate_size", 96},
                             {"num_hidden_layers", 2}, {"num_attention_heads", 4},
                             {"image_size", 153}, {"patch_size", 8}};
    json["mm_tokens_per_image"] = 1;
    test::write_file(folder.path("config.json"), json.dump());
    Table table = Table::read(folder.path("model.safetensors"));
    std::erase_if(table.tensors, [](const auto& entry) { return is_picture(entry.first); });
    std::mt19937 random(7);
    for (const TensorSpec& spec : vision_tensors(config_from_hf(json, "config.json"))) {
        uint64_t count = 1;
        for (const uint64_t size : spec.shape)
            count *= size;
        std::vector<float> values(count);
        for (float& value : values)
            value = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 1000;
        table.tensors[spec.name] = {"BF16", spec.shape, test::encode(DataType::bf16, values)};
    }
    table.write(folder.path("model.safetensors"));
}

}  // namespace

TEST_CASE("an mmproj file has the folder's picture encoder", "[cpu][checkpoint][gguf]") {
    const bool blocky = GENERATE(false, true);
    TemporaryFolder original_folder;
    if (blocky)
        write_blocky_model(original_folder);
    else
        copy_model("tiny-vision", original_folder);
    const auto original = Checkpoint::open(original_folder.path());
    TemporaryFolder folder;
    const std::string path = folder.path("model.gguf");
    test::write_file(path, test::gguf_from_folder(original_folder.path(), DataType::bf16));
    for (const DataType type : {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0,
                                DataType::q4_0}) {
        for (const bool old_names : {false, true}) {
            CAPTURE(blocky, name(type), old_names);
            const auto bytes = test::mmproj_from_folder(original_folder.path(), type,
                                                        {.old_mlp_names = old_names});
            test::write_file(folder.path("mmproj-model.gguf"), bytes);
            const auto checkpoint = Checkpoint::open(path);
            CHECK(checkpoint->config() == original->config());
            REQUIRE(checkpoint->has_vision());
            REQUIRE(checkpoint->mmproj());
            CHECK(checkpoint->norm_weights_include_one());
            uint64_t bytes_of_all = 0;
            std::set<DataType> types;
            for (const TensorSpec& spec : vision_tensors(original->config())) {
                CAPTURE(spec.name);
                const TensorInfo& info = *checkpoint->find(spec.name);
                bytes_of_all += info.bytes;
                types.insert(info.type);
                std::vector<float> wanted = values_of(*original, spec.name);
                if (spec.name == "multi_modal_projector.mm_soft_emb_norm.weight")
                    for (float& value : wanted)
                        value += 1;
                CHECK(info.file == 1);
                CHECK(info.shape == spec.shape);
                CHECK(values_of(*checkpoint, spec.name) ==
                      test::decode(info.type, test::encode(info.type, wanted)));
                if (type == DataType::f32 || type == DataType::bf16)
                    CHECK(values_of(*checkpoint, spec.name) == wanted);
            }
            CHECK(checkpoint->vision_bytes() == bytes_of_all);
            CHECK(types.contains(blocky || type < DataType::q8_0 ? type : DataType::f16));
            // The text is the same as without.
            const auto text = Checkpoint::open(path, Checkpoint::kNoMmproj);
            CHECK(!text->has_vision());
            CHECK(text->vision_bytes() == 0);
            CHECK(text->weight_bytes() == checkpoint->weight_bytes());
        }
    }
}

TEST_CASE("an mmproj file is found, named or refused", "[cpu][checkpoint][gguf]") {
    TemporaryFolder folder;
    const std::string path = folder.path("model.gguf");
    test::write_file(path, test::gguf_from_folder(golden("tiny-vision"), DataType::bf16));
    const auto mmproj = test::mmproj_from_folder(golden("tiny-vision"), DataType::f16);
    CHECK(!Checkpoint::open(path)->has_vision());
    const auto failure_with = [&](const std::string& model, const std::string& file) {
        return failure_of([&] { Checkpoint::open(model, file); });
    };

    // Not taken for one: hidden files, folders, other endings.
    test::write_file(folder.path("._mmproj.gguf"), "x");
    test::write_file(folder.path("mmproj.gguf.part"), "x");
    fs::create_directory(folder.path("mmproj-folder.gguf"));
    CHECK(!Checkpoint::open(path)->has_vision());
    for (const char* name : {"mmproj.gguf", "mmproj-BF16.gguf", "MMPROJ-model.GGUF",
                             "gemma-3-4b-it-mmproj-f16.gguf", "a b.mmproj.gguf"}) {
        CAPTURE(name);
        test::write_file(folder.path(name), mmproj);
        CHECK(Checkpoint::open(path)->has_vision());
        CHECK(!Checkpoint::open(path, "none")->has_vision());
        fs::remove(folder.path(name));
    }
    test::write_file(folder.path("pictures.gguf"), mmproj);
    CHECK(!Checkpoint::open(path)->has_vision());
    CHECK(Checkpoint::open(path, folder.path("pictures.gguf"))->has_vision());

    // Of several, the first that fits.
    test::write_file(folder.path("mmproj-f32.gguf"), "broken");
    CHECK(!Checkpoint::open(path)->has_vision());
    test::write_file(folder.path("mmproj-f16.gguf"), mmproj);
    std::vector<std::byte> others = mmproj;
    test::patch_value(others, "clip.vision.projection_dim", uint32_t{73});
    test::write_file(folder.path("mmproj-a.gguf"), others);
    CHECK(Checkpoint::open(path)->mmproj()->path() == folder.path("mmproj-f16.gguf"));
    CHECK(!Checkpoint::open(path, "none")->has_vision());
    Failure failure = failure_with(path, folder.path("mmproj-f32.gguf"));
    CAPTURE(failure.text);
    CHECK(failure.fault == Fault::bad_file);
    CHECK(failure.text.find("mmproj-f32.gguf: ") != std::string::npos);
    failure = failure_with(path, folder.path("mmproj-f64.gguf"));
    CHECK(failure.fault == Fault::bad_file);
    CHECK(failure.text.find("mmproj-f64.gguf") != std::string::npos);

    // Another model's: a text model of another width, a Gemma 2, the model itself, a folder's.
    const std::string file = folder.path("mmproj-f16.gguf");
    test::write_file(path, test::gguf_from_folder(golden("tiny-text"), DataType::bf16));
    failure = failure_with(path, file);
    CHECK(failure.fault == Fault::bad_file);
    CHECK(failure.text.find("mmproj-f16.gguf: key 'clip.vision.projection_dim' is 72, but") !=
          std::string::npos);
    CHECK(failure.text.find("model.gguf' is 120 wide: the file belongs to another model") !=
          std::string::npos);
    CHECK(failure_with(path, path).text.find("'gemma3' (supported: clip)") != std::string::npos);
    CHECK(failure_with(path, path).fault == Fault::unsupported);
    CHECK(failure_with(file, "").text.find("'clip' (supported: gemma2, gemma3)") !=
          std::string::npos);
    test::write_file(path, test::gguf_from_folder(golden("tiny-gemma2"), DataType::bf16));
    CHECK(!Checkpoint::open(path)->has_vision());  // does not even look
    CHECK(failure_with(path, file).fault == Fault::unsupported);
    failure = failure_with(golden("tiny-vision"), file);
    CHECK(failure.fault == Fault::bad_input);
    CHECK(failure.text.find("--mmproj") != std::string::npos);
}

TEST_CASE("the mmproj header is checked key by key", "[cpu][checkpoint][gguf]") {
    TemporaryFolder folder;
    const std::string path = folder.path("model.gguf");
    const std::string file = folder.path("mmproj.gguf");
    test::write_file(path, test::gguf_from_folder(golden("tiny-vision"), DataType::bf16));
    const auto good = test::mmproj_from_folder(golden("tiny-vision"), DataType::bf16);
    using Bytes = std::vector<std::byte>;
    const auto failure_after = [&](const std::function<void(Bytes&)>& change) {
        Bytes bytes = good;
        change(bytes);
        test::write_file(file, bytes);
        return failure_of([&] { Checkpoint::open(path, file); });
    };
    const char* const kKeys[] = {
        "general.architecture", "clip.projector_type", "clip.vision.image_size",
        "clip.vision.patch_size", "clip.vision.embedding_length",
        "clip.vision.feed_forward_length", "clip.vision.block_count", "clip.vision.projection_dim",
        "clip.vision.attention.head_count", "clip.vision.attention.layer_norm_epsilon"};
    for (const std::string key : kKeys) {
        const Failure failure = failure_after([&](Bytes& bytes) {
            test::patch_text(bytes, key, key.substr(0, key.size() - 1) + "?");
        });
        CAPTURE(key, failure.text);
        CHECK(failure.fault == Fault::bad_file);
        CHECK(failure.text.find("mmproj.gguf: key '" + key + "'") != std::string::npos);
    }
    struct Case {
        std::function<void(Bytes&)> change;
        Fault fault;
        const char* in_message;
    };
    const auto number = [](const std::string& key, uint32_t value) {
        return [=](Bytes& bytes) { test::patch_value(bytes, "clip.vision." + key, value); };
    };
    const auto text = [](const std::string& from, const std::string& to) {
        return [=](Bytes& bytes) { test::patch_text(bytes, from, to); };
    };
    const auto flag = [](const std::string& key, uint8_t value) {
        return [=](Bytes& bytes) { test::patch_value(bytes, key, value); };
    };
    const Case cases[] = {
        {text("clip", "clap"), Fault::unsupported, "'clap' (supported: clip)"},
        {text("gemma3", "idefic"), Fault::unsupported,
         "'clip.projector_type' is 'idefic' (supported: gemma3)"},
        {flag("clip.has_vision_encoder", 0), Fault::unsupported, "clip.has_vision_encoder"},
        {flag("clip.use_gelu", 0), Fault::unsupported, "'clip.use_gelu' is false"},
        {text("clip.use_gelu", "clip.use_silu"), Fault::unsupported, "'clip.use_gelu' is absent"},
        {number("projection_dim", 2560), Fault::bad_file, "is 2560, but"},
        {number("projection_dim", 0), Fault::bad_file, "is 0, but"},
        {number("embedding_length", 0), Fault::bad_file, "hidden_size is 0"},
        {number("embedding_length", 112), Fault::bad_file, "num_attention_heads (6)"},
        {number("embedding_length", 114), Fault::bad_file, "has shape [108, 3, 14, 14]"},
        {number("embedding_length", 0xffffffff), Fault::bad_file, "embedding_length"},
        {number("feed_forward_length", 141), Fault::bad_file, "has shape [140, 108]"},
        {number("block_count", 0), Fault::bad_file, "num_hidden_layers is 0"},
        {number("block_count", 4), Fault::bad_file, "layers.3.layer_norm1.weight' of shape"},
        {number("block_count", 1u << 30), Fault::bad_file, "num_hidden_layers is 1073741824"},
        {number("attention.head_count", 0), Fault::bad_file, "num_attention_heads is 0"},
        {number("attention.head_count", 7), Fault::bad_file, "num_attention_heads (7)"},
        {number("image_size", 0), Fault::bad_file, "image_size is 0"},
        {number("image_size", 13), Fault::bad_file, "is 13 (at least vision patch_size, 14)"},
        {number("image_size", 2000000000), Fault::bad_file, "image_size is 2000000000"},
        {number("image_size", 896), Fault::bad_file, "has shape [144, 108] (expected: [4096, 108])"},
        {number("image_size", 112), Fault::bad_file, "has shape [144, 108] (expected: [64, 108])"},
        {number("image_size", 154), Fault::bad_file, "'clip.vision.projector.scale_factor' is 4"},
        {number("patch_size", 0), Fault::bad_file, "patch_size is 0"},
        {number("patch_size", 1), Fault::bad_file, "has shape [108, 3, 14, 14]"},
        {number("attention.layer_norm_epsilon", 0), Fault::bad_file, "layer_norm_eps is 0"},
        {number("attention.layer_norm_epsilon", 0x7fc00000), Fault::bad_file, "layer_norm_eps"},
        {text("v.post_ln.bias", "v.post_ln.bits"), Fault::bad_file, "post_layernorm.bias' of"},
        {text("v.blk.1.attn_q.weight", "v.blk.7.attn_q.weight"), Fault::bad_file,
         "'vision_tower.vision_model.encoder.layers.1.self_attn.q_proj.weight' of shape [108, "},
        {text("mm.input_projection", "mm.inputs_project__"), Fault::bad_file,
         "mm_input_projection_weight' of shape [108, 72] is missing"},
    };
    for (const Case& test : cases) {
        const Failure failure = failure_after(test.change);
        CAPTURE(test.in_message, failure.text);
        CHECK(failure.fault == test.fault);
        CHECK(failure.text.find("mmproj.gguf: ") != std::string::npos);
        CHECK(failure.text.find(test.in_message) != std::string::npos);
    }
    CHECK(failure_after([](Bytes&) {}).text == "no error");
    // What is left at the edges of the picture changes nothing.
    CHECK(failure_after(number("image_size", 181)).text == "no error");
    CHECK(Checkpoint::open(path)->config().vision->patches() == 144);
}

TEST_CASE("the pooled side, normalisation and ids come with a GGUF", "[cpu][checkpoint][gguf]") {
    TemporaryFolder folder;
    const std::string path = folder.path("model.gguf");
    const std::string file = folder.path("mmproj.gguf");
    const auto text = test::gguf_from_folder(golden("tiny-vision"), DataType::bf16);
    test::write_file(path, text);
    for (const auto& [scale, tokens] : {std::pair{4u, 9u}, {6u, 4u}, {12u, 1u}, {3u, 16u}, {1u, 144u}}) {
        test::write_file(file, test::mmproj_from_folder(golden("tiny-vision"), DataType::bf16,
                                                        {.scale_factor = scale}));
        CHECK(Checkpoint::open(path)->config().mm_tokens_per_image == tokens);
    }
    for (const uint32_t scale : {0u, 5u, 8u, 24u}) {
        test::write_file(file, test::mmproj_from_folder(golden("tiny-vision"), DataType::bf16,
                                                        {.scale_factor = scale}));
        const Failure failure = failure_of([&] { Checkpoint::open(path, file); });
        CAPTURE(scale, failure.text);
        CHECK(failure.fault == Fault::bad_file);
        CHECK(failure.text.find("projector.scale_factor' is " + std::to_string(scale)) !=
              std::string::npos);
    }

    TemporaryFolder original;
    copy_model("tiny-vision", original);
    test::write_file(original.path("preprocessor_config.json"),
                     "{\"image_mean\":[0.25,0.5,0.75],\"image_std\":[1,2,4]}");
    const auto good = test::mmproj_from_folder(original.path(), DataType::f32);
    test::write_file(file, good);
    const Config config = Checkpoint::open(path)->config();
    CHECK(config == Checkpoint::open(original.path())->config());
    CHECK(config.vision->image_std == std::array<float, 3>{1, 2, 4});
    CHECK(config.boi_id == 500);
    CHECK(config.eoi_id == 501);
    CHECK(config.image_token_id == 502);

    auto bytes = good;
    test::patch_text(bytes, "image_mean", "image_main");  // absent: the default
    test::write_file(file, bytes);
    CHECK(Checkpoint::open(path)->config().vision->image_mean ==
          std::array<float, 3>{0.5f, 0.5f, 0.5f});
    for (const float value : {0.0f, NAN, INFINITY}) {
        bytes = good;
        const float deviations[] = {1, value, 1};  // behind the elements' type and count
        const std::string key = "clip.vision.image_std";
        const auto at = std::search(bytes.begin(), bytes.end(),
                                    std::as_bytes(std::span(key)).begin(),
                                    std::as_bytes(std::span(key)).end());
        std::memcpy(&*at + key.size() + 4 + 4 + 8, deviations, sizeof deviations);
        test::write_file(file, bytes);
        CHECK(failure_of([&] { Checkpoint::open(path, file); }).text.find(
                  "mmproj.gguf: image_std is ") != std::string::npos);
    }

    // A vocabulary without the pieces: the place holder is an id behind the table.
    test::write_file(file, good);
    auto nameless = text;
    test::patch_text(nameless, "<start_of_image>", "<start_of_xxxxx>");
    test::patch_text(nameless, "<image_soft_token>", "<image_xxxx_token>");
    test::write_file(path, nameless);
    const Config without = Checkpoint::open(path)->config();
    CHECK(!without.boi_id);
    CHECK(without.eoi_id == 501);
    CHECK(without.image_token_id == 512);
}

TEST_CASE("order and strangers in an mmproj do not matter, wrong types do",
          "[cpu][checkpoint][gguf]") {
    TemporaryFolder folder;
    const std::string path = folder.path("model.gguf");
    const std::string file = folder.path("mmproj.gguf");
    TemporaryFolder original;
    write_blocky_model(original);
    test::write_file(path, test::gguf_from_folder(original.path(), DataType::bf16));
    const auto mmproj = [&](const std::function<void(test::GgufWriter&)>& change) {
        test::write_file(file,
                         test::mmproj_from_folder(original.path(), DataType::bf16, {}, change));
    };
    mmproj([](test::GgufWriter& writer) {
        std::reverse(writer.tensors.begin(), writer.tensors.end());
        const float values[32] = {};
        for (const char* name : {"mm.0.weight", "v.class_embd", "v.blk.0.ls1.weight", "v.blk", "mm",
                                 "v.blk.x", "norm.weight", "a.blk.0.ln1.weight", "v.pre_ln.bias"})
            writer.add_tensor(name, {32}, DataType::f32, values);
        writer.add_tensor({.name = "v.blk.0.extra", .shape = {32}, .type_id = 6,
                           .data = std::vector<std::byte>(22), .offset = {}});
    });
    const auto checkpoint = Checkpoint::open(path);
    const auto folder_checkpoint = Checkpoint::open(original.path());
    CHECK(checkpoint->config() == folder_checkpoint->config());
    for (const TensorSpec& spec : vision_tensors(checkpoint->config()))
        if (!spec.name.ends_with("mm_soft_emb_norm.weight"))
            CHECK(values_of(*checkpoint, spec.name) == values_of(*folder_checkpoint, spec.name));

    // Q5_0 (22 bytes for 32 values) nowhere, Q8_0 only in the layers' matrices.
    struct Case {
        const char* tensor;
        uint32_t type_id;
        const char* in_message;
    };
    const Case cases[] = {
        {"v.blk.1.attn_out.weight", 9, "has type Q8_1 (supported: F32, F16, BF16, Q8_0, Q4_0"},
        {"v.blk.1.attn_out.weight", 8, nullptr},
        {"v.blk.1.ffn_up.weight", 2, nullptr},
        {"v.position_embd.weight", 8, "has type Q8_0 (supported: F32, F16, BF16)"},
        {"v.blk.1.attn_out.bias", 8, "has type Q8_0 (supported: F32, F16, BF16)"},
        {"v.blk.1.ln2.weight", 6, "has type Q5_0 (supported: F32, F16, BF16)"},
    };
    for (const Case& test : cases) {
        mmproj([&](test::GgufWriter& writer) {
            for (auto& tensor : writer.tensors)
                if (tensor.name == test.tensor) {
                    uint64_t blocks = tensor.shape.front();
                    if (tensor.shape.size() == 2)
                        blocks *= tensor.shape[1];
                    blocks /= 32;
                    const uint64_t bytes = test.type_id == 8   ? 34
                                           : test.type_id == 9 ? 36
                                           : test.type_id == 6 ? 22
                                                               : 18;
                    tensor.type_id = test.type_id;
                    tensor.data.assign(blocks * bytes, std::byte{});
                }
        });
        const Failure failure = failure_of([&] { Checkpoint::open(path, file); });
        CAPTURE(test.tensor, failure.text);
        if (!test.in_message) {
            CHECK(failure.text == "no error");
            continue;
        }
        CHECK(failure.fault == Fault::unsupported);
        CHECK(failure.text.find("mmproj.gguf: tensor '" + std::string(test.tensor) + "' " +
                                test.in_message) != std::string::npos);
    }
}

}  // namespace olivine
