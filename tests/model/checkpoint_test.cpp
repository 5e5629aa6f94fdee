#include "model/checkpoint.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <tuple>

#include "engine/error.h"
#include "model/safetensors.h"
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
using test::open_failure;
using test::read_json;
using test::Table;
using test::TemporaryFolder;
using test::values_of;

const char* const kModels[] = {"tiny-text", "tiny-mqa", "tiny-gemma2", "tiny-vision"};

}  // namespace

TEST_CASE("golden folders open with all their text tensors", "[cpu][checkpoint]") {
    for (const char* model : kModels) {
        CAPTURE(model);
        const auto checkpoint = Checkpoint::open(golden(model));
        const Config& config = checkpoint->config();
        CHECK(!checkpoint->norm_weights_include_one());
        CHECK(!checkpoint->gguf());
        CHECK(!checkpoint->find("lm_head.weight"));
        const uint64_t queries = uint64_t{config.num_heads} * config.head_dim;
        CHECK(&checkpoint->tensor("layers.3.self_attn.q_proj.weight",
                                  {queries, config.hidden_size}) ==
              checkpoint->find("layers.3.self_attn.q_proj.weight"));
        const uint64_t element = std::string(model) == "tiny-gemma2" ? 4 : 2;
        CHECK(checkpoint->weight_bytes() == parameter_count(config) * element);
        CHECK(checkpoint->has_vision() == (std::string(model) == "tiny-vision"));
        CHECK(!checkpoint->mmproj());
        CHECK(checkpoint->vision_bytes() == vision_parameter_count(config) * 2);  // else 0
    }
    const auto vision = Checkpoint::open(golden("tiny-vision"));
    CHECK(vision->find("multi_modal_projector.mm_soft_emb_norm.weight"));
    CHECK_NOTHROW(vision->tensor("multi_modal_projector.mm_input_projection_weight", {108, 72}));
    CHECK_NOTHROW(vision->tensor("vision_tower.vision_model.embeddings.patch_embedding.weight",
                                 {108, 3, 14, 14}));
    CHECK(vision_tensors(vision->config()).size() == 3 + 3 * 16 + 4);
    CHECK(vision->find("layers.0.mlp.up_proj.weight")->name ==
          "language_model.model.layers.0.mlp.up_proj.weight");
}

TEST_CASE("a tensor of another shape is refused with both shapes", "[cpu][checkpoint]") {
    const auto checkpoint = Checkpoint::open(golden("tiny-text"));
    const Failure failure = failure_of([&] { checkpoint->tensor("norm.weight", {2, 60}); });
    CHECK(failure.fault == Fault::bad_file);
    CHECK(failure.text.find("'model.norm.weight' has shape [120] (expected: [2, 60])") !=
          std::string::npos);
    CHECK(failure_of([&] { checkpoint->tensor("nothing", {1}); }).text.find("'nothing'") !=
          std::string::npos);
}

TEST_CASE("parts of a tensor are read where they lie", "[cpu][checkpoint]") {
    const auto checkpoint = Checkpoint::open(golden("tiny-mqa"));
    const TensorInfo& info = checkpoint->tensor("layers.12.mlp.down_proj.weight", {80, 208});
    std::vector<std::byte> whole(info.bytes);
    checkpoint->read(info, 0, whole);
    std::vector<std::byte> part(416);
    checkpoint->read(info, 416 * 7, part);
    CHECK(std::equal(part.begin(), part.end(), whole.begin() + 416 * 7));
    checkpoint->read(info, info.bytes, {});
}

TEST_CASE("all naming schemes give the same tensors", "[cpu][checkpoint]") {
    const auto original = Checkpoint::open(golden("tiny-vision"));
    const Table table = Table::read(golden("tiny-vision/model.safetensors"));
    for (const bool newer : {true, false}) {
        TemporaryFolder folder;
        copy_model("tiny-vision", folder);
        Table renamed;
        for (const auto& [name, tensor] : table.tensors) {
            std::string to = name;
            if (name.starts_with("language_model.model."))
                to = "model.language_model." + name.substr(21);
            else if (newer)
                to = "model." + name;
            renamed.tensors[newer ? to : to.substr(0, 20) == "model.language_model"
                                             ? "model." + to.substr(21) : to] = tensor;
        }
        renamed.write(folder.path("model.safetensors"));
        const auto checkpoint = Checkpoint::open(folder.path());
        for (const TensorSpec& spec : text_tensors(original->config()))
            CHECK(values_of(*checkpoint, spec.name) == values_of(*original, spec.name));
        CHECK(checkpoint->config() == original->config());
        for (const TensorSpec& spec : vision_tensors(original->config()))
            CHECK(values_of(*checkpoint, spec.name) == values_of(*original, spec.name));
        CHECK(checkpoint->find("multi_modal_projector.mm_soft_emb_norm.weight")->name ==
              (newer ? "model.multi_modal_projector.mm_soft_emb_norm.weight"
                     : "multi_modal_projector.mm_soft_emb_norm.weight"));
    }
}

