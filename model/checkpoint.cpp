#include "model/checkpoint.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cinttypes>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "engine/error.h"
#include "model/safetensors.h"

namespace olivine {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 20;
constexpr uint64_t kMaxIndexBytes = uint64_t{8} << 20;  // 27B's index has 0.1 MiB
constexpr int kMaxJsonDepth = 32;
constexpr size_t kMaxFiles = 1024;
constexpr std::string_view kMmprojLayer = "v.blk.";

Json read_json(const File& file, uint64_t limit) {
    const std::string& path = file.path();
    const std::string text = file.read_text(limit);
    const auto shallow = [&](int depth, Json::parse_event_t, Json&) {
        if (depth > kMaxJsonDepth)
            fail(Fault::bad_file, "%s: values are nested more than %d deep.",
                 printable_path(path).c_str(), kMaxJsonDepth);
        return true;
    };
    if (const size_t zero = text.find('\0'); zero != std::string::npos)  // ends the parser's input
        fail(Fault::bad_file, "%s: the file is not valid JSON at byte %zu.",
             printable_path(path).c_str(), zero);
    try {
        return Json::parse(text, shallow);
    } catch (const Json::parse_error& error) {  // the library's way to say it; ours is Error
        fail(Fault::bad_file, "%s: the file is not valid JSON at byte %zu.",
             printable_path(path).c_str(), error.byte);
    } catch (const Json::exception&) {  // a number that no double holds
        fail(Fault::bad_file, "%s: the file has a number out of range.",
             printable_path(path).c_str());
    }
}

// Removes what differs between Hugging Face's naming schemes.
std::string canonical_hf(std::string_view name) {
    constexpr std::string_view kTextPrefixes[] = {
        "language_model.model.",   // published picture models
        "model.language_model.",   // transformers from 4.52
        "language_model.",         // in front of lm_head
    };
    for (const std::string_view prefix : kTextPrefixes)
        if (name.starts_with(prefix))
            return std::string(name.substr(prefix.size()));
    // Text models; and the newer scheme's vision_tower and multi_modal_projector.
    if (name.starts_with("model."))
        name.remove_prefix(6);
    return std::string(name);
}

// A GGUF name as Hugging Face has it; names that do not stand in the table stay.
std::string canonical_gguf(std::string_view name) {
    constexpr std::pair<std::string_view, std::string_view> kOutside[] = {
        {"token_embd.weight", "embed_tokens.weight"},
        {"output_norm.weight", "norm.weight"},
        {"output.weight", "lm_head.weight"},
    };
    constexpr std::pair<std::string_view, std::string_view> kInLayer[] = {
        {"attn_norm.weight", "input_layernorm.weight"},
        {"attn_q.weight", "self_attn.q_proj.weight"},
        {"attn_k.weight", "self_attn.k_proj.weight"},
        {"attn_v.weight", "self_attn.v_proj.weight"},
        {"attn_output.weight", "self_attn.o_proj.weight"},
        {"attn_q_norm.weight", "self_attn.q_norm.weight"},
        {"attn_k_norm.weight", "self_attn.k_norm.weight"},
        {"post_attention_norm.weight", "post_attention_layernorm.weight"},
        {"ffn_norm.weight", "pre_feedforward_layernorm.weight"},
        {"ffn_gate.weight", "mlp.gate_proj.weight"},
        {"ffn_up.weight", "mlp.up_proj.weight"},
        {"ffn_down.weight", "mlp.down_proj.weight"},
        {"post_ffw_norm.weight", "post_feedforward_layernorm.weight"},
    };
    for (const auto& [gguf, hf] : kOutside)
        if (name == gguf)
            return std::string(hf);
    if (name.starts_with("blk.")) {
        const size_t dot = name.find('.', 4);
        if (dot != std::string_view::npos)
            for (const auto& [gguf, hf] : kInLayer)
                if (name.substr(dot + 1) == gguf)
                    return "layers." + std::string(name.substr(4, dot - 3)) + std::string(hf);
    }
    return std::string(name);
}

// A tensor of an mmproj file as Hugging Face has it; empty for names that Gemma 3 does not have.
// `mlp_swapped`: files made before llama.cpp renamed them call fc1 ffn_down and fc2 ffn_up.
std::string canonical_mmproj(std::string_view name, bool mlp_swapped) {
    constexpr std::pair<std::string_view, std::string_view> kOutside[] = {
        {"v.patch_embd.", "vision_tower.vision_model.embeddings.patch_embedding."},
        {"v.position_embd.", "vision_tower.vision_model.embeddings.position_embedding."},
        {"v.post_ln.", "vision_tower.vision_model.post_layernorm."},
        {"mm.soft_emb_norm.", "multi_modal_projector.mm_soft_emb_norm."},
    };
    constexpr std::pair<std::string_view, std::string_view> kInLayer[] = {
        {"ln1.", "layer_norm1."},
        {"ln2.", "layer_norm2."},
        {"attn_q.", "self_attn.q_proj."},
        {"attn_k.", "self_attn.k_proj."},
        {"attn_v.", "self_attn.v_proj."},
        {"attn_out.", "self_attn.out_proj."},
        {"ffn_up.", "mlp.fc1."},
        {"ffn_down.", "mlp.fc2."},
    };
    if (name == "mm.input_projection.weight")
        return "multi_modal_projector.mm_input_projection_weight";
    for (const auto& [gguf, hf] : kOutside)
        if (name.starts_with(gguf))
            return std::string(hf) + std::string(name.substr(gguf.size()));
    const size_t dot = name.find('.', kMmprojLayer.size());
    if (!name.starts_with(kMmprojLayer) || dot == std::string_view::npos)
        return {};
    const std::string_view number =
        name.substr(kMmprojLayer.size(), dot - kMmprojLayer.size());
    const std::string_view inner = name.substr(dot + 1);
    for (const auto& [gguf, hf] : kInLayer)
        if (inner.starts_with(gguf)) {
            const std::string_view to = !mlp_swapped       ? hf
                                        : hf == "mlp.fc1." ? "mlp.fc2."
                                        : hf == "mlp.fc2." ? "mlp.fc1."
                                                           : hf;
            return "vision_tower.vision_model.encoder.layers." + std::string(number) + "." +
                   std::string(to) + std::string(inner.substr(gguf.size()));
        }
    return {};
}

// The layers whose ffn_up maps the MLP's width back, so that it is fc2. Where both widths are the
// same the shapes do not tell, and the newer order counts.
std::set<std::string, std::less<>> swapped_layers(const Gguf& mmproj, const VisionConfig& vision) {
    const std::array<uint64_t, 2> fc2{vision.hidden_size, vision.intermediate_size};
    std::set<std::string, std::less<>> layers;
    if (vision.hidden_size == vision.intermediate_size)
        return layers;
    for (const Gguf::Tensor& tensor : mmproj.tensors())
        if (tensor.name.starts_with(kMmprojLayer) && tensor.name.ends_with(".ffn_up.weight") &&
            std::equal(tensor.shape.begin(), tensor.shape.end(), fc2.begin(), fc2.end()))
            layers.insert(tensor.name.substr(0, tensor.name.find('.', kMmprojLayer.size())));
    return layers;
}

bool is_picture_tensor(std::string_view canonical) {
    return canonical.starts_with("vision_tower.") ||
           canonical.starts_with("multi_modal_projector.");
}

std::string lower(std::string_view name) {
    std::string text(name);
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return text;
}

// The files beside the model that are called mmproj, sorted.
std::vector<std::string> list_mmproj(const std::string& model, const FileSource& files) {
    const fs::path file(model);
    const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    std::vector<std::string> found;
    for (const std::string& name : files.list(folder.string())) {
        const std::string path = (folder / name).string();
        if (named_mmproj(name) && name.front() != '.' && name != file.filename() &&
            files.kind(path) == FileSource::Kind::file)
            found.push_back(path);
    }
    return found;
}

// The first of them that was made for this text model; empty without one. People keep the encoders of
// several models, and of one model in several types, in one folder.
std::string find_mmproj(const std::string& model, const Config& config, const Gguf& text,
                        const FileSource& files) {
    for (const std::string& file : list_mmproj(model, files)) {
        File opened = files.open(file);
        std::array<std::byte, 4> magic{};  // a file that cannot be read is none to pass over
        opened.read(0, std::span(magic).first(std::min<size_t>(magic.size(), opened.size())));
        try {
            Config trial = config;
            add_mmproj(trial, Gguf::parse(std::move(opened)), text);
            return file;
        } catch (const Error&) {
            // Another model's, or damaged: the text does not need it, and --mmproj says what is wrong.
        }
    }
    return {};
}

// The safetensors files that the folder's index names, sorted. Adds every (tensor, file) to
// `promised`.
std::vector<std::string> read_index(const File& index_file,
                                    std::vector<std::pair<std::string, std::string>>& promised) {
    const Json index = read_json(index_file, kMaxIndexBytes);
    const std::string shown = printable_path(index_file.path());
    const auto map = index.is_object() ? index.find("weight_map") : index.end();
    if (!index.is_object() || map == index.end() || !map->is_object())
        fail(Fault::bad_file, "%s: key 'weight_map' is missing or no object.", shown.c_str());
    std::set<std::string> files;
    for (const auto& [tensor, file] : map->items()) {
        if (!file.is_string())
            fail(Fault::bad_file, "%s: the file of tensor '%s' is not a string.", shown.c_str(),
                 printable(tensor).c_str());
        const auto& name = file.get_ref<const std::string&>();
        // Only files beside the index: nobody else's index may name files elsewhere.
        if (name.empty() || name.front() == '.' ||
            name.find_first_of(std::string_view("/\\:\0", 4)) != std::string::npos)
            fail(Fault::bad_file, "%s: the file of tensor '%s' is '%s' (expected: a name without a "
                 "folder).", shown.c_str(), printable(tensor).c_str(), printable(name).c_str());
        promised.emplace_back(tensor, name);
        files.insert(name);
    }
    return {files.begin(), files.end()};
}

// Without an index: model*.safetensors, or else every *.safetensors, sorted.
std::vector<std::string> list_safetensors(const std::string& folder, const FileSource& files) {
    std::vector<std::string> all;
    std::vector<std::string> named_model;
    for (const std::string& name : files.list(folder)) {
        if (!name.ends_with(".safetensors") || name.front() == '.')
            continue;
        all.push_back(name);
        if (name.starts_with("model"))
            named_model.push_back(name);
    }
    return named_model.empty() ? all : named_model;
}

}  // namespace

