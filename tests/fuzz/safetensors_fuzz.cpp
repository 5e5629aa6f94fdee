// libFuzzer target: safetensors headers.
#include <cstdint>

#include "model/safetensors.h"
#include "tests/fuzz/fuzz.h"

using namespace olivine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    refused([&] {
        const Safetensors file = Safetensors::parse(fuzzed_file(data, size));
        uint64_t end = 0;  // of the tensor before: data lies in order and without overlaps
        for (const Safetensors::Tensor& tensor : file.tensors()) {
            if (tensor.offset < end || tensor.offset > size || tensor.bytes > size - tensor.offset)
                __builtin_trap();
            end = tensor.offset + tensor.bytes;
        }
    });
    return 0;
}