TEST_CASE("shards may come with or without an index", "[cpu][checkpoint]") {
    TemporaryFolder folder;
    copy_model("tiny-mqa", folder);
    CHECK_NOTHROW(Checkpoint::open(folder.path()));
    const std::string index_path = folder.path("model.safetensors.index.json");
    const Json good = read_json(index_path);
    fs::remove(index_path);
    CHECK_NOTHROW(Checkpoint::open(folder.path()));

    const std::string name = "model.layers.0.mlp.up_proj.weight";
    struct Case {
        std::function<void(Json&)> damage;
        const char* in_message;
    };
    const Case cases[] = {
        {[&](Json& json) { json["weight_map"][name] = "../model.safetensors"; },
         "without a folder"},
        {[&](Json& json) { json["weight_map"][name] = "/etc/passwd"; }, "without a folder"},
        {[&](Json& json) { json["weight_map"][name] = ""; }, "up_proj"},
        {[&](Json& json) { json["weight_map"][name] = 3; }, "up_proj"},
        {[&](Json& json) { json["weight_map"][name] = "model-00002-of-00002.safetensors"; },
         "up_proj"},
        {[&](Json& json) { json["weight_map"][name] = "absent.safetensors"; },
         "absent.safetensors"},
        {[&](Json& json) { json["weight_map"]["extra"] = "model-00001-of-00002.safetensors"; },
         "extra"},
        {[&](Json& json) { json["weight_map"] = Json::array(); }, "weight_map"},
        {[&](Json& json) { json.erase("weight_map"); }, "weight_map"},
        {[&](Json& json) { json = Json::array(); }, "weight_map"},
        {[&](Json& json) { json["weight_map"] = Json::object(); }, "0 safetensors files"},
    };
    for (const Case& test : cases) {
        Json json = good;
        test.damage(json);
        test::write_file(index_path, json.dump());
        const Failure failure = open_failure(folder.path());
        CAPTURE(failure.text);
        CHECK(failure.fault == Fault::bad_file);
        CHECK(failure.text.find(test.in_message) != std::string::npos);
    }
    // The same tensor in two shards.
    fs::remove(index_path);
    fs::copy(folder.path("model-00001-of-00002.safetensors"), folder.path("model-3.safetensors"));
    CHECK(open_failure(folder.path()).text.find("twice") != std::string::npos);
    fs::remove(folder.path("model-3.safetensors"));
    fs::remove(folder.path("model-00001-of-00002.safetensors"));
    CHECK(open_failure(folder.path())
              .text.find("'embed_tokens.weight' of shape [383, 80] is missing") !=
          std::string::npos);
}

TEST_CASE("folders that do not hold a model are refused by name", "[cpu][checkpoint]") {
    TemporaryFolder folder;
    CHECK(open_failure(folder.path("nothing")).fault == Fault::bad_file);
    CHECK(open_failure(folder.path()).text.find("config.json") != std::string::npos);
    struct Case {
        std::string text;
        const char* in_message;
        Fault fault = Fault::bad_file;
    };
    const Case cases[] = {
        {"", "not valid JSON"},
        {std::string("{}\0{}", 5), "not valid JSON"},
        {"{", "not valid JSON"},
        {"3", "expected: an object"},
        {"{\"hidden_size\": 1e999}", "config.json"},
        {std::string(100000, '['), "nested"},
        {std::string((1 << 20) + 1, ' '), "bytes"},
        {"{}", "model_type", Fault::unsupported},
        {"{\"model_type\":\"gpt2\"}", "gpt2", Fault::unsupported},
    };
    for (const Case& test : cases) {
        test::write_file(folder.path("config.json"), test.text);
        const Failure failure = open_failure(folder.path());
        CAPTURE(failure.text);
        CHECK(failure.fault == test.fault);
        CHECK(failure.text.find(test.in_message) != std::string::npos);
    }
    test::write_file(folder.path("config.json"), "{\"model_type\":\"gemma2\"}");
    CHECK(open_failure(folder.path()).text.find("0 safetensors files") != std::string::npos);
    CHECK(open_failure("/dev/null").text.find("not a regular file") != std::string::npos);
    test::write_file(folder.path("text.gguf"), "not a model");
    CHECK(open_failure(folder.path("text.gguf")).text.find("GGUF") != std::string::npos);
}

