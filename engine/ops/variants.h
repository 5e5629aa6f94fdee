// The pipelines of one operation, made when they are first asked for.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/data_type.h"
#include "engine/ops/kv_layer.h"
#include "engine/pack.h"
#include "engine/pipeline.h"

namespace olivine {

class Variants {
public:
    // `op` is the operation's name, for Device::rungs.
    Variants(Device& device, const char* op, uint32_t buffers, uint32_t push_bytes)
        : device_(device), op_(op), buffers_(buffers), push_bytes_(push_bytes) {}

    // `shader` is a name of shaders/CMakeLists.txt; constants are those from id 2 on.
    const Pipeline& get(const std::string& shader, uint32_t threads,
                        const std::vector<uint32_t>& constants = {});

    Device& device() const { return device_; }
    bool has(Rung rung) const { return device_.rungs(op_).has(rung); }

    // "_subgroup" where that rung is on, else nothing: the end of many variants' names.
    std::string subgroup_suffix() const { return has(Rung::subgroup) ? "_subgroup" : ""; }
    // "f32", "f16", or "f16_storage16" where that rung is on.
    std::string kv_suffix(KvType type) const;

    // Threads of a workgroup that owns one row: a single subgroup on software drivers, where
    // barriers are dear; up to 256 threads on GPUs, where latency counts.
    uint32_t row_threads() const;
    // Threads of a workgroup that should be one subgroup. 32 without the subgroup rung.
    uint32_t subgroup_threads() const;

private:
    struct Key {
        std::string shader;
        uint32_t threads;
        std::vector<uint32_t> constants;
        auto operator<=>(const Key&) const = default;
    };
    Device& device_;
    const char* op_;
    uint32_t buffers_;
    uint32_t push_bytes_;
    std::map<Key, Pipeline> pipelines_;
};

// "f32", "f16", "bf16", "q8_0", "q4_0".
std::string type_suffix(DataType type);
// The end of shaders' names: the same, or "blocks" for the types that share a shader, which then takes
// the type's number as its last constant.
std::string shader_suffix(DataType type);
// Constants of shaders/include/weights.glsl, from FORMAT_ID on.
void append_format(std::vector<uint32_t>& constants, const RowLayout& layout);

}  // namespace olivine