bool named_gguf(std::string_view name) { return lower(name).ends_with(".gguf"); }

bool named_mmproj(std::string_view name) {
    return named_gguf(name) && lower(name).find("mmproj") != std::string::npos;
}

std::unique_ptr<Checkpoint> Checkpoint::open(const std::string& path, const std::string& mmproj,
                                             const FileSource& files) {
    std::unique_ptr<Checkpoint> checkpoint(new Checkpoint(path));
    const FileSource::Kind kind = files.kind(path);
    if (kind == FileSource::Kind::nothing)
        fail(Fault::bad_file, "%s: there is no such file or folder.", printable_path(path).c_str());
    if (kind == FileSource::Kind::folder) {
        if (!mmproj.empty())
            fail(Fault::bad_input, "--mmproj is '%s', but the model '%s' is a folder, which holds "
                 "its picture encoder itself (--mmproj is for GGUF files).",
                 printable_path(mmproj).c_str(), printable_path(path).c_str());
        checkpoint->open_folder(files);
    } else {
        checkpoint->open_gguf(mmproj, files);
    }
    checkpoint->check_text_tensors();
    checkpoint->check_vision_tensors();
    return checkpoint;
}

void Checkpoint::open_folder(const FileSource& files) {
    const auto inside = [&](const std::string& name) { return (fs::path(path_) / name).string(); };
    const auto json = [&](const std::string& path) {
        return read_json(files.open(path), kMaxConfigBytes);
    };
    const std::string config_path = inside("config.json");
    config_ = config_from_hf(json(config_path), config_path);
    const std::string generation_path = inside("generation_config.json");
    if (files.has(generation_path))
        add_generation_config(config_, json(generation_path), generation_path);
    const std::string preprocessor_path = inside("preprocessor_config.json");
    if (config_.vision && files.has(preprocessor_path))
        add_preprocessor_config(config_, json(preprocessor_path), preprocessor_path);

    std::vector<std::pair<std::string, std::string>> promised;
    std::vector<std::string> names;
    const std::string index_path = inside("model.safetensors.index.json");
    if (files.has(inside("model.safetensors")))
        names = {"model.safetensors"};
    else if (files.has(index_path))
        names = read_index(files.open(index_path), promised);
    else
        names = list_safetensors(path_, files);
    if (names.empty() || names.size() > kMaxFiles)
        fail(Fault::bad_file, "%s: the folder has %zu safetensors files (1 to %zu).",
             printable_path(path_).c_str(), names.size(), kMaxFiles);

    std::map<std::string, std::string, std::less<>> file_of_name;
    for (uint32_t i = 0; i < names.size(); ++i) {
        const Safetensors header = Safetensors::parse(files.open(inside(names[i])));
        for (const Safetensors::Tensor& tensor : header.tensors()) {
            file_of_name[tensor.name] = names[i];
            add(canonical_hf(tensor.name),
                {.name = tensor.name, .type = tensor.type.value_or(DataType::f32),
                 .shape = tensor.shape, .bytes = tensor.bytes, .file = i, .offset = tensor.offset},
                tensor.type ? std::string() : tensor.type_name);
        }
        files_.push_back(header.file());
    }
    for (const auto& [tensor, file] : promised) {
        const auto it = file_of_name.find(tensor);
        if (it == file_of_name.end() || it->second != file)
            fail(Fault::bad_file, "%s: tensor '%s' is not in '%s', where the index has it.",
                 printable_path(path_).c_str(), printable(tensor).c_str(),
                 printable(file).c_str());
    }
}