TEST_CASE("every text tensor must be there, with its shape and a known type", "[cpu][checkpoint]") {
    TemporaryFolder folder;
    copy_model("tiny-gemma2", folder);
    const std::string path = folder.path("model.safetensors");
    const Table good = Table::read(path);
    for (const auto& [name, tensor] : good.tensors) {
        Table table = good;
        table.tensors.erase(name);
        table.write(path);
        Failure failure = open_failure(folder.path());
        CAPTURE(name, failure.text);
        CHECK(failure.fault == Fault::bad_file);
        CHECK(failure.text.find(name.substr(6)) != std::string::npos);

        table = good;
        table.tensors[name].shape.insert(table.tensors[name].shape.begin(), 1);
        table.write(path);
        failure = open_failure(folder.path());
        CHECK(failure.fault == Fault::bad_file);
        CHECK(failure.text.find(name) != std::string::npos);
        CHECK(failure.text.find(" has shape [1, ") != std::string::npos);

        table = good;
        table.tensors[name].type = "I32";
        table.write(path);
        failure = open_failure(folder.path());
        CHECK(failure.fault == Fault::unsupported);
        CHECK(failure.text.find("'" + name + "' has type I32 (supported: F32, F16, BF16)") !=
              std::string::npos);
    }
}

TEST_CASE("a folder has all its picture tensors or none", "[cpu][checkpoint]") {
    TemporaryFolder folder;
    copy_model("tiny-vision", folder);
    const std::string path = folder.path("model.safetensors");
    const Table good = Table::read(path);
    int pictures = 0;
    for (const auto& [name, tensor] : good.tensors) {
        if (!is_picture(name))
            continue;
        ++pictures;
        Table table = good;
        table.tensors.erase(name);
        table.write(path);
        Failure failure = open_failure(folder.path());
        CAPTURE(name, failure.text);
        CHECK(failure.fault == Fault::bad_file);
        CHECK(failure.text.find("'" + name + "' of shape [") != std::string::npos);

        table = good;
        table.tensors[name].shape.insert(table.tensors[name].shape.begin(), 1);
        table.write(path);
        failure = open_failure(folder.path());
        CHECK(failure.fault == Fault::bad_file);
        CHECK(failure.text.find("'" + name + "' has shape [1, ") != std::string::npos);

        table = good;
        table.tensors[name].type = "I16";
        table.write(path);
        failure = open_failure(folder.path());
        CHECK(failure.fault == Fault::unsupported);
        CHECK(failure.text.find("'" + name + "' has type I16 (supported: F32, F16, BF16)") !=
              std::string::npos);
    }
    CHECK(pictures == 55);

    // An export of the text alone keeps the config.json of the whole.
    Table text_only = good;
    std::erase_if(text_only.tensors, [](const auto& entry) { return is_picture(entry.first); });
    text_only.write(path);
    const auto checkpoint = Checkpoint::open(folder.path());
    CHECK(!checkpoint->has_vision());
    CHECK(checkpoint->vision_bytes() == 0);
    CHECK(checkpoint->config().mm_tokens_per_image == 0);
    CHECK(checkpoint->config().boi_id == 500);  // stays a piece that no answer may hold
    // One that cannot be read is not none.
    text_only.tensors["model.multi_modal_projector.mm_soft_emb_norm.weight"] = {
        "I8", {108}, std::vector<std::byte>(108)};
    text_only.write(path);
    CHECK(open_failure(folder.path()).text.find("patch_embedding.weight' of shape [108, 3, 14, 14] "
                                                "is missing") != std::string::npos);
}

