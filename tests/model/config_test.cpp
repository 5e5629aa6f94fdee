#include <catch2/catch_test_macros.hpp>
#include <array>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "model/config.h"

namespace olivine {
namespace {

using Json = nlohmann::json;

Json load(const std::string& name) {
    std::ifstream file(std::string(OLIVINE_TEST_GOLDENS) + "/" + name);
    REQUIRE(file);
    return Json::parse(file);
}

std::optional<float> optional_float(const Json& json) {
    return json.is_null() ? std::nullopt : std::optional(json.get<float>());
}

// What reading this config.json fails with.
struct Failure {
    Fault fault;
    std::string text;
};

Failure failure_of(const Json& json) {
    try {
        config_from_hf(json, "a.json");
    } catch (const Error& error) {  // the thing under test
        return {error.fault(), error.what()};
    }
    return {Fault::internal, "no error"};
}

Json text_json() {
    return load("tiny-text/config.json");
}

}  // namespace

TEST_CASE("config.json of each golden model reads as the reference reads it", "[cpu][config]") {
    for (const char* model : {"tiny-text", "tiny-mqa", "tiny-gemma2", "tiny-vision"}) {
        CAPTURE(model);
        const std::string folder = model;
        const Config config = config_from_hf(load(folder + "/config.json"), folder);
        const Json expected = load(folder + "/golden.json")["config"];
        CHECK((config.family == Config::Family::gemma2) == (expected["family"] == "gemma2"));
        CHECK(config.vocab_size == expected["vocab_size"]);
        CHECK(config.hidden_size == expected["hidden_size"]);
        CHECK(config.intermediate_size == expected["intermediate_size"]);
        CHECK(config.num_layers == expected["num_layers"]);
        CHECK(config.num_heads == expected["num_heads"]);
        CHECK(config.num_kv_heads == expected["num_kv_heads"]);
        CHECK(config.head_dim == expected["head_dim"]);
        const double scalar = expected["query_pre_attn_scalar"];
        CHECK(config.query_scale == static_cast<float>(1 / std::sqrt(scalar)));
        CHECK(config.sliding_window == expected["sliding_window"]);
        CHECK(config.global_layers == expected["global_layers"].get<std::vector<bool>>());
        CHECK(config.rope_theta_global == expected["rope_theta_global"]);
        CHECK(config.rope_theta_local == expected["rope_theta_local"]);
        CHECK(config.rope_factor_global == expected["rope_factor_global"]);
        CHECK(config.qk_norm == expected["qk_norm"]);
        CHECK(config.attn_softcap == optional_float(expected["attn_softcap"]));
        CHECK(config.final_softcap == optional_float(expected["final_softcap"]));
        CHECK(config.norm_eps == expected["norm_eps"].get<float>());
        CHECK(config.max_positions == expected["max_positions"]);
        CHECK(config.tied_head);
        CHECK(config.bos_id.value_or(2) == expected["bos_id"]);
        REQUIRE(!config.eos_ids.empty());
        CHECK(config.eos_ids[0] == expected["eos_id"]);
        REQUIRE(config.vision.has_value() == !expected["vision"].is_null());
        if (config.vision) {
            const Json& vision = expected["vision"];
            CHECK(config.vision->hidden_size == vision["hidden_size"]);
            CHECK(config.vision->intermediate_size == vision["intermediate_size"]);
            CHECK(config.vision->num_layers == vision["num_layers"]);
            CHECK(config.vision->num_heads == vision["num_heads"]);
            CHECK(config.vision->image_size == vision["image_size"]);
            CHECK(config.vision->patch_size == vision["patch_size"]);
            CHECK(config.vision->norm_eps == vision["norm_eps"].get<float>());
            CHECK(config.mm_tokens_per_image == expected["mm_tokens_per_image"]);
            CHECK(config.boi_id == expected["boi_id"].get<int32_t>());
            CHECK(config.eoi_id == expected["eoi_id"].get<int32_t>());
            CHECK(config.image_token_id == expected["image_token_id"].get<int32_t>());
            CHECK(config.eos_ids == std::vector<int32_t>{1, 106});
        }
    }
}

TEST_CASE("the embedding scale is rounded to bfloat16", "[cpu][config]") {
    CHECK(embedding_scale(1152) == 34.0f);
    CHECK(embedding_scale(2560) == 50.5f);
    CHECK(embedding_scale(3840) == 62.0f);
    CHECK(embedding_scale(5376) == 73.5f);
    CHECK(embedding_scale(3584) == 59.75f);
}

TEST_CASE("absent keys take the defaults of Hugging Face's classes", "[cpu][config]") {
    const Config gemma3 = config_from_hf({{"model_type", "gemma3_text"}}, "a.json");
    CHECK(gemma3.vocab_size == 262208);
    CHECK(gemma3.hidden_size == 2304);
    CHECK(gemma3.num_layers == 26);
    CHECK(gemma3.head_dim == 256);
    CHECK(gemma3.query_scale == 0.0625f);
    CHECK(gemma3.sliding_window == 4096);
    CHECK(gemma3.global_layers == layer_pattern(26, 6));
    CHECK(gemma3.max_positions == 131072);
    CHECK(!gemma3.attn_softcap);
    CHECK(gemma3.eos_ids.empty());
    CHECK(!gemma3.bos_id);
    const Config gemma2 = config_from_hf({{"model_type", "gemma2"}}, "a.json");
    CHECK(gemma2.vocab_size == 256000);
    CHECK(gemma2.attn_softcap == 50.0f);
    CHECK(gemma2.final_softcap == 30.0f);
    CHECK(gemma2.global_layers == layer_pattern(26, 2));
    CHECK(gemma2.rope_theta_local == 1e4);
    CHECK(gemma2.max_positions == 8192);
    // null is no softcap, absent is the default
    const Config uncapped =
        config_from_hf({{"model_type", "gemma2"}, {"attn_logit_softcapping", nullptr}}, "a.json");
    CHECK(!uncapped.attn_softcap);
    CHECK(uncapped.final_softcap == 30.0f);
    const Config pictures =
        config_from_hf({{"model_type", "gemma3"}, {"text_config", Json::object()},
                        {"vision_config", {{"image_size", 896}, {"patch_size", 14},
                                           {"hidden_size", 1152}, {"num_attention_heads", 16}}}},
                       "a.json");
    CHECK(pictures.mm_tokens_per_image == 256);
    CHECK(pictures.boi_id == 255999);
    CHECK(pictures.image_token_id == 262144);
}

TEST_CASE("both spellings of layers and positions are read", "[cpu][config]") {
    Json json = text_json();
    json.erase("rope_scaling");
    json.erase("rope_theta");
    json.erase("rope_local_base_freq");
    json.erase("sliding_window_pattern");
    json["layer_types"] = Json::array();
    for (int i = 0; i < 8; ++i)
        json["layer_types"].push_back(i % 4 == 3 ? "full_attention" : "sliding_attention");
    json["rope_parameters"] = {
        {"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 1e6}}},
        {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 1e4}}}};
    CHECK(config_from_hf(json, "a.json") == config_from_hf(text_json(), "a.json"));

