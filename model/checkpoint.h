// A model's weights on disk, whatever the format: one set of names, one way to read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/data_type.h"
#include "model/config.h"
#include "model/file.h"
#include "model/gguf.h"

namespace olivine {

struct TensorInfo {
    std::string name;             // as in the file
    DataType type;
    std::vector<uint64_t> shape;  // outermost first; matrices are [out, in]
    uint64_t bytes;               // in the file
    uint32_t file;                // which of the checkpoint's files
    uint64_t offset;              // from the start of that file
};

// Canonical names are Hugging Face's without the prefixes that differ between its three schemes:
//   "embed_tokens.weight"                               [vocab, hidden]
//   "layers.3.input_layernorm.weight"                   [hidden]
//   "layers.3.self_attn.{q,k,v}_proj.weight"            [heads * head_dim, hidden]
//   "layers.3.self_attn.o_proj.weight"                  [hidden, heads * head_dim]
//   "layers.3.self_attn.{q,k}_norm.weight"              [head_dim], Gemma 3
//   "layers.3.{post_attention,pre_feedforward,post_feedforward}_layernorm.weight"   [hidden]
//   "layers.3.mlp.{gate,up}_proj.weight"                [intermediate, hidden]
//   "layers.3.mlp.down_proj.weight"                     [hidden, intermediate]
//   "norm.weight"                                       [hidden]
//   "lm_head.weight"                                    only where the file has a head of its own
// and for pictures, as in the folder, "vision_tower.vision_model..." and
// "multi_modal_projector...". A GGUF's tensors are found under the same names.
class Checkpoint {
public:
    // `path`: a folder (config.json and safetensors) or a .gguf file. Reads headers only.
    // Afterwards every tensor of text_tensors(config()) is there with its shape and a type that we
    // read; pictures' tensors are not checked here (use tensor()).
    // Errors: bad_file (damaged or incomplete), unsupported (a type, an architecture); both name
    // the tensor or key, what is there and what was expected.
    static std::unique_ptr<Checkpoint> open(const std::string& path);

    // vocab_size is the embedding's number of rows.
    const Config& config() const { return config_; }
    const std::string& path() const { return path_; }

    // Null when the files have no such tensor (or hold it in a type that we do not read).
    const TensorInfo* find(std::string_view canonical) const;

    // The tensor, which must have this shape (outermost first); bad_file naming the tensor, its
    // shape and the expected one.
    const TensorInfo& tensor(std::string_view canonical,
                             std::initializer_list<uint64_t> shape) const;

    // Reads out.size() bytes of the tensor's data, from `offset` bytes into it, as stored in the
    // file. Thread safe. The range must lie inside the tensor (assert). Fails with bad_file when
    // the file has become shorter since it was opened.
    void read(const TensorInfo& tensor, uint64_t offset, std::span<std::byte> out) const;

    // True for GGUF: RMS norm weights in the file are 1 + w. False for Hugging Face: they are w.
    bool norm_weights_include_one() const { return gguf_.has_value(); }

    // Bytes of all text tensors in the files.
    uint64_t weight_bytes() const;

    // The GGUF header (its tokenizer arrays, for one); null for a folder.
    const Gguf* gguf() const { return gguf_ ? &*gguf_ : nullptr; }

private:
    explicit Checkpoint(const std::string& path) : path_(path) {}
    void open_folder();
    void open_gguf();
    void add(std::string canonical, TensorInfo info, std::string unsupported_type);
    void check_text_tensors();
    const TensorInfo& checked(std::string_view canonical, std::span<const uint64_t> shape) const;

    std::string path_;
    Config config_;
    std::optional<Gguf> gguf_;  // owns the file of a GGUF checkpoint
    std::vector<File> files_;   // safetensors files of a folder
    std::map<std::string, TensorInfo, std::less<>> tensors_;  // by canonical name
    // Tensors of a type that we do not read, for messages: canonical name -> (name, type's name).
    std::map<std::string, std::pair<std::string, std::string>, std::less<>> unsupported_;
};

}  // namespace olivine