TEST_CASE("preprocessor_config.json beside config.json counts", "[cpu][checkpoint]") {
    TemporaryFolder folder;
    copy_model("tiny-vision", folder);
    const std::string path = folder.path("preprocessor_config.json");
    test::write_file(path, "{\"image_mean\":[0.25,0.5,0.75]}");
    const auto mean = Checkpoint::open(folder.path())->config().vision->image_mean;
    CHECK(mean == std::array<float, 3>{0.25f, 0.5f, 0.75f});
    test::write_file(path, "{\"do_normalize\":false}");
    const Failure failure = open_failure(folder.path());
    CHECK(failure.fault == Fault::unsupported);
    CHECK(failure.text.find("preprocessor_config.json: key 'do_normalize' is 'false'") !=
          std::string::npos);
    test::write_file(path, "{");
    CHECK(open_failure(folder.path()).text.starts_with(path + ": the file is not valid JSON"));
}

TEST_CASE("the vocabulary is as long as the embedding", "[cpu][checkpoint]") {
    TemporaryFolder folder;
    copy_model("tiny-gemma2", folder);
    const std::string path = folder.path("model.safetensors");
    Table table = Table::read(path);
    Table::Tensor& embedding = table.tensors["model.embed_tokens.weight"];
    embedding.data.resize(325 * 96 * 4);
    embedding.shape = {325, 96};
    table.write(path);
    CHECK(Checkpoint::open(folder.path())->config().vocab_size == 325);
    // A head of its own counts only where config.json says that it is not tied.
    table.tensors["lm_head.weight"] = embedding;
    table.write(path);
    CHECK(!Checkpoint::open(folder.path())->find("lm_head.weight"));
    Json config = read_json(folder.path("config.json"));
    config["tie_word_embeddings"] = false;
    test::write_file(folder.path("config.json"), config.dump());
    CHECK(Checkpoint::open(folder.path())->find("lm_head.weight"));
    test::write_file(folder.path("generation_config.json"), "{\"eos_token_id\":[1,107]}");
    CHECK(Checkpoint::open(folder.path())->config().eos_ids == std::vector<int32_t>{1, 107});
}

TEST_CASE("a golden folder turned into GGUF has the same model", "[cpu][checkpoint][gguf]") {
    TemporaryFolder folder;
    for (const char* model : kModels) {
        const auto original = Checkpoint::open(golden(model));
        for (const DataType type : {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0,
                                    DataType::q4_0}) {
            CAPTURE(model, name(type));
            const std::string path = folder.path("model.gguf");
            test::write_file(path, test::gguf_from_folder(golden(model), type));
            const auto checkpoint = Checkpoint::open(path);
            CHECK(checkpoint->norm_weights_include_one());
            REQUIRE(checkpoint->gguf());
            CHECK(checkpoint->gguf()->strings("tokenizer.ggml.tokens")->size() ==
                  original->config().vocab_size);
            Config expected = original->config();
            expected.vision.reset();  // comes in a file of its own
            expected.mm_tokens_per_image = 0;
            expected.boi_id = expected.eoi_id = expected.image_token_id = std::nullopt;
            CHECK(checkpoint->config() == expected);

            std::set<DataType> types;
            for (const TensorSpec& spec : text_tensors(expected)) {
                const TensorInfo& info = *checkpoint->find(spec.name);
                const bool norm = spec.shape.size() == 1;
                if (!norm)
                    types.insert(info.type);
                std::vector<float> wanted = values_of(*original, spec.name);
                for (float& value : wanted)
                    value += norm ? 1.0f : 0.0f;
                const std::vector<float> values = values_of(*checkpoint, spec.name);
                REQUIRE(values.size() == wanted.size());
                // What one value may lose: nothing, 11 bits of mantissa, half a step of its block.
                bool close = true;
                const uint32_t block = block_elements(info.type);
                for (size_t i = 0; i < values.size() && close; i += block) {
                    float peak = 0;
                    for (size_t k = i; k < i + block; ++k)
                        peak = std::max(peak, std::fabs(wanted[k]));
                    const float allowed =
                        info.type == DataType::q8_0   ? peak * (0.5f / 127 + 1e-3f)
                        : info.type == DataType::q4_0 ? peak * (1.0f / 8 + 1e-3f)
                        : info.type == DataType::f16  ? std::max(peak / 2048, 0x1p-25f)
                                                      : 0;
                    for (size_t k = i; k < i + block; ++k)
                        close = close && std::fabs(values[k] - wanted[k]) <= allowed;
                }
                CAPTURE(spec.name);
                CHECK(close);
                CHECK(values == test::decode(info.type, test::encode(info.type, wanted)));
            }
            CHECK(types.contains(type));  // rows that no block divides are F16
        }
    }
}