void Checkpoint::open_gguf(const std::string& mmproj, const FileSource& files) {
    gguf_ = Gguf::parse(files.open(path_));
    config_ = config_from_gguf(*gguf_);
    for (const Gguf::Tensor& tensor : gguf_->tensors())
        add(canonical_gguf(tensor.name),
            {.name = tensor.name, .type = tensor.type.value_or(DataType::f32),
             .shape = tensor.shape, .bytes = tensor.bytes, .file = 0, .offset = tensor.offset},
            tensor.type ? std::string() : ggml_type_name(tensor.type_id));
    std::string found = mmproj;
    if (mmproj.empty() && config_.family == Config::Family::gemma3)
        found = find_mmproj(path_, config_, *gguf_, files);
    if (!found.empty() && found != kNoMmproj)
        open_mmproj(files.open(found));
}

void Checkpoint::open_mmproj(File file) {
    mmproj_ = Gguf::parse(std::move(file));
    add_mmproj(config_, *mmproj_, *gguf_);
    const auto swapped = swapped_layers(*mmproj_, *config_.vision);
    for (const Gguf::Tensor& tensor : mmproj_->tensors()) {
        const size_t dot = tensor.name.find('.', kMmprojLayer.size());
        std::string canonical =
            canonical_mmproj(tensor.name, swapped.contains(tensor.name.substr(0, dot)));
        if (!canonical.empty())  // else of a kind that Gemma 3 does not have
            add(std::move(canonical),
                {.name = tensor.name, .type = tensor.type.value_or(DataType::f32),
                 .shape = tensor.shape, .bytes = tensor.bytes, .file = 1, .offset = tensor.offset},
                tensor.type ? std::string() : ggml_type_name(tensor.type_id));
    }
}

