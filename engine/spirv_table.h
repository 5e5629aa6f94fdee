// The SPIR-V that the build embeds; shaders/CMakeLists.txt lists every variant.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace olivine {

struct ShaderVariant {
    std::string_view name;  // "matvec_q8_0_geglu_subgroup"
    std::span<const uint32_t> words;
    const char* source;                  // "matvec.comp"
    const char* environment;             // "vulkan1.2"
    std::array<const char*, 6> defines;  // "-DSUBGROUP"; null after the last
};

// A variant by name; lives as long as the program. Throws internal when the build has none such.
const ShaderVariant& shader_variant(const std::string& name);
// Its words.
std::span<const uint32_t> spirv(const std::string& variant);

// A number that changes with any word of any variant.
uint64_t spirv_fingerprint();

// The GLSL that the SPIR-V was made from, includes and all.
struct ShaderFile {
    std::string_view path;  // below shaders/: "include/reduce.glsl"
    std::string_view text;
};
std::span<const ShaderFile> shader_files();

}  // namespace olivine
