// The SPIR-V that the build embeds; shaders/CMakeLists.txt lists every variant.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace olivine {

// Words of a variant by name, for example "matvec_q8_0_geglu_subgroup". The words live as long as
// the program. Throws internal when the build has no such variant.
std::span<const uint32_t> spirv(const std::string& variant);

// A number that changes with any word of any variant.
uint64_t spirv_fingerprint();

}  // namespace olivine