    Json flat = load("tiny-gemma2/config.json");
    flat.erase("rope_theta");
    flat["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 20000.0}};
    CHECK(config_from_hf(flat, "a.json").rope_theta_local == 20000.0);
    CHECK(config_from_hf(flat, "a.json").rope_theta_global == 20000.0);
}

TEST_CASE("generation_config.json adds ids that end an answer", "[cpu][config]") {
    Config config = config_from_hf(text_json(), "a.json");
    add_generation_config(config, {{"eos_token_id", {1, 106}}, {"bos_token_id", 2}}, "b.json");
    CHECK(config.eos_ids == std::vector<int32_t>{1, 106});
    CHECK(config.bos_id == 2);
}

TEST_CASE("values of a wrong type or out of range are refused by name", "[cpu][config]") {
    struct Case {
        const char* key;
        Json value;
        const char* in_message;
    };
    const Case cases[] = {
        {"hidden_size", 0, "hidden_size"},
        {"hidden_size", 70000, "hidden_size"},
        {"hidden_size", -1, "hidden_size"},
        {"hidden_size", "120", "hidden_size"},
        {"hidden_size", 120.5, "hidden_size"},
        {"hidden_size", 4294967296, "hidden_size"},
        {"vocab_size", 0, "vocab_size"},
        {"vocab_size", 2000000, "vocab_size"},
        {"intermediate_size", 0, "intermediate_size"},
        {"num_hidden_layers", 0, "num_hidden_layers"},
        {"num_hidden_layers", 257, "num_hidden_layers"},
        {"num_hidden_layers", 2147483647, "num_hidden_layers"},
        {"num_attention_heads", 0, "num_attention_heads"},
        {"num_key_value_heads", 0, "num_key_value_heads"},
        {"num_key_value_heads", 3, "num_key_value_heads"},
        {"num_key_value_heads", 16, "num_key_value_heads"},
        {"head_dim", 31, "head_dim"},
        {"head_dim", 1024, "head_dim"},
        {"head_dim", Json::array(), "head_dim"},
        {"query_pre_attn_scalar", 0, "query scale"},
        {"query_pre_attn_scalar", -4, "query scale"},
        {"sliding_window", 0, "sliding_window"},
        {"sliding_window_pattern", 0, "sliding_window_pattern"},
        {"layer_types", {"full_attention"}, "layer_types"},
        {"layer_types", "full_attention", "layer_types"},
        {"layer_types", {1, 2}, "layer_types"},
        {"rope_theta", 0.0, "rope_theta"},
        {"rope_theta", true, "rope_theta"},
        {"rope_scaling", {{"rope_type", "linear"}, {"factor", 0.0}}, "factor"},
        {"rope_scaling", 8.0, "rope_scaling"},
        {"attn_logit_softcapping", 0.0, "attn_logit_softcapping"},
        {"final_logit_softcapping", "30", "final_logit_softcapping"},
        {"rms_norm_eps", 0.0, "rms_norm_eps"},
        {"max_position_embeddings", 0, "max_position_embeddings"},
        {"eos_token_id", "1", "eos_token_id"},
        {"eos_token_id", {1, -5}, "eos_token_id"},
        {"tie_word_embeddings", 1, "tie_word_embeddings"},
    };
    for (const Case& test : cases) {
        Json json = text_json();
        json[test.key] = test.value;
        const Failure failure = failure_of(json);
        CAPTURE(test.key, test.value.dump(), failure.text);
        CHECK(failure.fault == Fault::bad_file);
        CHECK(failure.text.find(test.in_message) != std::string::npos);
    }
    CHECK(failure_of(Json::array()).fault == Fault::bad_file);
    CHECK(failure_of({{"model_type", "gemma3"}}).text.find("text_config") != std::string::npos);
}

TEST_CASE("what the family does not have is unsupported and named", "[cpu][config]") {
    struct Case {
        const char* key;
        Json value;
    };
    const Case cases[] = {
        {"model_type", "llama"},
        {"model_type", "gemma3n"},
        {"hidden_activation", "silu"},
        {"attention_bias", true},
        {"use_bidirectional_attention", true},
        {"quantization_config", {{"quant_method", "bitsandbytes"}}},
        {"rope_scaling", {{"rope_type", "yarn"}, {"factor", 8.0}}},
        {"layer_types", {"chunked_attention"}},
    };
    for (const Case& test : cases) {
        Json json = text_json();
        json[test.key] = test.value;
        const Failure failure = failure_of(json);
        CAPTURE(test.key, failure.text);
        CHECK(failure.fault == Fault::unsupported);
        const std::string name = std::string(test.key) == "rope_scaling" ? "rope_type" : test.key;
        CHECK(failure.text.find(name) != std::string::npos);
        CHECK(failure.text.find("supported:") != std::string::npos);
    }
}

TEST_CASE("picture settings that cannot be are refused by name", "[cpu][config]") {
    struct Case {
        const char* key;
        Json value;
    };
    // 13 is less than a patch, 8190 has 585 x 585 of them.
    const Case cases[] = {{"image_size", 13},          {"image_size", 0},  {"patch_size", 0},
                          {"num_attention_heads", 7},  {"hidden_size", 0}, {"num_hidden_layers", 0},
                          {"num_attention_heads", 0},  {"layer_norm_eps", -1.0},
                          {"image_size", 8190},        {"image_size", 8193},
                          {"patch_size", 169},         {"num_hidden_layers", 1025},
                          {"intermediate_size", 0},    {"hidden_size", "108"}};
    for (const Case& test : cases) {
        Json json = load("tiny-vision/config.json");
        json["vision_config"][test.key] = test.value;
        const Failure failure = failure_of(json);
        CAPTURE(test.key, failure.text);
        CHECK(failure.fault == Fault::bad_file);
        CHECK(failure.text.find(test.key) != std::string::npos);
    }
    for (const int tokens : {0, 8, 25, 145, 10000}) {  // 12 patches a side
        Json json = load("tiny-vision/config.json");
        json["mm_tokens_per_image"] = tokens;
        const Failure failure = failure_of(json);
        CAPTURE(tokens, failure.text);
        CHECK(failure.fault == Fault::bad_file);
        CHECK(failure.text.find("mm_tokens_per_image") != std::string::npos);
    }
    Json json = load("tiny-vision/config.json");
    json["vision_config"]["image_size"] = 154;  // 11 patches a side for 3 soft tokens
    CHECK(failure_of(json).text.find("patches a side is 11, the root of mm_tokens_per_image (3)") !=
          std::string::npos);
    json["vision_config"]["image_size"] = 181;  // 13 pixels at the right and bottom stay unused
    CHECK(config_from_hf(json, "a.json").vision->patches() == 144);
}

TEST_CASE("how pixels are normalised is read or refused", "[cpu][config]") {
    const Config config = config_from_hf(load("tiny-vision/config.json"), "a.json");
    CHECK(config.vision->image_mean == std::array<float, 3>{0.5f, 0.5f, 0.5f});
    CHECK(config.vision->image_std == std::array<float, 3>{0.5f, 0.5f, 0.5f});
    const Json published = {{"do_convert_rgb", nullptr},
                            {"do_normalize", true},
                            {"do_rescale", true},
                            {"image_mean", {0.5, 0.5, 0.5}},
                            {"image_std", {0.5, 0.5, 0.5}},
                            {"rescale_factor", 0.00392156862745098},
                            {"size", {{"height", 896}, {"width", 896}}}};
    Config read = config;
    add_preprocessor_config(read, published, "p.json");
    CHECK(read == config);
    add_preprocessor_config(read, Json::object(), "p.json");
    CHECK(read == config);
    Json other = published;
    other["image_mean"] = {0.48, 0.45, 0};
    other["image_std"] = {0.25, 1, 2.5};
    add_preprocessor_config(read, other, "p.json");
    CHECK(read.vision->image_mean == std::array<float, 3>{0.48f, 0.45f, 0});
    CHECK(read.vision->image_std == std::array<float, 3>{0.25f, 1, 2.5f});

    struct Case {
        const char* key;
        Json value;
        Fault fault = Fault::bad_file;
    };
    const Case cases[] = {{"do_rescale", false, Fault::unsupported},
                          {"do_normalize", false, Fault::unsupported},
                          {"rescale_factor", 1.0, Fault::unsupported},
                          {"rescale_factor", 0.00784313725, Fault::unsupported},
                          {"rescale_factor", "1/255"},
                          {"do_rescale", 1},
                          {"image_mean", 0.5},
                          {"image_mean", {0.5, 0.5}},
                          {"image_mean", {0.5, 0.5, nullptr}},
                          {"image_mean", {0.5, 0.5, 1e30}},
                          {"image_std", {0.5, 0.5, 0.5, 0.5}},
                          {"image_std", {0.5, 0.0, 0.5}},
                          {"image_std", {0.5, -0.5, 0.5}}};
    for (const Case& test : cases) {
        Json json = published;
        json[test.key] = test.value;
        Config changed = config;
        Fault fault = Fault::internal;
        std::string text;
        try {
            add_preprocessor_config(changed, json, "p.json");
        } catch (const Error& error) {  // the thing under test
            fault = error.fault();
            text = error.what();
        }
        CAPTURE(test.key, test.value.dump(), text);
        CHECK(fault == test.fault);
        CHECK(text.starts_with("p.json: "));
        CHECK(text.find(test.key) != std::string::npos);
    }
    Config text_only = config_from_hf(text_json(), "a.json");
    add_preprocessor_config(text_only, {{"do_rescale", false}}, "p.json");
    CHECK(!text_only.vision);
}

TEST_CASE("presets have the published sizes", "[cpu][config]") {
    REQUIRE(preset_names().size() == 8);
    for (const std::string_view name : preset_names()) {
        CAPTURE(name);
        const auto config = preset(name);
        REQUIRE(config);
        CHECK_NOTHROW(validate(*config, "preset"));
    }
    CHECK(!preset("3b"));
    CHECK(preset("27b")->query_scale == static_cast<float>(1 / std::sqrt(168.0)));
    CHECK(preset("gemma2-27b")->query_scale == static_cast<float>(1 / std::sqrt(144.0)));
    CHECK(preset("4b")->rope_factor_global == 8);
    CHECK(preset("1b")->rope_factor_global == 1);
    // Sums over the published tensor shapes; Google states 268M, 1B, 3.88B, 11.8B, 27B, 2.6B, ...
    CHECK(parameter_count(*preset("270m")) == 268098176);
    CHECK(parameter_count(*preset("1b")) == 999885952);
    CHECK(parameter_count(*preset("4b")) == 3880263168);
    CHECK(parameter_count(*preset("12b")) == 11766034176);
    CHECK(parameter_count(*preset("27b")) == 27009346304);
    CHECK(parameter_count(*preset("gemma2-2b")) == 2614341888);
    CHECK(parameter_count(*preset("gemma2-9b")) == 9241705984);
    CHECK(parameter_count(*preset("gemma2-27b")) == 27227128320);
    // SigLIP So400m/14 without its pooling head: 416.87 M; then the projector's E + E x D.
    for (const auto& [name, width] : {std::pair{"4b", 2560u}, {"12b", 3840u}, {"27b", 5376u}}) {
        const Config config = *preset(name);
        CAPTURE(name);
        REQUIRE(config.vision);
        CHECK(config.vision->patches() == 4096);
        CHECK(config.mm_tokens_per_image == 256);
        CHECK(config.image_token_id == 262144);
        CHECK(vision_parameter_count(config) == 416866032 + 1152 + uint64_t{1152} * width);
    }
    CHECK(!preset("1b")->vision);
    CHECK(!preset("gemma2-27b")->vision);
    CHECK(vision_parameter_count(*preset("1b")) == 0);
    CHECK(vision_tensors(*preset("1b")).empty());
}

}  // namespace olivine
