#include "tests/support/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "engine/block_format.h"
#include "engine/pack.h"
#include "model/checkpoint.h"

namespace olivine::test {
namespace {

template <typename T>
void append(std::vector<std::byte>& out, const T& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_string(std::vector<std::byte>& out, std::string_view text) {
    append(out, uint64_t{text.size()});
    const auto bytes = std::as_bytes(std::span(text));
    out.insert(out.end(), bytes.begin(), bytes.end());
}

float half_to_float(uint16_t half) {
    const int exponent = half >> 10 & 31;
    const int mantissa = half & 1023;
    const float sign = half & 0x8000 ? -1.0f : 1.0f;
    if (exponent == 31)
        return mantissa ? NAN : sign * INFINITY;
    return sign * (exponent ? std::ldexp(1024.0f + static_cast<float>(mantissa), exponent - 25)
                            : std::ldexp(static_cast<float>(mantissa), -24));
}

// Nearest, ties to even.
uint16_t float_to_half(float value) {
    const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const float magnitude = std::fabs(value);
    if (magnitude >= 65520.0f)
        return sign | 0x7C00;
    // The spacing of halves around the value: 2^-24 below 2^-14.
    int exponent = 0;
    std::frexp(magnitude, &exponent);  // magnitude = [0.5, 1) * 2^exponent
    const int spacing = std::max(exponent - 11, -24);
    const auto steps = static_cast<uint16_t>(std::nearbyint(std::ldexp(magnitude, -spacing)));
    // Steps run through mantissa and exponent without a seam.
    return sign | (spacing == -24 ? steps
                                  : static_cast<uint16_t>(steps + ((spacing + 24) << 10)));
}

uint16_t float_to_bfloat(float value) {
    const auto bits = std::bit_cast<uint32_t>(value);
    return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float largest_magnitude(std::span<const float> values) {
    float peak = 0;
    for (const float value : values)
        if (std::fabs(value) > std::fabs(peak))
            peak = value;
    return peak;
}

void encode_q8_0(std::vector<std::byte>& out, std::span<const float> block) {
    const float scale = std::fabs(largest_magnitude(block)) / 127;
    append(out, float_to_half(scale));
    for (const float value : block)
        append(out, static_cast<int8_t>(scale != 0 ? std::round(value * (1 / scale)) : 0));
}

void encode_q4_0(std::vector<std::byte>& out, std::span<const float> block) {
    const float scale = largest_magnitude(block) / -8;
    append(out, float_to_half(scale));
    const auto level = [&](float value) {
        const float steps = scale != 0 ? value * (1 / scale) : 0;
        return static_cast<uint8_t>(std::min(15.0f, steps + 8.5f));
    };
    for (size_t i = 0; i < 16; ++i)
        append(out, static_cast<uint8_t>(level(block[i]) | level(block[i + 16]) << 4));
}

std::string gguf_name(const std::string& canonical) {
    static const std::pair<const char*, const char*> kNames[] = {
        {"embed_tokens", "token_embd"},
        {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"},
        {"self_attn.v_proj", "attn_v"}, {"self_attn.o_proj", "attn_output"},
        {"self_attn.q_norm", "attn_q_norm"}, {"self_attn.k_norm", "attn_k_norm"},
        {"input_layernorm", "attn_norm"}, {"post_attention_layernorm", "post_attention_norm"},
        {"pre_feedforward_layernorm", "ffn_norm"}, {"post_feedforward_layernorm", "post_ffw_norm"},
        {"mlp.gate_proj", "ffn_gate"}, {"mlp.up_proj", "ffn_up"}, {"mlp.down_proj", "ffn_down"},
    };
    if (canonical == "norm.weight")
        return "output_norm.weight";
    std::string name = canonical;
    if (name.starts_with("layers."))
        name.replace(0, 6, "blk");
    for (const auto& [hf, gguf] : kNames)
        if (const size_t at = name.find(hf); at != std::string::npos)
            return name.replace(at, std::strlen(hf), gguf);
    return name;
}

std::string mmproj_name(const std::string& canonical, bool old_mlp_names) {
    static const std::pair<const char*, const char*> kNames[] = {
        {"embeddings.patch_embedding", "patch_embd"},
        {"embeddings.position_embedding", "position_embd"},
        {"encoder.layers", "blk"}, {"post_layernorm", "post_ln"},
        {"layer_norm1", "ln1"}, {"layer_norm2", "ln2"},
        {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"},
        {"self_attn.v_proj", "attn_v"}, {"self_attn.out_proj", "attn_out"},
    };
    if (canonical.starts_with("multi_modal_projector."))
        return canonical.ends_with("norm.weight") ? "mm.soft_emb_norm.weight"
                                                  : "mm.input_projection.weight";
    std::string name = "v." + canonical.substr(std::strlen("vision_tower.vision_model."));
    const auto rename = [&](const std::string& from, const std::string& to) {
        if (const size_t at = name.find(from); at != std::string::npos)
            name.replace(at, from.size(), to);
    };
    for (const auto& [hf, gguf] : kNames)
        rename(hf, gguf);
    rename("mlp.fc1", old_mlp_names ? "ffn_down" : "ffn_up");
    rename("mlp.fc2", old_mlp_names ? "ffn_up" : "ffn_down");
    return name;
}

// The keys that llama.cpp's converter writes; the pooled side only where it is not 4.
void add_mmproj_metadata(GgufWriter& writer, const Config& config, const MmprojOptions& options) {
    const VisionConfig& vision = *config.vision;
    writer.add_string("general.architecture", "clip");
    writer.add_string("general.type", "mmproj");
    writer.add_bool("clip.has_vision_encoder", true);
    writer.add_string("clip.projector_type", "gemma3");
    writer.add_bool("clip.use_gelu", true);
    writer.add_u32("clip.vision.image_size", vision.image_size);
    writer.add_u32("clip.vision.patch_size", vision.patch_size);
    writer.add_u32("clip.vision.embedding_length", vision.hidden_size);
    writer.add_u32("clip.vision.feed_forward_length", vision.intermediate_size);
    writer.add_u32("clip.vision.block_count", vision.num_layers);
    writer.add_u32("clip.vision.projection_dim", config.hidden_size);
    writer.add_u32("clip.vision.attention.head_count", vision.num_heads);
    writer.add_f32("clip.vision.attention.layer_norm_epsilon", vision.norm_eps);
    writer.add_floats("clip.vision.image_mean", vision.image_mean);
    writer.add_floats("clip.vision.image_std", vision.image_std);
    const auto tokens_a_side =
        static_cast<uint32_t>(std::lround(std::sqrt(config.mm_tokens_per_image)));
    const uint32_t scale = options.scale_factor.value_or(vision.patches_per_side() / tokens_a_side);
    if (scale != 4)
        writer.add_u32("clip.vision.projector.scale_factor", scale);
}

std::vector<float> values_of(const Checkpoint& checkpoint, const TensorInfo& info) {
    std::vector<std::byte> raw(info.bytes);
    checkpoint.read(info, 0, raw);
    return decode(info.type, raw);
}

size_t place_of(std::span<const std::byte> bytes, std::string_view text) {
    const auto wanted = std::as_bytes(std::span(text));
    const auto at = std::search(bytes.begin(), bytes.end(), wanted.begin(), wanted.end());
    if (at == bytes.end())
        throw std::invalid_argument("the file does not hold '" + std::string(text) + "'");
    return static_cast<size_t>(at - bytes.begin());
}

void add_metadata(GgufWriter& writer, const Config& config) {
    const bool gemma2 = config.family == Config::Family::gemma2;
    const std::string architecture = gemma2 ? "gemma2" : "gemma3";
    const std::string prefix = architecture + ".";
    writer.add_string("general.architecture", architecture);
    writer.add_string("general.name", "test");
    writer.add_u32(prefix + "context_length", config.max_positions);
    writer.add_u32(prefix + "embedding_length", config.hidden_size);
    writer.add_u32(prefix + "block_count", config.num_layers);
    writer.add_u32(prefix + "feed_forward_length", config.intermediate_size);
    writer.add_u32(prefix + "attention.head_count", config.num_heads);
    writer.add_u32(prefix + "attention.head_count_kv", config.num_kv_heads);
    writer.add_u32(prefix + "attention.key_length", config.head_dim);
    writer.add_u32(prefix + "attention.value_length", config.head_dim);
    writer.add_f32(prefix + "attention.layer_norm_rms_epsilon", config.norm_eps);
    writer.add_f32(prefix + "attention.scale", config.query_scale);
    writer.add_f32(prefix + "embedding_scale", config.embed_scale);
    writer.add_u32(prefix + "attention.sliding_window", config.sliding_window);
    std::vector<bool> local = config.global_layers;
    local.flip();
    writer.add_bools(prefix + "attention.sliding_window_pattern", local);
    writer.add_f32(prefix + "rope.freq_base", static_cast<float>(config.rope_theta_global));
    writer.add_f32(prefix + "rope.freq_base_swa", static_cast<float>(config.rope_theta_local));
    if (config.rope_factor_global != 1) {
        writer.add_string(prefix + "rope.scaling.type", "linear");
        writer.add_f32(prefix + "rope.scaling.factor",
                       static_cast<float>(config.rope_factor_global));
    }
    if (gemma2) {
        writer.add_f32(prefix + "attn_logit_softcapping", config.attn_softcap.value_or(0));
        writer.add_f32(prefix + "final_logit_softcapping", config.final_softcap.value_or(0));
    }
}

// Three control tokens, <unk>, 256 bytes, then letters and made-up pieces; the picture pieces where
// the config has them.
void add_tokenizer(GgufWriter& writer, const Config& config) {
    std::vector<std::string> tokens{"<pad>", "<eos>", "<bos>", "<unk>"};
    std::vector<int32_t> kinds{3, 3, 3, 2};
    for (int byte = 0; byte < 256; ++byte) {
        char text[8];
        std::snprintf(text, sizeof text, "<0x%02X>", byte);
        tokens.push_back(text);
        kinds.push_back(6);
    }
    while (tokens.size() < config.vocab_size) {
        const size_t i = tokens.size() - 260;
        tokens.push_back(i < 26 ? std::string(1, static_cast<char>('a' + i))
                                : "t" + std::to_string(i));
        kinds.push_back(1);
    }
    tokens.resize(config.vocab_size);
    kinds.resize(config.vocab_size);
    for (const auto& [id, piece] : {std::pair{config.boi_id, "<start_of_image>"},
                                    {config.eoi_id, "<end_of_image>"},
                                    {config.image_token_id, "<image_soft_token>"}})
        if (id && static_cast<size_t>(*id) < tokens.size()) {
            tokens[static_cast<size_t>(*id)] = piece;
            kinds[static_cast<size_t>(*id)] = 3;
        }
    std::vector<float> scores(tokens.size());
    for (size_t i = 0; i < scores.size(); ++i)
        scores[i] = -static_cast<float>(i);
    writer.add_string("tokenizer.ggml.model", "llama");
    writer.add_strings("tokenizer.ggml.tokens", tokens);
    writer.add_floats("tokenizer.ggml.scores", scores);
    writer.add_ints("tokenizer.ggml.token_type", kinds);
    if (config.bos_id)
        writer.add_u32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(*config.bos_id));
    if (!config.eos_ids.empty())
        writer.add_u32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(config.eos_ids[0]));
    if (config.eos_ids.size() > 1)
        writer.add_u32("tokenizer.ggml.eot_token_id", static_cast<uint32_t>(config.eos_ids[1]));
}

// Q4_1, Q5_0, Q5_1 and IQ4_NL: the nearest codes for a scale that reaches the largest value.
void encode_32(std::vector<std::byte>& out, DataType type, std::span<const float> values) {
    const BlockFormat& format = block_format(type);
    if (block_elements(type) != 32)
        throw std::invalid_argument("encode: no encoder for blocks of 256");
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const int most = (1 << (format.low_bits + format.high_bits)) - 1;
    const float largest = std::max(std::abs(*low), std::abs(*high));
    const float scale = format.minimum ? (*high - *low) / static_cast<float>(most)
                        : format.table ? largest / 113
                                       : largest / static_cast<float>(most - format.offset);
    const uint16_t d = float_to_half(scale), m = format.minimum ? float_to_half(*low) : 0;
    append(out, d);
    if (format.minimum)
        append(out, m);
    uint8_t codes[32];
    uint32_t bits = 0;
    for (uint32_t i = 0; i < 32; ++i) {
        float best = 1e30f;
        for (int code = 0; code <= most; ++code) {
            const int q = format.table ? kCodebook[static_cast<size_t>(code)] : code - format.offset;
            const float off = std::abs(half_to_float(d) * static_cast<float>(q) + half_to_float(m) - values[i]);
            if (off < best) {
                best = off;
                codes[i] = static_cast<uint8_t>(code);
            }
        }
        bits |= static_cast<uint32_t>(codes[i] >> 4) << i;
    }
    if (format.high_bits > 0)
        append(out, bits);
    for (uint32_t i = 0; i < 16; ++i)
        append(out, static_cast<uint8_t>((codes[i] & 15) | codes[i + 16] << 4));
}

}  // namespace

std::vector<std::byte> encode(DataType type, std::span<const float> values) {
    const uint32_t block = block_elements(type);
    if (values.size() % block != 0)
        throw std::invalid_argument("encode: values do not fill whole blocks");
    std::vector<std::byte> out;
    out.reserve(values.size() / block * block_bytes(type));
    for (size_t i = 0; i < values.size(); i += block) {
        switch (type) {
        case DataType::f32: append(out, values[i]); break;
        case DataType::f16: append(out, float_to_half(values[i])); break;
        case DataType::bf16: append(out, float_to_bfloat(values[i])); break;
        case DataType::q8_0: encode_q8_0(out, values.subspan(i, 32)); break;
        case DataType::q4_0: encode_q4_0(out, values.subspan(i, 32)); break;
        default: encode_32(out, type, values.subspan(i, 32));
        }
    }
    return out;
}

std::vector<float> decode(DataType type, std::span<const std::byte> bytes) {
    const uint32_t block = block_bytes(type);
    if (bytes.size() % block != 0)
        throw std::invalid_argument("decode: bytes do not fill whole blocks");
    std::vector<float> values;
    values.reserve(bytes.size() / block * block_elements(type));
    for (size_t i = 0; i < bytes.size(); i += block) {
        uint32_t word = 0;
        std::memcpy(&word, &bytes[i], type == DataType::f32 ? 4 : 2);
        const auto half = static_cast<uint16_t>(word);
        const std::byte* quants = bytes.data() + i + 2;
        switch (type) {
        case DataType::f32: values.push_back(std::bit_cast<float>(word)); break;
        case DataType::f16: values.push_back(half_to_float(half)); break;
        case DataType::bf16: values.push_back(std::bit_cast<float>(word << 16)); break;
        case DataType::q8_0:
            for (int k = 0; k < 32; ++k)
                values.push_back(half_to_float(half) * static_cast<int8_t>(quants[k]));
            break;
        case DataType::q4_0:
            for (int k = 0; k < 32; ++k) {
                const int pair = static_cast<int>(quants[k % 16]);
                values.push_back(half_to_float(half) *
                                 static_cast<float>((k < 16 ? pair & 15 : pair >> 4) - 8));
            }
            break;
        default: {
            const size_t at = values.size();
            values.resize(at + block_elements(type));
            unpack_row(type, bytes.data() + i, std::span(values).subspan(at));
        }
        }
    }
    return values;
}

uint32_t ggml_type_id(DataType type) {
    switch (type) {
    case DataType::f32: return 0;
    case DataType::f16: return 1;
    case DataType::bf16: return 30;
    case DataType::q8_0: return 8;
    case DataType::q4_0: return 2;
    case DataType::q4_1: return 3;
    case DataType::q5_0: return 6;
    case DataType::q5_1: return 7;
    case DataType::q2_k: return 10;
    case DataType::q3_k: return 11;
    case DataType::q4_k: return 12;
    case DataType::q5_k: return 13;
    case DataType::q6_k: return 14;
    case DataType::iq4_nl: return 20;
    case DataType::iq4_xs: return 23;
    }
    return 0;
}

void GgufWriter::begin(std::string_view key, uint32_t type) {
    append_string(pairs_, key);
    append(pairs_, type);
    ++pair_count_;
}

void GgufWriter::add_u32(std::string_view key, uint32_t value) {
    begin(key, 4);
    append(pairs_, value);
}

void GgufWriter::add_i32(std::string_view key, int32_t value) {
    begin(key, 5);
    append(pairs_, value);
}

void GgufWriter::add_u64(std::string_view key, uint64_t value) {
    begin(key, 10);
    append(pairs_, value);
}

void GgufWriter::add_f32(std::string_view key, float value) {
    begin(key, 6);
    append(pairs_, value);
}

void GgufWriter::add_f64(std::string_view key, double value) {
    begin(key, 12);
    append(pairs_, value);
}

void GgufWriter::add_bool(std::string_view key, bool value) {
    begin(key, 7);
    append(pairs_, uint8_t{value});
}

void GgufWriter::add_string(std::string_view key, std::string_view value) {
    begin(key, 8);
    append_string(pairs_, value);
}

void GgufWriter::add_strings(std::string_view key, const std::vector<std::string>& values) {
    begin(key, 9);
    append(pairs_, uint32_t{8});
    append(pairs_, uint64_t{values.size()});
    for (const std::string& value : values)
        append_string(pairs_, value);
}

void GgufWriter::add_floats(std::string_view key, std::span<const float> values) {
    begin(key, 9);
    append(pairs_, uint32_t{6});
    append(pairs_, uint64_t{values.size()});
    for (const float value : values)
        append(pairs_, value);
}

void GgufWriter::add_doubles(std::string_view key, std::span<const double> values) {
    begin(key, 9);
    append(pairs_, uint32_t{12});
    append(pairs_, uint64_t{values.size()});
    for (const double value : values)
        append(pairs_, value);
}

void GgufWriter::add_ints(std::string_view key, std::span<const int32_t> values) {
    begin(key, 9);
    append(pairs_, uint32_t{5});
    append(pairs_, uint64_t{values.size()});
    for (const int32_t value : values)
        append(pairs_, value);
}

void GgufWriter::add_bools(std::string_view key, const std::vector<bool>& values) {
    begin(key, 9);
    append(pairs_, uint32_t{7});
    append(pairs_, uint64_t{values.size()});
    for (const bool value : values)
        append(pairs_, uint8_t{value});
}

void GgufWriter::add_raw(std::string_view key, std::span<const std::byte> type_and_value) {
    append_string(pairs_, key);
    pairs_.insert(pairs_.end(), type_and_value.begin(), type_and_value.end());
    ++pair_count_;
}

void GgufWriter::add_tensor(std::string name, std::vector<uint64_t> shape, DataType type,
                            std::span<const float> values) {
    add_tensor({.name = std::move(name), .shape = std::move(shape), .type_id = ggml_type_id(type),
                .data = encode(type, values), .offset = {}});
}

std::vector<std::byte> GgufWriter::bytes() const {
    std::vector<std::byte> out;
    for (const char c : magic)
        append(out, c);
    append(out, version);
    append(out, tensor_count.value_or(tensors.size()));
    append(out, key_count.value_or(pair_count_));
    out.insert(out.end(), pairs_.begin(), pairs_.end());
    uint64_t offset = 0;
    for (const Tensor& tensor : tensors) {
        append_string(out, tensor.name);
        append(out, static_cast<uint32_t>(tensor.shape.size()));
        for (size_t i = tensor.shape.size(); i-- > 0;)
            append(out, tensor.shape[i]);
        append(out, tensor.type_id);
        append(out, tensor.offset.value_or(offset));
        offset += (tensor.data.size() + alignment - 1) / alignment * alignment;
    }
    for (const Tensor& tensor : tensors) {
        out.resize((out.size() + alignment - 1) / alignment * alignment);
        out.insert(out.end(), tensor.data.begin(), tensor.data.end());
    }
    return out;
}

std::vector<std::byte> gguf_from_folder(const std::string& folder, DataType type,
                                        std::optional<DataType> embedding, bool dequantised) {
    const auto checkpoint = Checkpoint::open(folder);
    GgufWriter writer;
    add_metadata(writer, checkpoint->config());
    add_tokenizer(writer, checkpoint->config());
    for (const TensorSpec& spec : text_tensors(checkpoint->config())) {
        const TensorInfo& info = *checkpoint->find(spec.name);
        std::vector<float> values = values_of(*checkpoint, info);
        DataType stored = type;
        if (info.shape.size() == 1) {
            stored = DataType::f32;
            for (float& value : values)
                value += 1;
        } else {
            if (spec.name == "embed_tokens.weight")
                stored = embedding.value_or(type);
            if (info.shape[1] % block_elements(stored) != 0)
                stored = DataType::f16;
        }
        if (dequantised) {
            values = decode(stored, encode(stored, values));
            stored = DataType::f32;
        }
        writer.add_tensor(gguf_name(spec.name), spec.shape, stored, values);
    }
    return writer.bytes();
}

std::vector<std::byte> mmproj_from_folder(const std::string& folder, DataType type,
                                          const MmprojOptions& options,
                                          const std::function<void(GgufWriter&)>& change) {
    const auto checkpoint = Checkpoint::open(folder);
    if (!checkpoint->has_vision())
        throw std::invalid_argument("mmproj_from_folder: " + folder + " has no picture encoder");
    GgufWriter writer;
    add_mmproj_metadata(writer, checkpoint->config(), options);
    for (const TensorSpec& spec : vision_tensors(checkpoint->config())) {
        const TensorInfo& info = *checkpoint->find(spec.name);
        std::vector<float> values = values_of(*checkpoint, info);
        DataType stored = DataType::f32;
        if (spec.name.ends_with("mm_soft_emb_norm.weight")) {
            for (float& value : values)
                value += 1;
        } else if (spec.name.ends_with("mm_input_projection_weight")) {
            stored = type == DataType::f16 ? DataType::f16 : info.type;
        } else if (spec.shape.size() == 2 && !spec.name.ends_with("position_embedding.weight")) {
            stored = spec.shape[1] % block_elements(type) == 0 ? type : DataType::f16;
        }
        if (options.dequantised) {
            values = decode(stored, encode(stored, values));
            stored = DataType::f32;
        }
        writer.add_tensor(mmproj_name(spec.name, options.old_mlp_names), spec.shape, stored,
                          values);
    }
    if (change)
        change(writer);
    return writer.bytes();
}

void patch_value(std::vector<std::byte>& bytes, std::string_view key,
                 std::span<const std::byte> value) {
    // The value stands behind the key and the number of its type.
    const size_t at = place_of(bytes, key) + key.size() + 4;
    if (value.size() > bytes.size() - at)
        throw std::invalid_argument("patch_value: the file ends before");
    std::copy(value.begin(), value.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

void patch_text(std::vector<std::byte>& bytes, std::string_view from, std::string_view to) {
    if (from.size() != to.size())
        throw std::invalid_argument("patch_text: the texts differ in length");
    const auto text = std::as_bytes(std::span(to));
    std::copy(text.begin(), text.end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(place_of(bytes, from)));
}

void write_file(const std::string& path, std::span<const std::byte> bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    if (!file.flush())
        throw std::runtime_error("cannot write " + path);
}

void write_file(const std::string& path, std::string_view text) {
    write_file(path, std::as_bytes(std::span(text)));
}

std::vector<std::byte> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file)
        throw std::runtime_error("cannot read " + path);
    std::vector<std::byte> bytes(static_cast<size_t>(file.tellg()));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return bytes;
}

TemporaryFolder::TemporaryFolder() {
    path_ = (std::filesystem::temp_directory_path() / "olivine-XXXXXX").string();
    if (!mkdtemp(path_.data()))
        throw std::runtime_error("cannot make a folder like " + path_);
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::path(std::string_view name) const {
    return name.empty() ? path_ : path_ + "/" + std::string(name);
}

}  // namespace olivine::test
