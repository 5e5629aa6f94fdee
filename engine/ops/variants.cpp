#include "engine/ops/variants.h"

#include "engine/spirv_table.h"

namespace olivine {

const Pipeline& Variants::get(const std::string& shader, uint32_t threads,
                              const std::vector<uint32_t>& constants) {
    Pipeline& pipeline = pipelines_[Key{shader, threads, constants}];
    if (!pipeline)
        pipeline = Pipeline(device_, {.name = shader.c_str(),
                                      .spirv = spirv(shader),
                                      .buffers = buffers_,
                                      .push_bytes = push_bytes_,
                                      .threads = threads,
                                      .constants = constants});
    return pipeline;
}

std::string subgroup_suffix(const Device& device) {
    return device.has(Rung::subgroup) ? "_subgroup" : "";
}

std::string type_suffix(DataType type) {
    std::string text = name(type);
    for (char& letter : text)
        letter = static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter);
    return text;
}

std::string kv_suffix(const Device& device, KvType type) {
    if (type == KvType::f32)
        return "f32";
    return device.has(Rung::storage16) && !device.capabilities().software ? "f16_storage16" : "f16";
}

}  // namespace olivine
