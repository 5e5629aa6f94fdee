// Runs the shader compiler that the build used.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "engine/spirv_table.h"

namespace olivine {

// The SPIR-V of a variant from the sources in `folder`, checked as the build checks it. Says so,
// with the compiler's warnings, on standard error. Throws bad_input with the compiler's messages,
// or when the compiler cannot be started.
std::vector<uint32_t> compile_shader(const ShaderVariant& variant,
                                     const std::filesystem::path& folder);

}  // namespace olivine
