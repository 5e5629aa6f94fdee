#include "engine/spirv_table.h"

#include "engine/error.h"
#include "shader_words.inc"

namespace olivine {
namespace {

#define OLIVINE_SHADER(name, source, environment, ...) \
    {#name, name##_words, source, environment, {__VA_ARGS__}},
const ShaderVariant kTable[] = {
#include "shader_list.inc"
};
#undef OLIVINE_SHADER

#define OLIVINE_SHADER_FILE(path, text) {path, text},
const ShaderFile kFiles[] = {
#include "shader_files.inc"
};
#undef OLIVINE_SHADER_FILE

}  // namespace

const ShaderVariant& shader_variant(const std::string& name) {
    for (const ShaderVariant& variant : kTable)
        if (variant.name == name)
            return variant;
    fail(Fault::internal, "The build has no shader variant '%s'.", name.c_str());
}

std::span<const uint32_t> spirv(const std::string& variant) {
    return shader_variant(variant).words;
}

std::span<const ShaderFile> shader_files() {
    return kFiles;
}

uint64_t spirv_fingerprint() {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, a word at a time
    for (const ShaderVariant& variant : kTable)
        for (const uint32_t word : variant.words)
            hash = (hash ^ word) * 0x100000001b3;
    return hash;
}

}  // namespace olivine
