// The model's shape from a GGUF header. Keys and what files leave out: llama.cpp's gguf-py
// constants.py and src/llama-model.cpp.
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cmath>
#include <limits>

#include "engine/error.h"
#include "model/config.h"
#include "model/gguf.h"

namespace olivine {
namespace {

constexpr uint32_t kGemma2Layers27b = 46;
constexpr uint32_t kGemma3Layers27b = 62;

// Keys under "<architecture>." or "clip.vision.".
class Keys {
public:
    Keys(const Gguf& gguf, const std::string& prefix) : gguf_(gguf), prefix_(prefix + ".") {}

    std::string full(const char* key) const { return prefix_ + key; }

    uint32_t integer(const char* key) const { return narrow(full(key), gguf_.get_uint(full(key))); }
    uint32_t integer(const char* key, uint32_t otherwise) const {
        const auto value = gguf_.find_uint(full(key));
        return value ? narrow(full(key), *value) : otherwise;
    }
    double real(const char* key) const { return gguf_.get_float(full(key)); }
    double real(const char* key, double otherwise) const {
        return gguf_.find_float(full(key)).value_or(otherwise);
    }

    // Three numbers, one per colour channel.
    std::array<float, 3> colours(const char* key, const std::array<float, 3>& otherwise) const {
        const std::vector<float>* values = gguf_.floats(full(key));
        if (!values)
            return otherwise;
        if (values->size() != 3)
            fail(Fault::bad_file, "%s: key '%s' has %zu values (expected: 3).",
                 printable_path(gguf_.path()).c_str(), full(key).c_str(), values->size());
        return {(*values)[0], (*values)[1], (*values)[2]};
    }

    // An id of the tokenizer, "tokenizer.ggml.<key>".
    std::optional<int32_t> id(const char* key) const {
        const std::string name = std::string("tokenizer.ggml.") + key;
        const auto value = gguf_.find_uint(name);
        return value ? std::optional(static_cast<int32_t>(narrow(name, *value))) : std::nullopt;
    }

private:
    uint32_t narrow(const std::string& key, uint64_t value) const {
        constexpr uint64_t kMost = std::numeric_limits<int32_t>::max();
        if (value > kMost)
            fail(Fault::bad_file, "%s: key '%s' is %" PRIu64 " (at most %" PRIu64 ").",
                 printable_path(gguf_.path()).c_str(), printable(key).c_str(), value, kMost);
        return static_cast<uint32_t>(value);
    }

