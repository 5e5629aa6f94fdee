// A model's weights in its files, whatever the format: one set of names, one way to read them.
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
#include "model/file_source.h"
#include "model/gguf.h"

namespace olivine {

// By its name, in any case of letters: a GGUF file; one of a picture encoder.
bool named_gguf(std::string_view name);
bool named_mmproj(std::string_view name);

struct TensorInfo {
    std::string name;             // as in the file
    DataType type;
    std::vector<uint64_t> shape;  // outermost first; matrices are [out, in]
    uint64_t bytes;               // in the file
    uint32_t file;                // which of the checkpoint's files; a GGUF: 0, its mmproj: 1
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
// and for pictures, with E = vision hidden_size, p = patch_size,
//   "vision_tower.vision_model."
//       "embeddings.patch_embedding.{weight,bias}"      [E, 3, p, p], [E]
//       "embeddings.position_embedding.weight"          [patches, E]
//       "encoder.layers.3.layer_norm{1,2}.{weight,bias}"            [E], weights without a 1 added
//       "encoder.layers.3.self_attn.{q,k,v,out}_proj.{weight,bias}" [E, E], [E]
//       "encoder.layers.3.mlp.fc1.{weight,bias}"        [vision intermediate, E], [...]
//       "encoder.layers.3.mlp.fc2.{weight,bias}"        [E, vision intermediate], [E]
//       "post_layernorm.{weight,bias}"                  [E]
//   "multi_modal_projector.mm_soft_emb_norm.weight"     [E], an RMS norm
//   "multi_modal_projector.mm_input_projection_weight"  [E, hidden]: [in, out], unlike the others
// A GGUF's tensors, and those of its companion mmproj file, are found under the same names.
class Checkpoint {
public:
    // `path`: a folder (config.json and safetensors) or a .gguf file. Reads headers only.
    // `mmproj`, with a .gguf: the file of its picture encoder. Empty: the first file beside the model
    // whose name has "mmproj" in it and ends in ".gguf", in any case of letters, and whose header
    // fits the model, if there is one (Gemma 3 only). kNoMmproj: no file, no pictures.
    // Afterwards every tensor of text_tensors(config()) is there with its shape and a type that we
    // read: F32, F16, BF16, and matrices of a GGUF also Q8_0, Q4_0. So is every tensor of
    // vision_tensors(config()), quantised ones only among the matrices of the encoder's layers. A
    // folder without any picture tensor has no vision, whatever its config.json says.
    // `files`: where these paths are looked up; may go afterwards, what is open stays so.
    // Errors: bad_file (damaged or incomplete; an mmproj that is not there or belongs to another
    // model), unsupported (a type, an architecture, a projector); both name the tensor or key, what
    // is there and what was expected. bad_input: an mmproj for a folder.
    static std::unique_ptr<Checkpoint> open(const std::string& path,
                                            const std::string& mmproj = {},
                                            const FileSource& files = disk());
    static constexpr const char* kNoMmproj = "none";

    // vocab_size is the embedding's number of rows.
    const Config& config() const { return config_; }
    const std::string& path() const { return path_; }
    // The last part of the path.
    std::string name() const;
    // Tells models apart, and the same one with other weights: by the names, types and shapes of the text
    // tensors and the first bytes of each. Throws bad_file.
    std::string fingerprint() const;

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

    // True for GGUF: RMS norm weights in the file are 1 + w, the soft tokens' too. False for
    // Hugging Face: they are w. (The picture encoder's layer norms are plain in both.)
    bool norm_weights_include_one() const { return gguf_.has_value(); }

    // Bytes of all text tensors in the files.
    uint64_t weight_bytes() const;

    // Whether there is a picture encoder, and the bytes of all its tensors in the files (else 0).
    bool has_vision() const { return config_.vision.has_value(); }
    uint64_t vision_bytes() const;

    // The GGUF header (its tokenizer arrays, for one); null for a folder.
    const Gguf* gguf() const { return gguf_ ? &*gguf_ : nullptr; }
    // The header of the picture encoder's file; null without one.
    const Gguf* mmproj() const { return mmproj_ ? &*mmproj_ : nullptr; }

private:
    explicit Checkpoint(const std::string& path) : path_(path) {}
    void open_folder(const FileSource& files);
    void open_gguf(const std::string& mmproj, const FileSource& files);
    void open_mmproj(File file);
    void add(std::string canonical, TensorInfo info, std::string unsupported_type);
    void check_text_tensors();
    void check_vision_tensors();
    void check_tensor(const TensorSpec& spec, bool may_be_quantised) const;
    const TensorInfo& checked(std::string_view canonical, std::span<const uint64_t> shape) const;
    std::string shown_path(std::string_view canonical) const;

    std::string path_;
    Config config_;
    std::optional<Gguf> gguf_;    // owns the file of a GGUF checkpoint
    std::optional<Gguf> mmproj_;  // and that of its picture encoder
    std::vector<File> files_;   // safetensors files of a folder
    std::map<std::string, TensorInfo, std::less<>> tensors_;  // by canonical name
    // Tensors of a type that we do not read, for messages: canonical name -> (name, type's name).
    std::map<std::string, std::pair<std::string, std::string>, std::less<>> unsupported_;
};

}  // namespace olivine
