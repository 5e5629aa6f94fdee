// The header of a safetensors file: names, types, shapes and places of its tensors.
//
// Format (https://github.com/huggingface/safetensors): 8 bytes little-endian header length, JSON
// header, tensor data. Limits: 16 MiB of header (the format allows 100 MB; published ones have less
// than 1 MiB, and hostile JSON must be refused in half a second), 8192 tensors, 8 dimensions.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/data_type.h"
#include "model/file.h"

namespace olivine {

class Safetensors {
public:
    struct Tensor {
        std::string name;
        std::string type_name;         // as in the file: "BF16", "I32", "U8", ...
        std::optional<DataType> type;  // empty: a type that models' weights do not have
        std::vector<uint64_t> shape;   // outermost first
        uint64_t bytes;
        uint64_t offset;               // from the start of the file
    };

    // Reads and checks the header. Errors: bad_file, naming the tensor and the numbers (broken
    // JSON, duplicate names, sizes that overflow or differ from the shape's, ranges outside the
    // file, overlaps and holes); unsupported: an element type whose size we do not know.
    static Safetensors open(const std::string& path);
    static Safetensors parse(File file);

    const File& file() const { return file_; }

    // In the order of their data.
    const std::vector<Tensor>& tensors() const { return tensors_; }
    const Tensor* find(std::string_view name) const;

private:
    explicit Safetensors(File file) : file_(std::move(file)) {}

    File file_;
    std::vector<Tensor> tensors_;
    std::map<std::string, size_t, std::less<>> index_;
};

}  // namespace olivine