// `unsupported_type`: the type's name if we do not read it, else empty.
void Checkpoint::add(std::string canonical, TensorInfo info, std::string unsupported_type) {
    if (tensors_.contains(canonical) || unsupported_.contains(canonical))
        fail(Fault::bad_file, "%s: tensor '%s' stands there twice, once under another prefix or in "
             "another file.", shown_path(canonical).c_str(), printable(info.name).c_str());
    if (unsupported_type.empty())
        tensors_.emplace(std::move(canonical), std::move(info));
    else
        unsupported_.emplace(std::move(canonical), std::pair(info.name, unsupported_type));
}

void Checkpoint::check_text_tensors() {
    // The table's rows are the vocabulary: published folders disagree about padding rows.
    if (const TensorInfo* embedding = find("embed_tokens.weight");
        embedding && embedding->shape.size() == 2) {
        config_.vocab_size = static_cast<uint32_t>(
            std::min<uint64_t>(embedding->shape[0], std::numeric_limits<uint32_t>::max()));
        validate(config_, path_);
    }
    for (const TensorSpec& spec : text_tensors(config_))
        check_tensor(spec, spec.shape.size() == 2);
}

void Checkpoint::check_vision_tensors() {
    if (!config_.vision)
        return;
    // Some exports keep a picture model's config.json but its text tensors only.
    const auto is_picture = [](const auto& entry) { return is_picture_tensor(entry.first); };
    if (!gguf_ && std::none_of(tensors_.begin(), tensors_.end(), is_picture) &&
        std::none_of(unsupported_.begin(), unsupported_.end(), is_picture)) {
        config_.vision.reset();
        config_.mm_tokens_per_image = 0;
        return;
    }
    // Patches, positions and the projection stay unquantised in all files: a patch's rows are not
    // whole blocks, and the projection's blocks would run along its outputs.
    for (const TensorSpec& spec : vision_tensors(config_))
        check_tensor(spec, spec.shape.size() == 2 &&
                               spec.name.find(".encoder.layers.") != std::string::npos);
}

