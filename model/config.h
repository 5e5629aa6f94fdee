// What a Gemma 2 or Gemma 3 model looks like, and where that is read from.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace olivine {

class Gguf;

// The SigLIP picture encoder of Gemma 3 4B, 12B and 27B (published sizes in config.cpp).
struct VisionConfig {
    uint32_t hidden_size = 0;
    uint32_t intermediate_size = 0;
    uint32_t num_layers = 0;
    uint32_t num_heads = 0;   // head size = hidden_size / num_heads (72: no power of two)
    uint32_t image_size = 0;  // pixels a side, square
    uint32_t patch_size = 0;  // pixels a side; what is left at the right and bottom is not used
    float norm_eps = 0;
    // A channel (R, G, B) enters as (value / 255 - image_mean) / image_std.
    std::array<float, 3> image_mean{0.5f, 0.5f, 0.5f};
    std::array<float, 3> image_std{0.5f, 0.5f, 0.5f};

    uint32_t patches_per_side() const { return image_size / patch_size; }
    uint32_t patches() const { return patches_per_side() * patches_per_side(); }
    bool operator==(const VisionConfig&) const = default;
};

struct Config {
    enum class Family { gemma2, gemma3 };

    Family family = Family::gemma3;
    uint32_t vocab_size = 0;         // rows of the embedding; Checkpoint sets it from the file
    uint32_t hidden_size = 0;
    uint32_t intermediate_size = 0;  // width of the MLP
    uint32_t num_layers = 0;
    uint32_t num_heads = 0;          // query heads
    uint32_t num_kv_heads = 0;       // query head h reads key head h / (num_heads / num_kv_heads)
    uint32_t head_dim = 0;           // num_heads * head_dim need not equal hidden_size
    float query_scale = 0;           // multiplies q: query_pre_attn_scalar^-0.5
    uint32_t sliding_window = 0;     // keys that a local layer sees, the token itself included
    std::vector<bool> global_layers;  // [num_layers], true: full attention, false: sliding window
    double rope_theta_global = 0;
    double rope_theta_local = 0;
    double rope_factor_global = 1;   // positions are divided by it on global layers only
    bool qk_norm = false;            // Gemma 3: RMS norm of every query and key head
    std::optional<float> attn_softcap;   // Gemma 2: cap * tanh(score / cap), before the mask
    std::optional<float> final_softcap;  // Gemma 2: the same on the logits
    float norm_eps = 0;
    uint32_t max_positions = 0;      // longest context that the model was made for
    float embed_scale = 0;           // sqrt(hidden_size): rounded to bfloat16 as Gemma was trained,
                                     // or as a GGUF states it, else unrounded as its runtime does
    bool tied_head = true;           // the embedding is the head; else there is lm_head.weight

    std::optional<VisionConfig> vision;  // Gemma 3; empty where the files hold no picture encoder
    uint32_t mm_tokens_per_image = 0;    // soft tokens of a picture, a square; 0 without vision

    // Ids that the model's files state; empty where they do not.
    std::vector<int32_t> eos_ids;            // each ends an answer; sorted, unique
    std::optional<int32_t> bos_id;
    std::optional<int32_t> boi_id;           // <start_of_image>; empty for a GGUF without the piece
    std::optional<int32_t> eoi_id;           // <end_of_image>; likewise
    // Place holder of one soft token, never looked up; may be vocab_size or more. Set with vision.
    std::optional<int32_t> image_token_id;

    bool operator==(const Config&) const = default;
};

// Reads a Hugging Face config.json (model_type gemma2, gemma3_text or gemma3); absent keys take the
// defaults of Hugging Face's classes, since published files leave most out. `path` stands in
// messages. The result has passed validate(). Errors: bad_file (a key with a value of another type
// or out of range), unsupported (another model_type, activation, rope type, quantization).
Config config_from_hf(const nlohmann::json& json, const std::string& path);

// Adds eos_token_id and bos_token_id of a generation_config.json (eos ids are united).
void add_generation_config(Config& config, const nlohmann::json& json, const std::string& path);

// Takes image_mean and image_std from a preprocessor_config.json; nothing without vision. Errors:
// bad_file (values that are no three numbers, or out of range), unsupported (pixels that are not
// scaled by 1 / 255 or not normalised).
void add_preprocessor_config(Config& config, const nlohmann::json& json, const std::string& path);

// The same from a GGUF header (general.architecture gemma2 or gemma3). The format leaves out
// the query scale, so it is derived, unless the file has "<arch>.attention.scale" (f32); and the
// embedding scale, which is sqrt(hidden_size) unless it has "<arch>.embedding_scale" (f32).
// Errors: bad_file, unsupported; the key is named.
Config config_from_gguf(const Gguf& gguf);

// Adds the picture encoder that a GGUF model's companion file describes (general.architecture clip,
// projector gemma3). `text` is the model's own header: it knows the ids of the picture pieces.
// Errors: bad_file (a key missing, of another type or out of range; an encoder made for a model of
// another hidden_size), unsupported (another architecture, projector or activation; Gemma 2).
void add_mmproj(Config& config, const Gguf& mmproj, const Gguf& text);

// Published sizes: "270m", "1b", "4b", "12b", "27b" (Gemma 3; from 4b on with vision) and
// "gemma2-2b", "gemma2-9b", "gemma2-27b"; empty for any other name. `preset_names` lists them in
// that order.
std::optional<Config> preset(std::string_view name);
std::span<const std::string_view> preset_names();

// Refuses what no model of the family can have (bad_file; names the field, value and limit): zero
// sizes, heads that do not divide, odd head sizes, absurd counts. Unusual sizes are fine.
void validate(const Config& config, const std::string& path);

// A tensor: canonical name (see checkpoint.h) and shape, outermost first.
struct TensorSpec {
    std::string name;
    std::vector<uint64_t> shape;
};

// Every text tensor that the config implies: embedding, layers in order, final norm, then
// lm_head.weight unless the head is tied. Matrices are [out, in].
std::vector<TensorSpec> text_tensors(const Config& config);

// Every tensor of the picture encoder and of its projector, in the order of their use; none without
// vision. E = vision hidden_size, p = patch_size, P = patches, D = hidden_size: patch weights are
// [E, 3, p, p], positions [P, E], matrices of the layers [out, in], the projection [E, D].
std::vector<TensorSpec> vision_tensors(const Config& config);

// Elements of all text tensors, and of all picture tensors.
uint64_t parameter_count(const Config& config);
uint64_t vision_parameter_count(const Config& config);

// Layer i is global when i + 1 is a multiple of `period` (Gemma 3: 6, Gemma 2: 2).
std::vector<bool> layer_pattern(uint32_t num_layers, uint32_t period);

// sqrt(hidden_size) rounded to bfloat16: 1152 -> 34, 2560 -> 50.5.
float embedding_scale(uint32_t hidden_size);

}  // namespace olivine
