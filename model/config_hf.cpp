// Hugging Face's config.json. Defaults: transformers' Gemma2Config, Gemma3TextConfig,
// SiglipVisionConfig.
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "model/config.h"
#include "model/file.h"

namespace olivine {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();

// One object of the file. A key that holds null counts as absent, as in transformers.
class Object {
public:
    // `prefix` stands before keys in messages: "text_config." or nothing.
    Object(const Json& json, const std::string& path, const std::string& prefix)
        : json_(&json), path_(path), prefix_(prefix) {
        if (!json.is_object())
            fail(Fault::bad_file, "%s: %s is %s (expected: an object).", path.c_str(),
                 prefix.empty() ? "the file" : prefix.substr(0, prefix.size() - 1).c_str(),
                 json.type_name());
    }

    const std::string& path() const { return path_; }
    bool states(const char* key) const { return json_->contains(key); }  // null too

    const Json* find(const char* key) const {
        const auto it = json_->find(key);
        return it == json_->end() || it->is_null() ? nullptr : &*it;
    }

    uint32_t integer(const char* key, uint32_t otherwise) const {
        const Json* value = find(key);
        return value ? to_integer(key, *value) : otherwise;
    }

    double real(const char* key, double otherwise) const {
        const Json* value = find(key);
        if (value && !value->is_number())
            wrong(key, *value, "a number");
        return value ? value->get<double>() : otherwise;
    }

    bool boolean(const char* key, bool otherwise) const {
        const Json* value = find(key);
        if (value && !value->is_boolean())
            wrong(key, *value, "true or false");
        return value ? value->get<bool>() : otherwise;
    }

    std::string text(const char* key, const char* otherwise) const {
        const Json* value = find(key);
        if (value && !value->is_string())
            wrong(key, *value, "a string");
        return value ? value->get<std::string>() : otherwise;
    }

    // Three numbers, one per colour channel.
    std::array<float, 3> colours(const char* key, const std::array<float, 3>& otherwise) const {
        const Json* value = find(key);
        if (!value)
            return otherwise;
        if (!value->is_array() || value->size() != 3)
            wrong(key, *value, "an array of 3 numbers");
        std::array<float, 3> result;
        for (size_t i = 0; i < 3; ++i) {
            const Json& element = (*value)[i];
            if (!element.is_number())
                wrong(key, element, "an array of 3 numbers");
            result[i] = static_cast<float>(element.get<double>());
        }
        return result;
    }

    std::optional<Object> object(const char* key) const {
        const Json* value = find(key);
        return value ? std::optional<Object>(std::in_place, *value, path_, prefix_ + key + ".")
                     : std::nullopt;
    }

    std::optional<int32_t> id(const char* key) const {
        const Json* value = find(key);
        return value ? std::optional(static_cast<int32_t>(to_integer(key, *value))) : std::nullopt;
    }

    // One id or a list of them.
    std::vector<int32_t> ids(const char* key) const {
        const Json* value = find(key);
        std::vector<int32_t> result;
        if (!value)
            return result;
        if (!value->is_array())
            return {static_cast<int32_t>(to_integer(key, *value))};
        for (const Json& element : *value)
            result.push_back(static_cast<int32_t>(to_integer(key, element)));
        return result;
    }

    [[noreturn]] void wrong(const char* key, const Json& value, const char* expected) const {
        fail(Fault::bad_file, "%s: key '%s%s' is %s (expected: %s).", path_.c_str(),
             prefix_.c_str(), key,
             (value.is_number() ? value.dump() : value.type_name()).c_str(), expected);
    }

    [[noreturn]] void unsupported(const char* key, const std::string& value,
                                  const char* supported) const {
        fail(Fault::unsupported, "%s: key '%s%s' is '%s' (supported: %s).", path_.c_str(),
             prefix_.c_str(), key, printable(value).c_str(), supported);
    }

private:
    uint32_t to_integer(const char* key, const Json& value) const {
        // The second test sees numbers above 2^63 as negative ones.
        if (!value.is_number_integer() || value.get<int64_t>() < 0 ||
            value.get<int64_t>() > kMaxInt32)
            wrong(key, value, "an integer from 0 to 2147483647");
        return value.get<uint32_t>();
    }

