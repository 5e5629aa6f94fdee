// Reads from SPIR-V what a pipeline must agree with: bindings, their access, push constants.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace olivine {

struct ShaderBinding {
    bool used = false;
    bool reads = false;
    bool writes = false;
};

struct ShaderInterface {
    std::vector<ShaderBinding> bindings;  // index = binding number, set 0
    uint32_t push_bytes = 0;
};

// Throws internal when the words are not SPIR-V or use anything but storage buffers in set 0.
ShaderInterface reflect(std::span<const uint32_t> words);

}  // namespace olivine
