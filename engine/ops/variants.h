// The pipelines of one operation, made when they are first asked for.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/data_type.h"
#include "engine/ops/kv_layer.h"
#include "engine/pipeline.h"

namespace olivine {

class Variants {
public:
    Variants(Device& device, uint32_t buffers, uint32_t push_bytes)
        : device_(device), buffers_(buffers), push_bytes_(push_bytes) {}

    // `shader` is a name of shaders/CMakeLists.txt; constants are those from id 2 on.
    const Pipeline& get(const std::string& shader, uint32_t threads,
                        const std::vector<uint32_t>& constants = {});

    Device& device() const { return device_; }

private:
    struct Key {
        std::string shader;
        uint32_t threads;
        std::vector<uint32_t> constants;
        auto operator<=>(const Key&) const = default;
    };
    Device& device_;
    uint32_t buffers_;
    uint32_t push_bytes_;
    std::map<Key, Pipeline> pipelines_;
};

// "_subgroup" where that rung is on, else nothing: the end of many variants' names.
std::string subgroup_suffix(const Device& device);
// "f32", "f16", "bf16", "q8_0", "q4_0".
std::string type_suffix(DataType type);
// "f32", "f16", or "f16_storage16" where that rung is on, but for software drivers, which load a half
// no faster than a word: on lavapipe, attention has a tenth more code with 16-bit loads.
std::string kv_suffix(const Device& device, KvType type);

}  // namespace olivine
