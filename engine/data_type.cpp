#include "engine/data_type.h"

namespace olivine {

const char* name(DataType type) {
    switch (type) {
    case DataType::f32: return "F32";
    case DataType::f16: return "F16";
    case DataType::bf16: return "BF16";
    case DataType::q8_0: return "Q8_0";
    case DataType::q4_0: return "Q4_0";
    }
    return "?";
}

uint32_t block_elements(DataType type) {
    return type == DataType::q8_0 || type == DataType::q4_0 ? 32 : 1;
}

uint32_t block_bytes(DataType type) {
    switch (type) {
    case DataType::f32: return 4;
    case DataType::f16: return 2;
    case DataType::bf16: return 2;
    case DataType::q8_0: return 34;
    case DataType::q4_0: return 18;
    }
    return 0;
}

std::optional<uint64_t> file_bytes(DataType type, uint64_t elements) {
    const uint64_t per_block = block_elements(type);
    if (elements % per_block != 0)
        return std::nullopt;
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(elements / per_block, uint64_t{block_bytes(type)}, &bytes))
        return std::nullopt;
    return bytes;
}

}  // namespace olivine
