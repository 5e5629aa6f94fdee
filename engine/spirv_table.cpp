#include "engine/spirv_table.h"

#include <string_view>

#include "engine/error.h"
#include "shader_words.inc"

namespace olivine {
namespace {

struct Entry {
    std::string_view name;
    std::span<const uint32_t> words;
};

#define OLIVINE_SHADER(name) {#name, name##_words},
const Entry kTable[] = {
#include "shader_list.inc"
};
#undef OLIVINE_SHADER

}  // namespace

std::span<const uint32_t> spirv(const std::string& variant) {
    for (const Entry& entry : kTable)
        if (entry.name == variant)
            return entry.words;
    fail(Fault::internal, "The build has no shader variant '%s'.", variant.c_str());
}

uint64_t spirv_fingerprint() {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, a word at a time
    for (const Entry& entry : kTable)
        for (const uint32_t word : entry.words)
            hash = (hash ^ word) * 0x100000001b3;
    return hash;
}

}  // namespace olivine
