#include "engine/ops/variants.h"

#include <algorithm>

#include "engine/block_format.h"
#include "engine/shader_folder.h"
#include "engine/spirv_table.h"

namespace olivine {

const Pipeline& Variants::get(const std::string& shader, uint32_t threads,
                              const std::vector<uint32_t>& constants) {
    Pipeline& pipeline = pipelines_[Key{shader, threads, constants}];
    if (!pipeline || pipeline.failed()) {  // for lack of memory, which may be there again
        ShaderFolder* folder = device_.shaders();
        pipeline = Pipeline(device_, {.name = shader.c_str(),
                                      .spirv = folder ? folder->spirv(shader) : spirv(shader),
                                      .buffers = buffers_,
                                      .push_bytes = push_bytes_,
                                      .threads = threads,
                                      .constants = constants});
    }
    return pipeline;
}

std::string type_suffix(DataType type) {
    std::string text = name(type);
    for (char& letter : text)
        letter = static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a' : letter);
    return text;
}

std::string shader_suffix(DataType type) {
    return is_blocks(type) ? "blocks" : type_suffix(type);
}

void append_format(std::vector<uint32_t>& constants, const RowLayout& layout) {
    constants.push_back(static_cast<uint32_t>(layout.type));
    constants.push_back(layout.interleave);
}

std::string Variants::kv_suffix(KvType type) const {
    if (type != KvType::f16)
        return name(type);
    return has(Rung::storage16) ? "f16_storage16" : "f16";
}

uint32_t Variants::subgroup_threads() const {
    return has(Rung::subgroup) ? std::max(device_.capabilities().subgroup_size, 4u) : 32;
}

uint32_t Variants::row_threads() const {
    const Capabilities& caps = device_.capabilities();
    return caps.software ? subgroup_threads() : std::min(256u, caps.max_threads);
}

}  // namespace olivine