TEST_CASE("types that are not read are named", "[cpu][checkpoint][gguf]") {
    TemporaryFolder folder;
    const Config config = Checkpoint::open(golden("tiny-gemma2"))->config();
    const auto good = test::gguf_from_folder(golden("tiny-gemma2"), DataType::q8_0);
    const auto damaged = [&](const std::string& name, uint32_t from, uint32_t to, uint32_t dims) {
        auto bytes = good;
        const auto text = std::as_bytes(std::span(name));
        auto at = std::search(bytes.begin(), bytes.end(), text.begin(), text.end());
        at += static_cast<std::ptrdiff_t>(name.size() + 4 + 8 * dims);
        uint32_t found = 0;
        std::memcpy(&found, &*at, 4);
        REQUIRE(found == from);
        std::memcpy(&*at, &to, 4);
        test::write_file(folder.path("a.gguf"), bytes);
        return open_failure(folder.path("a.gguf"));
    };
    // IQ4_NL has Q4_0's block, F32's bytes are I32's: the layout stays right.
    Failure failure = damaged("blk.1.attn_q.weight", 8, 99, 2);
    CHECK(failure.text.find("'blk.1.attn_q.weight' has type 99 (supported: F32") !=
          std::string::npos);
    CHECK(failure.fault == Fault::unsupported);
    failure = damaged("blk.1.attn_norm.weight", 0, 26, 1);
    CHECK(failure.text.find("'blk.1.attn_norm.weight' has type I32 (supported: F32, F16, BF16)") !=
          std::string::npos);
    CHECK(failure.fault == Fault::unsupported);

    // Those with a known size, one by one.
    for (const auto& [id, type_name, block, bytes] :
         {std::tuple{15u, "Q8_K", 256u, 292u}, {21u, "IQ3_S", 256u, 110u}, {9u, "Q8_1", 32u, 36u},
          {39u, "MXFP4", 32u, 17u}, {28u, "F64", 1u, 8u}}) {
        test::GgufWriter writer;
        writer.add_string("general.architecture", "gemma3");
        for (const auto& [key, value] : {std::pair{"context_length", 64u},
                                         {"embedding_length", 256u},
                                         {"block_count", 1u},
                                         {"feed_forward_length", 256u},
                                         {"attention.head_count", 2u},
                                         {"attention.key_length", 64u},
                                         {"attention.sliding_window", 16u}})
            writer.add_u32(std::string("gemma3.") + key, value);
        writer.add_f32("gemma3.attention.layer_norm_rms_epsilon", 1e-6f);
        writer.add_tensor({.name = "token_embd.weight", .shape = {4, 256}, .type_id = id,
                           .data = std::vector<std::byte>(1024 / block * bytes), .offset = {}});
        test::write_file(folder.path("a.gguf"), writer.bytes());
        failure = open_failure(folder.path("a.gguf"));
        CHECK(failure.fault == Fault::unsupported);
        CHECK(failure.text.find(std::string("'token_embd.weight' has type ") + type_name +
                                " (supported: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K, "
                                "IQ4_NL, IQ4_XS)") != std::string::npos);
    }
    CHECK(config.num_layers == 4);
}

