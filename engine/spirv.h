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
    bool by_address = false;  // read at its address, which is a push constant, instead of bound
};

struct ShaderInterface {
    std::vector<ShaderBinding> bindings;  // index = binding number, set 0
    uint32_t push_bytes = 0;              // less those of addresses
    // A shader that reads memory at addresses takes those of the buffers that it declares no binding for, two
    // words each, as the last of its push constants, in the order of the bindings.
    uint32_t address_bytes = 0;
};

// Throws internal when the words are not SPIR-V or use anything but storage buffers in set 0.
ShaderInterface reflect(std::span<const uint32_t> words);

}  // namespace olivine