    const Json* json_;
    std::string path_;
    std::string prefix_;
};

std::vector<bool> read_layer_types(const Object& text, uint32_t num_layers, bool gemma2) {
    const Json* types = text.find("layer_types");
    if (!types || (types->is_array() && types->empty())) {
        const uint32_t period = text.integer(
            "sliding_window_pattern",
            text.integer("_sliding_window_pattern", gemma2 ? 2 : 6));
        if (period == 0)
            fail(Fault::bad_file, "%s: key 'sliding_window_pattern' is 0 (at least 1).",
                 text.path().c_str());
        // A wrong count of layers is refused by validate(), before anything is built from it.
        return layer_pattern(std::min<uint32_t>(num_layers, 1024), period);
    }
    if (!types->is_array())
        text.wrong("layer_types", *types, "an array of strings");
    std::vector<bool> global;
    for (const Json& type : *types) {
        if (!type.is_string())
            text.wrong("layer_types", type, "an array of strings");
        const auto& kind = type.get_ref<const std::string&>();
        if (kind != "full_attention" && kind != "sliding_attention")
            text.unsupported("layer_types", kind, "full_attention, sliding_attention");
        global.push_back(kind == "full_attention");
    }
    return global;
}

// Position scaling: the old key "rope_scaling" applies to global layers only; the newer key
// "rope_parameters" has one entry per layer type (one flat entry for Gemma 2).
void read_rope(const Object& text, Config& config) {
    const bool gemma2 = config.family == Config::Family::gemma2;
    config.rope_theta_global = text.real("rope_theta", gemma2 ? 1e4 : 1e6);
    config.rope_theta_local =
        gemma2 ? config.rope_theta_global : text.real("rope_local_base_freq", 1e4);
    std::optional<Object> scaling = text.object("rope_scaling");
    if (const auto rope = text.object("rope_parameters"); rope && rope->states("full_attention")) {
        scaling = rope->object("full_attention");
        if (scaling)
            config.rope_theta_global = scaling->real("rope_theta", config.rope_theta_global);
        if (const auto local = rope->object("sliding_attention")) {
            config.rope_theta_local = local->real("rope_theta", config.rope_theta_local);
            // The forward pass knows a factor on global layers only.
            const std::string kind = local->text("rope_type", "default");
            if (kind != "default")
                local->unsupported("rope_type", kind, "default");
        }
    } else if (rope) {
        scaling = rope;
        config.rope_theta_global = rope->real("rope_theta", config.rope_theta_global);
        if (gemma2)
            config.rope_theta_local = config.rope_theta_global;
    }
    if (!scaling)
        return;
    const std::string kind = scaling->text("rope_type", scaling->text("type", "default").c_str());
    if (kind != "default" && kind != "linear")
        scaling->unsupported("rope_type", kind, "default, linear");
    if (kind == "linear")
        config.rope_factor_global = scaling->real("factor", 1);
}

// Absent: the class's default. Present and null: none.
std::optional<float> read_softcap(const Object& text, const char* key,
                                  std::optional<float> otherwise) {
    if (!text.states(key))
        return otherwise;
    if (!text.find(key))
        return std::nullopt;
    return static_cast<float>(text.real(key, 0));
}

VisionConfig read_vision(const Object& vision) {
    return {.hidden_size = vision.integer("hidden_size", 768),
            .intermediate_size = vision.integer("intermediate_size", 3072),
            .num_layers = vision.integer("num_hidden_layers", 12),
            .num_heads = vision.integer("num_attention_heads", 12),
            .image_size = vision.integer("image_size", 224),
            .patch_size = vision.integer("patch_size", 16),
            .norm_eps = static_cast<float>(vision.real("layer_norm_eps", 1e-6))};
}

void add_eos(Config& config, const std::vector<int32_t>& ids) {
    config.eos_ids.insert(config.eos_ids.end(), ids.begin(), ids.end());
    std::sort(config.eos_ids.begin(), config.eos_ids.end());
    config.eos_ids.erase(std::unique(config.eos_ids.begin(), config.eos_ids.end()),
                         config.eos_ids.end());
}

// Keys that would change the arithmetic in a way that no Gemma 2 or 3 has.
void refuse_variants(const Object& top, const Object& text) {
    const std::string activation = text.text("hidden_activation", "gelu_pytorch_tanh");
    if (activation != "gelu_pytorch_tanh")
        text.unsupported("hidden_activation", activation, "gelu_pytorch_tanh");
    if (text.boolean("attention_bias", false))
        text.unsupported("attention_bias", "true", "false");
    if (text.boolean("use_bidirectional_attention", false))
        text.unsupported("use_bidirectional_attention", "true", "false");
    if (const auto quantization = top.object("quantization_config"))
        top.unsupported("quantization_config", quantization->text("quant_method", "present"),
                        "files without it");
}

}  // namespace