    const Gguf& gguf_;
    std::string prefix_;
};

// A period, or one bool per layer that is true for local layers.
std::vector<bool> read_pattern(const Gguf& gguf, const Keys& keys, const Config& config) {
    const std::string key = keys.full("attention.sliding_window_pattern");
    if (gguf.holds_bools(key)) {
        std::vector<bool> global = *gguf.bools(key);
        if (global.size() != config.num_layers)
            fail(Fault::bad_file, "%s: key '%s' lists %zu layers, the model has %" PRIu32 ".",
                 printable_path(gguf.path()).c_str(), key.c_str(), global.size(),
                 config.num_layers);
        global.flip();
        return global;
    }
    const uint32_t period = keys.integer("attention.sliding_window_pattern",
                                         config.family == Config::Family::gemma2 ? 2 : 6);
    if (period == 0)
        fail(Fault::bad_file, "%s: key '%s' is 0 (at least 1).",
             printable_path(gguf.path()).c_str(), key.c_str());
    // A wrong count of layers is refused by validate(), before anything is built from it.
    return layer_pattern(std::min<uint32_t>(config.num_layers, 1024), period);
}

double read_rope_factor(const Gguf& gguf, const Keys& keys) {
    const std::string key = keys.full("rope.scaling.type");
    const std::string* type = gguf.find_string(key);
    if (type && *type != "linear" && *type != "none")
        fail(Fault::unsupported, "%s: key '%s' is '%s' (supported: none, linear).",
             printable_path(gguf.path()).c_str(), key.c_str(), printable(*type).c_str());
    return type && *type == "none" ? 1 : keys.real("rope.scaling.factor", 1);
}

// The files have no key for it, so it follows from which published model this is: both 27B models
// scale by hidden / heads, all others by the head size.
float query_scale(const Keys& keys, const Config& config) {
    const bool is_27b = config.num_layers == (config.family == Config::Family::gemma2
                                                  ? kGemma2Layers27b : kGemma3Layers27b);
    const double scalar = is_27b ? 1.0 * config.hidden_size / std::max(1u, config.num_heads)
                                 : 1.0 * config.head_dim;
    return static_cast<float>(keys.real("attention.scale", 1 / std::sqrt(scalar)));
}

// Zero stands for none.
std::optional<float> read_softcap(const Keys& keys, const char* key, double otherwise) {
    const double cap = keys.real(key, otherwise);
    return cap == 0 ? std::nullopt : std::optional(static_cast<float>(cap));
}

// Refuses every other value of a key that must be there.
void expect_text(const Gguf& gguf, const char* key, const char* supported) {
    if (const std::string& value = gguf.get_string(key); value != supported)
        fail(Fault::unsupported, "%s: key '%s' is '%s' (supported: %s).",
             printable_path(gguf.path()).c_str(), key, printable(value).c_str(), supported);
}

// Absent is false, as in the format's own runtime.
void expect_true(const Gguf& gguf, const char* key) {
    if (!gguf.find_bool(key).value_or(false))
        fail(Fault::unsupported, "%s: key '%s' is %s (supported: true).",
             printable_path(gguf.path()).c_str(), key, gguf.has(key) ? "false" : "absent");
}

std::optional<int32_t> id_of_piece(const Gguf& gguf, std::string_view piece) {
    const std::vector<std::string>* pieces = gguf.strings("tokenizer.ggml.tokens");
    if (!pieces)
        return std::nullopt;
    const auto it = std::find(pieces->begin(), pieces->end(), piece);
    return it == pieces->end() ? std::nullopt
                               : std::optional(static_cast<int32_t>(it - pieces->begin()));
}

}  // namespace

Config config_from_gguf(const Gguf& gguf) {
    const std::string path = printable_path(gguf.path());
    const std::string& architecture = gguf.get_string("general.architecture");
    if (architecture != "gemma2" && architecture != "gemma3")
        fail(Fault::unsupported, "%s: key 'general.architecture' is '%s' (supported: gemma2, "
             "gemma3).", path.c_str(), printable(architecture).c_str());
    if (const auto parts = gguf.find_uint("split.count"); parts && *parts > 1)
        fail(Fault::unsupported, "%s: key 'split.count' is %" PRIu64
             " (supported: models in one file).", path.c_str(), *parts);
    const bool gemma2 = architecture == "gemma2";
    const Keys keys(gguf, architecture);

    Config config;
    config.family = gemma2 ? Config::Family::gemma2 : Config::Family::gemma3;
    config.hidden_size = keys.integer("embedding_length");
    config.intermediate_size = keys.integer("feed_forward_length");
    config.num_layers = keys.integer("block_count");
    config.num_heads = keys.integer("attention.head_count");
    config.num_kv_heads = keys.integer("attention.head_count_kv", config.num_heads);
    config.head_dim = keys.integer("attention.key_length",
                                   config.hidden_size / std::max(1u, config.num_heads));
    if (const uint32_t value_dim = keys.integer("attention.value_length", config.head_dim);
        value_dim != config.head_dim)
        fail(Fault::unsupported, "%s: key '%s' is %" PRIu32 " (supported: %" PRIu32
             ", the value of key_length).",
             path.c_str(), keys.full("attention.value_length").c_str(), value_dim, config.head_dim);
    config.query_scale = query_scale(keys, config);
    config.sliding_window = gemma2 ? keys.integer("attention.sliding_window", 4096)
                                   : keys.integer("attention.sliding_window");
    config.global_layers = read_pattern(gguf, keys, config);
    config.rope_theta_global = keys.real("rope.freq_base", gemma2 ? 1e4 : 1e6);
    config.rope_theta_local = keys.real("rope.freq_base_swa",
                                        gemma2 ? config.rope_theta_global : 1e4);
    config.rope_factor_global = read_rope_factor(gguf, keys);
    config.qk_norm = !gemma2;
    config.attn_softcap = read_softcap(keys, "attn_logit_softcapping", gemma2 ? 50 : 0);
    config.final_softcap = read_softcap(keys, "final_logit_softcapping", gemma2 ? 30 : 0);
    config.norm_eps = static_cast<float>(keys.real("attention.layer_norm_rms_epsilon"));
    config.max_positions = keys.integer("context_length");
    // A GGUF's weights mean what its own runtime makes of them, and that multiplies by sqrt(hidden)
    // in float32, where Google's code rounds to bfloat16 (25.298 and 25.25 on 270M: the logits
    // differ by 0.3 %). A file made from Google's weights may state the rounded one.
    config.embed_scale = static_cast<float>(
        keys.real("embedding_scale", std::sqrt(static_cast<double>(config.hidden_size))));
    config.tied_head = !gguf.find_tensor("output.weight");

    const Gguf::Tensor* embedding = gguf.find_tensor("token_embd.weight");
    if (!embedding)
        fail(Fault::bad_file, "%s: tensor 'token_embd.weight' is missing.", path.c_str());
    config.vocab_size = static_cast<uint32_t>(
        std::min<uint64_t>(embedding->shape.front(), std::numeric_limits<uint32_t>::max()));

    for (const char* key : {"eos_token_id", "eot_token_id"})
        if (const auto id = keys.id(key))
            config.eos_ids.push_back(*id);
    std::sort(config.eos_ids.begin(), config.eos_ids.end());
    config.eos_ids.erase(std::unique(config.eos_ids.begin(), config.eos_ids.end()),
                         config.eos_ids.end());
    config.bos_id = keys.id("bos_token_id");
    validate(config, gguf.path());
    return config;
}

void add_mmproj(Config& config, const Gguf& mmproj, const Gguf& text) {
    const std::string path = printable_path(mmproj.path());
    if (config.family == Config::Family::gemma2)
        fail(Fault::unsupported, "%s: the file is a picture encoder, and the model '%s' is a Gemma "
             "2 (supported: Gemma 3).", path.c_str(), printable_path(text.path()).c_str());
    expect_text(mmproj, "general.architecture", "clip");
    expect_true(mmproj, "clip.has_vision_encoder");
    expect_text(mmproj, "clip.projector_type", "gemma3");
    expect_true(mmproj, "clip.use_gelu");  // the tanh form, which the text side also uses

    const Keys keys(mmproj, "clip.vision");
    const VisionConfig defaults;
    config.vision = {.hidden_size = keys.integer("embedding_length"),
                     .intermediate_size = keys.integer("feed_forward_length"),
                     .num_layers = keys.integer("block_count"),
                     .num_heads = keys.integer("attention.head_count"),
                     .image_size = keys.integer("image_size"),
                     .patch_size = keys.integer("patch_size"),
                     .norm_eps = static_cast<float>(keys.real("attention.layer_norm_epsilon")),
                     .image_mean = keys.colours("image_mean", defaults.image_mean),
                     .image_std = keys.colours("image_std", defaults.image_std)};
    if (const uint32_t dim = keys.integer("projection_dim"); dim != config.hidden_size)
        fail(Fault::bad_file, "%s: key '%s' is %" PRIu32 ", but the model '%s' is %" PRIu32
             " wide: the file belongs to another model.",
             path.c_str(), keys.full("projection_dim").c_str(), dim,
             printable_path(text.path()).c_str(), config.hidden_size);

    // One soft token for all passes whenever the rest does: then the grid can be computed with.
    config.mm_tokens_per_image = 1;
    validate(config, path);
    const uint32_t side = config.vision->patches_per_side();
    const uint32_t scale = keys.integer("projector.scale_factor", 4);  // patches a side, pooled
    if (scale == 0 || side % scale != 0)
        fail(Fault::bad_file, "%s: key '%s' is %" PRIu32 " (expected: a divisor of the %" PRIu32
             " patches a side).",
             path.c_str(), keys.full("projector.scale_factor").c_str(), scale, side);
    config.mm_tokens_per_image = (side / scale) * (side / scale);
    validate(config, path);

    config.boi_id = id_of_piece(text, "<start_of_image>");
    config.eoi_id = id_of_piece(text, "<end_of_image>");
    config.image_token_id = id_of_piece(text, "<image_soft_token>");
    if (!config.image_token_id)  // any id behind the table will do
        config.image_token_id = static_cast<int32_t>(config.vocab_size);
}

}  // namespace olivine
