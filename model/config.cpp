#include "model/config.h"

#include <array>
#include <bit>
#include <cinttypes>
#include <cmath>
#include <utility>

#include "engine/error.h"
#include "model/file.h"

namespace olivine {
namespace {

// Published sizes of one model.
struct Size {
    std::string_view name;
    uint32_t layers, hidden, intermediate, heads, kv_heads, head_dim;
    float query_scalar;  // queries are multiplied by query_scalar^-0.5
    bool pictures;       // 4B and up: a larger vocabulary, window and context, stretched positions
};

// Sources: google-deepmind/gemma gemma/gm/nn/_gemma.py; google/gemma_pytorch config.py.
// Gemma 3 27B scales by hidden / heads (168), not by head_dim (128); so does Gemma 2 27B (144).
constexpr std::array kGemma3Sizes{
    Size{"270m", 18, 640, 2048, 4, 1, 256, 256, false},
    Size{"1b", 26, 1152, 6912, 4, 1, 256, 256, false},
    Size{"4b", 34, 2560, 10240, 8, 4, 256, 256, true},
    Size{"12b", 48, 3840, 15360, 16, 8, 256, 256, true},
    Size{"27b", 62, 5376, 21504, 32, 16, 128, 168, true},
};
constexpr std::array kGemma2Sizes{
    Size{"gemma2-2b", 26, 2304, 9216, 8, 4, 256, 256, false},
    Size{"gemma2-9b", 42, 3584, 14336, 16, 8, 256, 256, false},
    Size{"gemma2-27b", 46, 4608, 36864, 32, 16, 128, 144, false},
};
constexpr std::array<std::string_view, 8> kPresetNames{
    "270m", "1b", "4b", "12b", "27b", "gemma2-2b", "gemma2-9b", "gemma2-27b"};

// SigLIP So400m/14, the same in all three. Source: google/gemma_pytorch
// gemma/siglip_vision/config.py.
constexpr VisionConfig kSiglip{.hidden_size = 1152,
                               .intermediate_size = 4304,
                               .num_layers = 27,
                               .num_heads = 16,
                               .image_size = 896,
                               .patch_size = 14,
                               .norm_eps = 1e-6f};

Config from_size(const Size& size) {
    Config config;
    config.hidden_size = size.hidden;
    config.intermediate_size = size.intermediate;
    config.num_layers = size.layers;
    config.num_heads = size.heads;
    config.num_kv_heads = size.kv_heads;
    config.head_dim = size.head_dim;
    config.query_scale = static_cast<float>(1 / std::sqrt(double{size.query_scalar}));
    config.norm_eps = 1e-6f;
    config.embed_scale = embedding_scale(size.hidden);
    config.bos_id = 2;
    return config;
}

Config gemma3(const Size& size) {
    Config config = from_size(size);
    config.family = Config::Family::gemma3;
    config.vocab_size = size.pictures ? 262208 : 262144;  // Hugging Face pads by 64 rows
    config.sliding_window = size.pictures ? 1024 : 512;
    config.global_layers = layer_pattern(size.layers, 6);
    config.rope_theta_global = 1e6;
    config.rope_theta_local = 1e4;
    config.rope_factor_global = size.pictures ? 8 : 1;
    config.qk_norm = true;
    config.max_positions = size.pictures ? 131072 : 32768;
    config.eos_ids = {1, 106};  // <eos>, <end_of_turn>
    if (size.pictures) {
        config.vision = kSiglip;
        config.mm_tokens_per_image = 256;
        config.boi_id = 255999;
        config.eoi_id = 256000;
        config.image_token_id = 262144;
    }
    return config;
}

Config gemma2(const Size& size) {
    Config config = from_size(size);
    config.family = Config::Family::gemma2;
    config.vocab_size = 256000;
    config.sliding_window = 4096;
    config.global_layers = layer_pattern(size.layers, 2);
    config.rope_theta_global = 1e4;
    config.rope_theta_local = 1e4;
    config.attn_softcap = 50.0f;
    config.final_softcap = 30.0f;
    config.max_positions = 8192;
    config.eos_ids = {1, 107};
    return config;
}

void check_range(const std::string& path, const char* field, uint64_t value, uint64_t least,
                 uint64_t most) {
    if (value < least || value > most)
        fail(Fault::bad_file, "%s: %s is %" PRIu64 " (%" PRIu64 " to %" PRIu64 ").", path.c_str(),
             field, value, least, most);
}

// Also refuses NaN and infinities.
void check_real(const std::string& path, const char* field, double value, double least,
                double most) {
    if (!(value >= least && value <= most))
        fail(Fault::bad_file, "%s: %s is %g (%g to %g).", path.c_str(), field, value, least, most);
}

void check_divides(const std::string& path, const char* field, uint64_t value,
                   const char* divisor_field, uint64_t divisor) {
    if (value % divisor != 0)
        fail(Fault::bad_file, "%s: %s is %" PRIu64 ", %s (%" PRIu64 ") does not divide it.",
             path.c_str(), field, value, divisor_field, divisor);
}

void validate_vision(const Config& config, const std::string& path) {
    const VisionConfig& vision = *config.vision;
    check_range(path, "vision hidden_size", vision.hidden_size, 1, 65536);
    check_range(path, "vision intermediate_size", vision.intermediate_size, 1, 1 << 18);
    check_range(path, "vision num_hidden_layers", vision.num_layers, 1, 1024);
    check_range(path, "vision num_attention_heads", vision.num_heads, 1, 1024);
    check_divides(path, "vision hidden_size", vision.hidden_size, "vision num_attention_heads",
                  vision.num_heads);
    check_range(path, "vision head size", vision.hidden_size / vision.num_heads, 1, 512);
    check_range(path, "vision image_size", vision.image_size, 1, 8192);
    check_range(path, "vision patch_size", vision.patch_size, 1, 8192);
    if (vision.image_size < vision.patch_size)
        fail(Fault::bad_file, "%s: vision image_size is %" PRIu32 " (at least vision patch_size, %"
             PRIu32 ").", path.c_str(), vision.image_size, vision.patch_size);
    check_range(path, "the number of patches (image_size / patch_size, squared)",
                vision.patches(), 1, 65536);
    check_real(path, "vision layer_norm_eps", vision.norm_eps, 1e-12, 1e-1);
    for (const float mean : vision.image_mean)
        check_real(path, "image_mean", mean, -1e3, 1e3);
    for (const float deviation : vision.image_std)
        check_real(path, "image_std", deviation, 1e-3, 1e3);
    // Soft tokens are a square grid; each pools a square of patches.
    check_range(path, "mm_tokens_per_image", config.mm_tokens_per_image, 1, vision.patches());
    const auto side =
        static_cast<uint32_t>(std::lround(std::sqrt(config.mm_tokens_per_image)));
    if (side * side != config.mm_tokens_per_image)
        fail(Fault::bad_file, "%s: mm_tokens_per_image is %" PRIu32 ", which is no square.",
             path.c_str(), config.mm_tokens_per_image);
    check_divides(path, "the number of patches a side", vision.patches_per_side(),
                  "the root of mm_tokens_per_image", side);
}

uint64_t count_elements(const std::vector<TensorSpec>& specs) {
    uint64_t sum = 0;
    for (const TensorSpec& spec : specs) {
        uint64_t elements = 1;  // at most 2^16 x 3 x 2^13 x 2^13, see validate()
        for (const uint64_t size : spec.shape)
            elements *= size;
        sum += elements;
    }
    return sum;
}

}  // namespace

std::optional<Config> preset(std::string_view name) {
    for (const Size& size : kGemma3Sizes)
        if (name == size.name)
            return gemma3(size);
    for (const Size& size : kGemma2Sizes)
        if (name == size.name)
            return gemma2(size);
    return std::nullopt;
}

std::span<const std::string_view> preset_names() {
    return kPresetNames;
}

void validate(const Config& config, const std::string& file_path) {
    const std::string path = printable_path(file_path);
    // The limits are far above any published model and far below what overflows: they only stop
    // a damaged file from asking for absurd amounts of work or memory.
    check_range(path, "vocab_size", config.vocab_size, 1, 1 << 20);
    check_range(path, "hidden_size", config.hidden_size, 1, 65536);
    check_range(path, "intermediate_size", config.intermediate_size, 1, 1 << 18);
    check_range(path, "num_hidden_layers", config.num_layers, 1, 256);
    check_range(path, "num_attention_heads", config.num_heads, 1, 1024);
    check_range(path, "num_key_value_heads", config.num_kv_heads, 1, config.num_heads);
    check_divides(path, "num_attention_heads", config.num_heads, "num_key_value_heads",
                  config.num_kv_heads);
    check_range(path, "head_dim", config.head_dim, 2, 512);
    check_divides(path, "head_dim", config.head_dim, "the size of a rotated pair", 2);
    check_real(path, "the query scale", config.query_scale, 1e-4, 1e2);
    check_range(path, "sliding_window", config.sliding_window, 1, 1 << 24);
    if (config.global_layers.size() != config.num_layers)
        fail(Fault::bad_file, "%s: layer_types lists %zu layers, num_hidden_layers is %" PRIu32 ".",
             path.c_str(), config.global_layers.size(), config.num_layers);
    check_real(path, "rope_theta", config.rope_theta_global, 1, 1e12);
    check_real(path, "the local layers' rope_theta", config.rope_theta_local, 1, 1e12);
    check_real(path, "the rope scaling factor", config.rope_factor_global, 1e-3, 1e6);
    if (config.attn_softcap)
        check_real(path, "attn_logit_softcapping", *config.attn_softcap, 1e-3, 1e6);
    if (config.final_softcap)
        check_real(path, "final_logit_softcapping", *config.final_softcap, 1e-3, 1e6);
    check_real(path, "rms_norm_eps", config.norm_eps, 1e-12, 1e-1);
    check_range(path, "max_position_embeddings", config.max_positions, 1, 1 << 24);
    check_real(path, "the embedding scale", config.embed_scale, 1, 256);
    if (config.vision)
        validate_vision(config, path);
}

std::vector<TensorSpec> text_tensors(const Config& config) {
    const uint64_t hidden = config.hidden_size;
    const uint64_t inner = config.intermediate_size;
    const uint64_t queries = uint64_t{config.num_heads} * config.head_dim;
    const uint64_t keys = uint64_t{config.num_kv_heads} * config.head_dim;
    std::vector<TensorSpec> specs;
    specs.push_back({"embed_tokens.weight", {config.vocab_size, hidden}});
    for (uint32_t i = 0; i < config.num_layers; ++i) {
        const std::string layer = "layers." + std::to_string(i) + ".";
        specs.push_back({layer + "input_layernorm.weight", {hidden}});
        specs.push_back({layer + "self_attn.q_proj.weight", {queries, hidden}});
        specs.push_back({layer + "self_attn.k_proj.weight", {keys, hidden}});
        specs.push_back({layer + "self_attn.v_proj.weight", {keys, hidden}});
        if (config.qk_norm) {
            specs.push_back({layer + "self_attn.q_norm.weight", {config.head_dim}});
            specs.push_back({layer + "self_attn.k_norm.weight", {config.head_dim}});
        }
        specs.push_back({layer + "self_attn.o_proj.weight", {hidden, queries}});
        specs.push_back({layer + "post_attention_layernorm.weight", {hidden}});
        specs.push_back({layer + "pre_feedforward_layernorm.weight", {hidden}});
        specs.push_back({layer + "mlp.gate_proj.weight", {inner, hidden}});
        specs.push_back({layer + "mlp.up_proj.weight", {inner, hidden}});
        specs.push_back({layer + "mlp.down_proj.weight", {hidden, inner}});
        specs.push_back({layer + "post_feedforward_layernorm.weight", {hidden}});
    }
    specs.push_back({"norm.weight", {hidden}});
    if (!config.tied_head)
        specs.push_back({"lm_head.weight", {config.vocab_size, hidden}});
    return specs;
}

std::vector<TensorSpec> vision_tensors(const Config& config) {
    std::vector<TensorSpec> specs;
    if (!config.vision)
        return specs;
    const VisionConfig& vision = *config.vision;
    const uint64_t hidden = vision.hidden_size;
    const uint64_t inner = vision.intermediate_size;
    const uint64_t patch = vision.patch_size;
    const auto with_bias = [&](const std::string& name, std::vector<uint64_t> shape) {
        const uint64_t out = shape.front();
        specs.push_back({name + ".weight", std::move(shape)});
        specs.push_back({name + ".bias", {out}});
    };
    const std::string tower = "vision_tower.vision_model.";
    with_bias(tower + "embeddings.patch_embedding", {hidden, 3, patch, patch});
    specs.push_back({tower + "embeddings.position_embedding.weight", {vision.patches(), hidden}});
    for (uint32_t i = 0; i < vision.num_layers; ++i) {
        const std::string layer = tower + "encoder.layers." + std::to_string(i) + ".";
        with_bias(layer + "layer_norm1", {hidden});
        for (const char* name : {"q_proj", "k_proj", "v_proj", "out_proj"})
            with_bias(layer + "self_attn." + name, {hidden, hidden});
        with_bias(layer + "layer_norm2", {hidden});
        with_bias(layer + "mlp.fc1", {inner, hidden});
        with_bias(layer + "mlp.fc2", {hidden, inner});
    }
    with_bias(tower + "post_layernorm", {hidden});
    specs.push_back({"multi_modal_projector.mm_soft_emb_norm.weight", {hidden}});
    specs.push_back({"multi_modal_projector.mm_input_projection_weight",
                     {hidden, config.hidden_size}});
    return specs;
}

uint64_t parameter_count(const Config& config) {
    return count_elements(text_tensors(config));
}

uint64_t vision_parameter_count(const Config& config) {
    return count_elements(vision_tensors(config));
}

std::vector<bool> layer_pattern(uint32_t num_layers, uint32_t period) {
    std::vector<bool> global(num_layers);
    for (uint32_t i = 0; i < num_layers; ++i)
        global[i] = (i + 1) % period == 0;
    return global;
}

float embedding_scale(uint32_t hidden_size) {
    const auto bits = std::bit_cast<uint32_t>(std::sqrt(static_cast<float>(hidden_size)));
    return std::bit_cast<float>((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000);  // ties to even
}

}  // namespace olivine
