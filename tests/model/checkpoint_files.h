// Model folders for tests of Checkpoint: the goldens, changed copies, and what opening fails with.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/error.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "tests/support/gguf_writer.h"

namespace olivine::test {

using Json = nlohmann::json;

inline std::string golden(const std::string& model) {
    return std::string(OLIVINE_TEST_GOLDENS) + "/" + model;
}

struct Failure {
    Fault fault;
    std::string text;
};

inline Failure failure_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {  // the thing under test
        return {error.fault(), error.what()};
    }
    return {Fault::internal, "no error"};
}

inline Failure open_failure(const std::string& path) {
    return failure_of([&] { Checkpoint::open(path); });
}

inline std::vector<float> values_of(const Checkpoint& checkpoint, std::string_view canonical) {
    const TensorInfo* info = checkpoint.find(canonical);
    REQUIRE(info);
    std::vector<std::byte> bytes(info->bytes);
    checkpoint.read(*info, 0, bytes);
    return decode(info->type, bytes);
}

// A safetensors file as a table that can be changed and written again.
struct Table {
    struct Tensor {
        std::string type;
        std::vector<uint64_t> shape;
        std::vector<std::byte> data;
    };
    std::map<std::string, Tensor> tensors;

    static Table read(const std::string& path) {
        Table table;
        const Safetensors file = Safetensors::open(path);
        for (const Safetensors::Tensor& tensor : file.tensors()) {
            std::vector<std::byte> data(tensor.bytes);
            file.file().read(tensor.offset, data);
            table.tensors[tensor.name] = {tensor.type_name, tensor.shape, std::move(data)};
        }
        return table;
    }

    void write(const std::string& path) const {
        Json header = Json::object();
        std::vector<std::byte> data;
        for (const auto& [name, tensor] : tensors) {
            header[name] = {{"dtype", tensor.type}, {"shape", tensor.shape},
                            {"data_offsets", {data.size(), data.size() + tensor.data.size()}}};
            data.insert(data.end(), tensor.data.begin(), tensor.data.end());
        }
        const std::string text = header.dump();
        const uint64_t length = text.size();
        std::vector<std::byte> bytes(8 + text.size());
        std::memcpy(bytes.data(), &length, 8);
        std::memcpy(bytes.data() + 8, text.data(), text.size());
        bytes.insert(bytes.end(), data.begin(), data.end());
        write_file(path, bytes);
    }
};

// A copy of a golden model without its outputs.
inline void copy_model(const std::string& model, const TemporaryFolder& folder) {
    for (const auto& entry : std::filesystem::directory_iterator(golden(model)))
        if (!entry.path().filename().string().starts_with("golden"))
            std::filesystem::copy(entry.path(), folder.path());
}

inline bool is_picture(std::string_view name) {
    return name.starts_with("vision_tower.") || name.starts_with("multi_modal_projector.");
}

inline Json read_json(const std::string& path) {
    const auto bytes = read_file(path);
    return Json::parse(reinterpret_cast<const char*>(bytes.data()),
                       reinterpret_cast<const char*>(bytes.data()) + bytes.size());
}

}  // namespace olivine::test
