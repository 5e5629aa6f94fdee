// Makes GGUF files for tests: from Hugging Face folders, or by hand, also damaged ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data_type.h"

namespace olivine::test {

// Values in a file's storage type, by the plain formula. Quantised types take whole blocks of 32
// and scale as llama.cpp does: Q8_0 by max / 127, Q4_0 by the value of largest magnitude / -8.
std::vector<std::byte> encode(DataType type, std::span<const float> values);
std::vector<float> decode(DataType type, std::span<const std::byte> bytes);

// ggml's number of a storage type.
uint32_t ggml_type_id(DataType type);

// A file under construction. Writes what it is told, sane or not.
class GgufWriter {
public:
    void add_u32(std::string_view key, uint32_t value);
    void add_i32(std::string_view key, int32_t value);
    void add_u64(std::string_view key, uint64_t value);
    void add_f32(std::string_view key, float value);
    void add_f64(std::string_view key, double value);
    void add_bool(std::string_view key, bool value);
    void add_string(std::string_view key, std::string_view value);
    void add_strings(std::string_view key, const std::vector<std::string>& values);
    void add_floats(std::string_view key, std::span<const float> values);
    void add_doubles(std::string_view key, std::span<const double> values);
    void add_ints(std::string_view key, std::span<const int32_t> values);
    void add_bools(std::string_view key, const std::vector<bool>& values);
    // A pair whose bytes after the key (type number and value) are given.
    void add_raw(std::string_view key, std::span<const std::byte> type_and_value);

    struct Tensor {
        std::string name;
        std::vector<uint64_t> shape;  // outermost first; written fastest first
        uint32_t type_id = 0;
        std::vector<std::byte> data;
        std::optional<uint64_t> offset;  // in the data section; empty: the right one
    };
    void add_tensor(Tensor tensor) { tensors.push_back(std::move(tensor)); }
    void add_tensor(std::string name, std::vector<uint64_t> shape, DataType type,
                    std::span<const float> values);

    std::vector<std::byte> bytes() const;

    // Header fields, to be damaged at will.
    std::string magic = "GGUF";
    uint32_t version = 3;
    uint64_t alignment = 32;  // what the layout uses; the key general.alignment is not written
    std::optional<uint64_t> key_count;
    std::optional<uint64_t> tensor_count;
    std::vector<Tensor> tensors;

private:
    void begin(std::string_view key, uint32_t type);

    std::vector<std::byte> pairs_;
    uint64_t pair_count_ = 0;
};

// The text side of a Hugging Face folder as GGUF: matrices in `type` (the embedding in `embedding`
// if given), norms in F32 with the 1 added. Rows that do not fill blocks of 32 become F16, as
// llama.cpp does. `dequantised` stores the same values in F32. The tokenizer arrays are made up,
// with the picture pieces at the config's ids where these are inside the vocabulary.
// "<arch>.attention.scale" and "<arch>.embedding_scale" are written, since the goldens' values
// follow from nothing else in the file.
std::vector<std::byte> gguf_from_folder(const std::string& folder, DataType type,
                                        std::optional<DataType> embedding = std::nullopt,
                                        bool dequantised = false);

// Changes of a GGUF file's bytes, for header fields that must be wrong. Both throw when the text is
// not in the file: the value behind a key (as long as what was there), other letters over a text.
void patch_value(std::vector<std::byte>& bytes, std::string_view key,
                 std::span<const std::byte> value);
template <typename T>
void patch_value(std::vector<std::byte>& bytes, std::string_view key, const T& value) {
    patch_value(bytes, key, std::as_bytes(std::span(&value, 1)));
}
void patch_text(std::vector<std::byte>& bytes, std::string_view from, std::string_view to);

struct MmprojOptions {
    bool old_mlp_names = false;  // ffn_up and ffn_down exchanged, as older files have them
    bool dequantised = false;    // the same values, all in F32
    std::optional<uint32_t> scale_factor;  // other than what the folder's mm_tokens_per_image gives
};

// The picture side of a Hugging Face folder as llama.cpp writes an mmproj file: matrices of the
// layers in `type` (F16 where rows do not fill blocks), the projection in F16 if that is `type` and
// else as the folder has it, everything else in F32, the soft tokens' norm with the 1 added.
// `change` may alter the file before it is laid out.
std::vector<std::byte> mmproj_from_folder(const std::string& folder, DataType type,
                                          const MmprojOptions& options = {},
                                          const std::function<void(GgufWriter&)>& change = {});

void write_file(const std::string& path, std::span<const std::byte> bytes);
void write_file(const std::string& path, std::string_view text);
std::vector<std::byte> read_file(const std::string& path);

// A folder that goes away with its contents.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::string path(std::string_view name = {}) const;

private:
    std::string path_;
};

}  // namespace olivine::test