void Checkpoint::check_tensor(const TensorSpec& spec, bool may_be_quantised) const {
    const char* types =
        gguf_ && may_be_quantised
            ? "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K, IQ4_NL, IQ4_XS"
            : "F32, F16, BF16";
    const auto wrong_type = [&](std::string_view name, std::string_view type) {
        fail(Fault::unsupported, "%s: tensor '%s' has type %s (supported: %s).",
             shown_path(spec.name).c_str(), printable(name).c_str(), printable(type).c_str(),
             types);
    };
    if (const auto it = unsupported_.find(spec.name); it != unsupported_.end())
        wrong_type(it->second.first, it->second.second);
    const TensorInfo& info = checked(spec.name, spec.shape);
    if (!may_be_quantised && block_elements(info.type) != 1)
        wrong_type(info.name, olivine::name(info.type));
}

// Where the tensor is, or would be, for messages.
std::string Checkpoint::shown_path(std::string_view canonical) const {
    return printable_path(mmproj_ && is_picture_tensor(canonical) ? mmproj_->path() : path_);
}

const TensorInfo* Checkpoint::find(std::string_view canonical) const {
    // A folder may hold a copy of the embedding as its head, which a tied model does not use.
    if (canonical == "lm_head.weight" && config_.tied_head)
        return nullptr;
    const auto it = tensors_.find(canonical);
    return it == tensors_.end() ? nullptr : &it->second;
}

const TensorInfo& Checkpoint::checked(std::string_view canonical,
                                      std::span<const uint64_t> shape) const {
    const TensorInfo* info = find(canonical);
    if (!info)
        fail(Fault::bad_file, "%s: tensor '%s' of shape %s is missing.",
             shown_path(canonical).c_str(), printable(canonical).c_str(),
             shape_text(shape).c_str());
    if (!std::equal(shape.begin(), shape.end(), info->shape.begin(), info->shape.end()))
        fail(Fault::bad_file, "%s: tensor '%s' has shape %s (expected: %s).",
             shown_path(canonical).c_str(), printable(info->name).c_str(),
             shape_text(info->shape).c_str(), shape_text(shape).c_str());
    return *info;
}

const TensorInfo& Checkpoint::tensor(std::string_view canonical,
                                     std::initializer_list<uint64_t> shape) const {
    return checked(canonical, {shape.begin(), shape.size()});
}

void Checkpoint::read(const TensorInfo& tensor, uint64_t offset, std::span<std::byte> out) const {
    assert(offset <= tensor.bytes && out.size() <= tensor.bytes - offset);
    const File& file = !gguf_            ? files_[tensor.file]
                       : tensor.file == 0 ? gguf_->file()
                                          : mmproj_->file();
    file.read(tensor.offset + offset, out);
}

std::string Checkpoint::name() const { return last_part(path_); }

std::string Checkpoint::fingerprint() const {
    constexpr size_t kLook = 256;  // bytes of each tensor
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    const auto add = [&](std::span<const std::byte> bytes) {
        for (const std::byte byte : bytes)
            hash = (hash ^ static_cast<uint64_t>(byte)) * 0x100000001b3;
    };
    for (const TensorSpec& spec : text_tensors(config_)) {
        const TensorInfo& info = *find(spec.name);
        add(std::as_bytes(std::span(spec.name)));
        add(std::as_bytes(std::span(&info.type, 1)));
        add(std::as_bytes(std::span(info.shape)));
        std::array<std::byte, kLook> look{};
        const std::span<std::byte> first = std::span(look).first(std::min<uint64_t>(kLook, info.bytes));
        read(info, 0, first);
        add(first);
    }
    return format_text("%016" PRIx64, hash);
}

uint64_t Checkpoint::weight_bytes() const {
    uint64_t sum = 0;  // of parts of real files: no overflow
    for (const TensorSpec& spec : text_tensors(config_))
        sum += find(spec.name)->bytes;
    return sum;
}

uint64_t Checkpoint::vision_bytes() const {
    uint64_t sum = 0;
    for (const TensorSpec& spec : vision_tensors(config_))
        sum += find(spec.name)->bytes;
    return sum;
}

}  // namespace olivine
