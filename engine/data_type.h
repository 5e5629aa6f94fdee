// Storage types of tensors, as files and buffers hold them.
#pragma once

#include <cstdint>
#include <optional>

namespace olivine {

enum class DataType : uint8_t { f32, f16, bf16, q8_0, q4_0 };

// "F32", "F16", "BF16", "Q8_0", "Q4_0": the names that files and users write.
const char* name(DataType type);

// Elements that share one block in a file: 1 for plain types, 32 for Q8_0 and Q4_0
// (block layouts: ggml's block_q8_0 = f16 scale + 32 x int8, block_q4_0 = f16 scale + 16 bytes).
uint32_t block_elements(DataType type);

// Bytes of one such block: 4, 2, 2, 34, 18.
uint32_t block_bytes(DataType type);

// Bytes of `elements` values in a file; empty when the count does not fill whole blocks or the
// size overflows 64 bits.
std::optional<uint64_t> file_bytes(DataType type, uint64_t elements);

}  // namespace olivine