Config config_from_hf(const Json& json, const std::string& file_path) {
    const std::string path = printable_path(file_path);
    const Object top(json, path, "");
    const std::string type = top.text("model_type", "");
    if (type != "gemma2" && type != "gemma3_text" && type != "gemma3")
        top.unsupported("model_type", type, "gemma2, gemma3_text, gemma3");
    const bool multimodal = type == "gemma3";
    if (multimodal && !top.find("text_config"))
        fail(Fault::bad_file, "%s: key 'text_config' is missing.", path.c_str());
    const Object text = multimodal ? *top.object("text_config") : top;
    if (multimodal && text.text("model_type", "gemma3_text") != "gemma3_text")
        text.unsupported("model_type", text.text("model_type", ""), "gemma3_text");
    refuse_variants(top, text);

    const bool gemma2 = type == "gemma2";
    Config config;
    config.family = gemma2 ? Config::Family::gemma2 : Config::Family::gemma3;
    config.vocab_size = text.integer("vocab_size", gemma2 ? 256000 : 262208);
    config.hidden_size = text.integer("hidden_size", 2304);
    config.intermediate_size = text.integer("intermediate_size", 9216);
    config.num_layers = text.integer("num_hidden_layers", 26);
    config.num_heads = text.integer("num_attention_heads", 8);
    config.num_kv_heads = text.integer("num_key_value_heads", 4);
    config.head_dim = text.integer("head_dim", 256);
    config.query_scale =
        static_cast<float>(1 / std::sqrt(text.real("query_pre_attn_scalar", 256)));
    config.sliding_window = text.integer("sliding_window", 4096);
    config.global_layers = read_layer_types(text, config.num_layers, gemma2);
    read_rope(text, config);
    config.qk_norm = !gemma2;
    config.attn_softcap =
        read_softcap(text, "attn_logit_softcapping", gemma2 ? std::optional(50.0f) : std::nullopt);
    config.final_softcap =
        read_softcap(text, "final_logit_softcapping", gemma2 ? std::optional(30.0f) : std::nullopt);
    config.norm_eps = static_cast<float>(text.real("rms_norm_eps", 1e-6));
    config.max_positions = text.integer("max_position_embeddings", gemma2 ? 8192 : 131072);
    config.embed_scale = embedding_scale(config.hidden_size);
    config.tied_head =
        top.boolean("tie_word_embeddings", text.boolean("tie_word_embeddings", true));
    if (const auto vision = top.object("vision_config"); vision && multimodal) {
        config.vision = read_vision(*vision);
        config.mm_tokens_per_image = top.integer("mm_tokens_per_image", 256);
        config.boi_id = top.id("boi_token_index").value_or(255999);
        config.eoi_id = top.id("eoi_token_index").value_or(256000);
        config.image_token_id = top.id("image_token_index").value_or(262144);
    }
    add_eos(config, top.ids("eos_token_id"));
    add_eos(config, text.ids("eos_token_id"));
    config.bos_id = top.id("bos_token_id");
    if (!config.bos_id)
        config.bos_id = text.id("bos_token_id");
    validate(config, path);
    return config;
}

void add_generation_config(Config& config, const Json& json, const std::string& path) {
    const Object object(json, printable_path(path), "");
    add_eos(config, object.ids("eos_token_id"));
    if (!config.bos_id)
        config.bos_id = object.id("bos_token_id");
}

void add_preprocessor_config(Config& config, const Json& json, const std::string& file_path) {
    if (!config.vision)
        return;
    const std::string path = printable_path(file_path);
    const Object object(json, path, "");
    for (const char* key : {"do_rescale", "do_normalize"})
        if (!object.boolean(key, true))
            object.unsupported(key, "false", "true");
    const double factor = object.real("rescale_factor", 1.0 / 255);
    if (!(std::fabs(factor * 255 - 1) < 1e-6))  // files have 16 digits of it
        object.unsupported("rescale_factor", format_text("%g", factor), "1 / 255");
    config.vision->image_mean = object.colours("image_mean", config.vision->image_mean);
    config.vision->image_std = object.colours("image_std", config.vision->image_std);
    validate(config, path);
}

}  // namespace olivine
