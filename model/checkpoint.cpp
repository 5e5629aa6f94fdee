#include "model/checkpoint.h"

#include <algorithm>
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

Json read_json(const std::string& path, uint64_t limit) {
    const std::string text = File::open(path).read_text(limit);
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

// The safetensors files that the folder's index names, sorted. Adds every (tensor, file) to
// `promised`.
std::vector<std::string> read_index(const std::string& path,
                                    std::vector<std::pair<std::string, std::string>>& promised) {
    const Json index = read_json(path, kMaxIndexBytes);
    const std::string shown = printable_path(path);
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
std::vector<std::string> list_safetensors(const std::string& folder) {
    std::vector<std::string> all;
    std::vector<std::string> named_model;
    std::error_code error;
    for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
         it.increment(error)) {
        const std::string name = it->path().filename().string();
        if (!name.ends_with(".safetensors") || name.front() == '.')
            continue;
        all.push_back(name);
        if (name.starts_with("model"))
            named_model.push_back(name);
    }
    std::vector<std::string> result = named_model.empty() ? std::move(all) : std::move(named_model);
    std::sort(result.begin(), result.end());
    return result;
}

bool is_norm(const TensorSpec& spec) {
    return spec.shape.size() == 1;
}

}  // namespace

std::unique_ptr<Checkpoint> Checkpoint::open(const std::string& path) {
    std::unique_ptr<Checkpoint> checkpoint(new Checkpoint(path));
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (status.type() == fs::file_type::not_found)
        fail(Fault::bad_file, "%s: there is no such file or folder.", printable_path(path).c_str());
    if (fs::is_directory(status))
        checkpoint->open_folder();
    else
        checkpoint->open_gguf();
    checkpoint->check_text_tensors();
    return checkpoint;
}

void Checkpoint::open_folder() {
    const fs::path folder(path_);
    const std::string config_path = (folder / "config.json").string();
    config_ = config_from_hf(read_json(config_path, kMaxConfigBytes), config_path);
    const std::string generation_path = (folder / "generation_config.json").string();
    if (std::error_code error; fs::exists(generation_path, error))
        add_generation_config(config_, read_json(generation_path, kMaxConfigBytes),
                              generation_path);

    std::vector<std::pair<std::string, std::string>> promised;
    std::vector<std::string> names;
    const std::string index_path = (folder / "model.safetensors.index.json").string();
    std::error_code error;
    if (fs::exists(folder / "model.safetensors", error))
        names = {"model.safetensors"};
    else if (fs::exists(index_path, error))
        names = read_index(index_path, promised);
    else
        names = list_safetensors(path_);
    if (names.empty() || names.size() > kMaxFiles)
        fail(Fault::bad_file, "%s: the folder has %zu safetensors files (1 to %zu).",
             printable_path(path_).c_str(), names.size(), kMaxFiles);

    std::map<std::string, std::string, std::less<>> file_of_name;
    for (uint32_t i = 0; i < names.size(); ++i) {
        Safetensors header = Safetensors::open((folder / names[i]).string());
        for (const Safetensors::Tensor& tensor : header.tensors()) {
            file_of_name[tensor.name] = names[i];
            add(canonical_hf(tensor.name),
                {.name = tensor.name, .type = tensor.type.value_or(DataType::f32),
                 .shape = tensor.shape, .bytes = tensor.bytes, .file = i, .offset = tensor.offset},
                tensor.type ? std::string() : tensor.type_name);
        }
        files_.push_back(std::move(header).take_file());
    }
    for (const auto& [tensor, file] : promised) {
        const auto it = file_of_name.find(tensor);
        if (it == file_of_name.end() || it->second != file)
            fail(Fault::bad_file, "%s: tensor '%s' is not in '%s', where the index has it.",
                 printable_path(path_).c_str(), printable(tensor).c_str(),
                 printable(file).c_str());
    }
}

void Checkpoint::open_gguf() {
    gguf_ = Gguf::open(path_);
    config_ = config_from_gguf(*gguf_);
    for (const Gguf::Tensor& tensor : gguf_->tensors())
        add(canonical_gguf(tensor.name),
            {.name = tensor.name, .type = tensor.type.value_or(DataType::f32),
             .shape = tensor.shape, .bytes = tensor.bytes, .file = 0, .offset = tensor.offset},
            tensor.type ? std::string() : ggml_type_name(tensor.type_id));
}

// `unsupported_type`: the type's name if we do not read it, else empty.
void Checkpoint::add(std::string canonical, TensorInfo info, std::string unsupported_type) {
    if (tensors_.contains(canonical) || unsupported_.contains(canonical))
        fail(Fault::bad_file, "%s: tensor '%s' stands there twice, once under another prefix or in "
             "another file.", printable_path(path_).c_str(), printable(info.name).c_str());
    if (unsupported_type.empty())
        tensors_.emplace(std::move(canonical), std::move(info));
    else
        unsupported_.emplace(std::move(canonical), std::pair(info.name, unsupported_type));
}

void Checkpoint::check_text_tensors() {
    const std::string path = printable_path(path_);
    const char* matrix_types = gguf_ ? "F32, F16, BF16, Q8_0, Q4_0" : "F32, F16, BF16";
    // The table's rows are the vocabulary: published folders disagree about padding rows.
    if (const TensorInfo* embedding = find("embed_tokens.weight");
        embedding && embedding->shape.size() == 2) {
        config_.vocab_size = static_cast<uint32_t>(
            std::min<uint64_t>(embedding->shape[0], std::numeric_limits<uint32_t>::max()));
        validate(config_, path_);
    }
    for (const TensorSpec& spec : text_tensors(config_)) {
        if (const auto it = unsupported_.find(spec.name); it != unsupported_.end())
            fail(Fault::unsupported, "%s: tensor '%s' has type %s (supported: %s).", path.c_str(),
                 printable(it->second.first).c_str(), printable(it->second.second).c_str(),
                 is_norm(spec) ? "F32, F16, BF16" : matrix_types);
        const TensorInfo& info = checked(spec.name, spec.shape);
        if (is_norm(spec) && block_elements(info.type) != 1)
            fail(Fault::unsupported, "%s: tensor '%s' has type %s (supported: F32, F16, BF16).",
                 path.c_str(), printable(info.name).c_str(), olivine::name(info.type));
    }
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
             printable_path(path_).c_str(), printable(canonical).c_str(),
             shape_text(shape).c_str());
    if (!std::equal(shape.begin(), shape.end(), info->shape.begin(), info->shape.end()))
        fail(Fault::bad_file, "%s: tensor '%s' has shape %s (expected: %s).",
             printable_path(path_).c_str(), printable(info->name).c_str(),
             shape_text(info->shape).c_str(), shape_text(shape).c_str());
    return *info;
}

const TensorInfo& Checkpoint::tensor(std::string_view canonical,
                                     std::initializer_list<uint64_t> shape) const {
    return checked(canonical, {shape.begin(), shape.size()});
}

void Checkpoint::read(const TensorInfo& tensor, uint64_t offset, std::span<std::byte> out) const {
    assert(offset <= tensor.bytes && out.size() <= tensor.bytes - offset);
    const File& file = gguf_ ? gguf_->file() : files_[tensor.file];
    file.read(tensor.offset + offset, out);
}

uint64_t Checkpoint::weight_bytes() const {
    uint64_t sum = 0;  // of parts of real files: no overflow
    for (const TensorSpec& spec : text_tensors(config_))
        sum += find(spec.name)->bytes;
    return sum;
}

}  // namespace olivine
