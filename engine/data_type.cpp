#include "engine/data_type.h"

namespace olivine {
namespace {

struct TypeRow {
    const char* name;
    uint32_t elements, bytes;  // of a block
};

// By number.
constexpr TypeRow kTypes[kDataTypes] = {
    {"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},     {"Q8_0", 32, 34},   {"Q4_0", 32, 18},
    {"Q4_1", 32, 20},   {"Q5_0", 32, 22},   {"Q5_1", 32, 24},   {"Q2_K", 256, 84},  {"Q3_K", 256, 110},
    {"Q4_K", 256, 144}, {"Q5_K", 256, 176}, {"Q6_K", 256, 210}, {"IQ4_NL", 32, 18}, {"IQ4_XS", 256, 136},
};

const TypeRow& row(DataType type) { return kTypes[static_cast<uint32_t>(type)]; }

}  // namespace

const char* name(DataType type) { return row(type).name; }

uint32_t block_elements(DataType type) { return row(type).elements; }

uint32_t block_bytes(DataType type) { return row(type).bytes; }

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
