// The header of a GGUF file: typed metadata and the table of tensors.
//
// Format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): "GGUF", version, counts,
// key/value pairs, tensor infos, padding, tensor data. We read versions 2 and 3, little endian.
//
// Everything here comes from a file that may be hostile. Limits: 64 MiB of header, 4096 keys, 8192
// tensors, 1 MiB a string, 2^20 elements an array and 2^21 in all arrays together, no arrays of
// arrays. Parsing takes time linear in the header and never reserves more than the file's own bytes
// justify.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/data_type.h"
#include "model/file.h"

namespace olivine {

class Gguf {
public:
    struct Tensor {
        std::string name;            // "blk.0.attn_q.weight"
        uint32_t type_id;            // ggml's number of the type; ggml_type_name() names it
        std::optional<DataType> type;  // empty: a type that we do not read
        std::vector<uint64_t> shape;   // outermost first (the file lists the fastest first)
        uint64_t bytes;
        uint64_t offset;             // from the start of the file
    };

    // Reads and checks the header. Errors: bad_file (damaged; names the key or tensor, the offset
    // and the limit), unsupported (another version, big endian, nested arrays, a tensor of a type
    // whose size is not known; types with known sizes pass with an empty Tensor::type).
    static Gguf open(const std::string& path);
    static Gguf parse(File file);

    const File& file() const { return file_; }
    const std::string& path() const { return file_.path(); }
    uint32_t version() const { return version_; }

    // --- Metadata. `find_*` is empty when the key is absent; `get_*` fails with bad_file then.
    // Both fail with bad_file, naming the key and both types, when the key holds another type.
    bool has(std::string_view key) const;
    // Any integer type whose value is not negative.
    std::optional<uint64_t> find_uint(std::string_view key) const;
    // f32 or f64.
    std::optional<double> find_float(std::string_view key) const;
    std::optional<bool> find_bool(std::string_view key) const;
    const std::string* find_string(std::string_view key) const;
    uint64_t get_uint(std::string_view key) const;
    double get_float(std::string_view key) const;
    const std::string& get_string(std::string_view key) const;

    // --- Arrays, parsed once; the tokenizer's are "tokenizer.ggml.tokens" (strings), ".scores"
    // (floats) and ".token_type" (ints). Null when the key is absent; bad_file when the key holds
    // anything but such an array. The vectors live as long as this object.
    const std::vector<std::string>* strings(std::string_view key) const;  // raw bytes, any length
    const std::vector<float>* floats(std::string_view key) const;         // f32 elements
    const std::vector<int64_t>* ints(std::string_view key) const;  // of any integer type
    const std::vector<bool>* bools(std::string_view key) const;

    // True when the key holds an array of booleans (some keys may be a number or such an array).
    bool holds_bools(std::string_view key) const;

    // --- Tensors, in file order; names are unique, ranges are inside the file, in order and
    // without holes or overlaps beyond the alignment padding.
    const std::vector<Tensor>& tensors() const { return tensors_; }
    const Tensor* find_tensor(std::string_view name) const;

private:
    using Value = std::variant<uint64_t, int64_t, double, bool, std::string,
                               std::vector<std::string>, std::vector<float>, std::vector<double>,
                               std::vector<int64_t>, std::vector<bool>>;
    friend class GgufParser;

    explicit Gguf(File file) : file_(std::move(file)) {}
    const Value* find(std::string_view key) const;
    template <typename T>
    const T* find_as(std::string_view key, const char* wanted) const;
    [[noreturn]] void missing(std::string_view key) const;
    [[noreturn]] void wrong_type(std::string_view key, const Value& value,
                                 const char* wanted) const;

    File file_;
    uint32_t version_ = 0;
    std::map<std::string, Value, std::less<>> values_;
    std::vector<Tensor> tensors_;
    std::map<std::string, size_t, std::less<>> tensor_index_;
};

// "Q4_K", "IQ3_S", ...: ggml's name of a type number, or "type 99".
std::string ggml_type_name(uint32_t type_id);

}  // namespace olivine