TEST_CASE("a file cut anywhere is refused", "[cpu][checkpoint]") {
    TemporaryFolder folder;
    const auto [gguf, mmproj] = GENERATE(std::pair{false, false}, std::pair{true, false},
                                         std::pair{true, true});
    std::string path;
    std::string file;
    std::set<uint64_t> sizes;
    if (mmproj) {
        path = folder.path("text.gguf");
        file = folder.path("mmproj-model.gguf");
        test::write_file(path, test::gguf_from_folder(golden("tiny-vision"), DataType::q8_0));
        test::write_file(file, test::mmproj_from_folder(golden("tiny-vision"), DataType::bf16));
        const Gguf header = Gguf::open(file);
        for (const Gguf::Tensor& tensor : header.tensors())
            for (const uint64_t edge : {tensor.offset, tensor.offset + tensor.bytes})
                sizes.insert({edge - 1, edge, edge + 1});
    } else if (gguf) {
        path = file = folder.path("model.gguf");
        test::write_file(file, test::gguf_from_folder(golden("tiny-gemma2"), DataType::q8_0));
        const Gguf header = Gguf::open(file);
        for (const Gguf::Tensor& tensor : header.tensors())
            for (const uint64_t edge : {tensor.offset, tensor.offset + tensor.bytes})
                sizes.insert({edge - 1, edge, edge + 1});
    } else {
        copy_model("tiny-vision", folder);
        path = folder.path();
        file = folder.path("model.safetensors");
        const Safetensors header = Safetensors::open(file);
        for (const Safetensors::Tensor& tensor : header.tensors())
            for (const uint64_t edge : {tensor.offset, tensor.offset + tensor.bytes})
                sizes.insert({edge - 1, edge, edge + 1});
    }
    const uint64_t full = fs::file_size(file);
    for (uint64_t size = 0; size < full; size += 97)
        sizes.insert(size);
    CHECK_NOTHROW(Checkpoint::open(path));
    // From long to short, so that one file serves all.
    sizes.erase(sizes.lower_bound(full), sizes.end());
    int refused = 0;
    for (auto it = sizes.rbegin(); it != sizes.rend(); ++it) {
        fs::resize_file(file, *it);
        const Failure failure =
            failure_of([&] { Checkpoint::open(path, mmproj ? file : std::string()); });
        refused += failure.fault == Fault::bad_file &&
                   failure.text.find(gguf ? "model.gguf: " : "model.safetensors: ") !=
                       std::string::npos;
    }
    CHECK(refused == static_cast<int>(sizes.size()));
    CHECK(sizes.size() > full / 97);
}

TEST_CASE("a file cut after it was opened is an error, not a signal", "[cpu][checkpoint]") {
    TemporaryFolder folder;
    copy_model("tiny-vision", folder);
    const auto checkpoint = Checkpoint::open(folder.path());
    const TensorInfo& info = *checkpoint->find("norm.weight");
    fs::resize_file(folder.path("model.safetensors"), info.offset + info.bytes - 1);
    std::vector<std::byte> bytes(info.bytes);
    const Failure failure = failure_of([&] { checkpoint->read(info, 0, bytes); });
    CHECK(failure.fault == Fault::bad_file);
    CHECK(failure.text.find("now ends at byte " + std::to_string(info.offset + info.bytes - 1)) !=
          std::string::npos);
}

TEST_CASE("random damage to a model file is refused or read, nothing else", "[cpu][checkpoint]") {
    TemporaryFolder folder;
    const auto [gguf, mmproj] = GENERATE(std::pair{false, false}, std::pair{true, false},
                                         std::pair{true, true});
    std::string path = folder.path();
    std::string file = folder.path("model.safetensors");
    if (mmproj) {
        path = folder.path("text.gguf");
        file = folder.path("mmproj-model.gguf");
        test::write_file(path, test::gguf_from_folder(golden("tiny-vision"), DataType::q4_0));
        test::write_file(file, test::mmproj_from_folder(golden("tiny-vision"), DataType::f16,
                                                        {.old_mlp_names = true}));
    } else if (gguf) {
        path = file = folder.path("model.gguf");
        test::write_file(file, test::gguf_from_folder(golden("tiny-gemma2"), DataType::q4_0));
    } else {
        copy_model("tiny-gemma2", folder);
    }
    const auto good = test::read_file(file);
    uint64_t header = gguf ? Gguf::open(file).tensors()[0].offset : 0;
    if (!gguf) {
        std::memcpy(&header, good.data(), 8);
        header += 8;
    }
    std::mt19937 random(5);
    std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
    const auto put = [&](uint64_t at, std::byte byte) {
        stream.seekp(static_cast<std::streamoff>(at));
        stream.put(static_cast<char>(byte));
    };
    double slowest = 0;
    for (int round = 0; round < 2000; ++round) {
        std::vector<uint64_t> places(random() % 3 + 1);
        for (uint64_t& place : places) {
            place = random() % header;
            put(place, good[place] ^ static_cast<std::byte>(1u << random() % 8));
        }
        stream.flush();
        const std::clock_t start = std::clock();  // processor time: other programs may be busy
        const Failure failure =
            failure_of([&] { Checkpoint::open(path, mmproj ? file : std::string()); });
        slowest =
            std::max(slowest, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
        CAPTURE(round, failure.text);
        CHECK((failure.fault == Fault::bad_file || failure.fault == Fault::unsupported ||
               failure.text == "no error"));
        for (const uint64_t place : places)
            put(place, good[place]);
    }
    stream.flush();
    CHECK(slowest < 0.5);
    CHECK_NOTHROW(Checkpoint::open(path));
}

}  // namespace olivine
