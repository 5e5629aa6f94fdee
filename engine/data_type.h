// Storage types of tensors, as files and buffers hold them.
#pragma once

#include <cstdint>
#include <optional>

namespace olivine {

// The shaders' weights.glsl knows them by these numbers.
enum class DataType : uint8_t {
    f32, f16, bf16, q8_0, q4_0,
    q4_1, q5_0, q5_1, q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs,  // engine/block_format.h
};
constexpr uint32_t kDataTypes = 15;

// "F32", "F16", "BF16", "Q8_0", "Q4_K": the names that files and users write.
const char* name(DataType type);

// Elements that share one block in a file: 1 for plain types, 256 for the K types and IQ4_XS, 32 for
// the other quantised ones (block layouts: ggml-common.h; block_q8_0 = f16 scale + 32 x int8,
// block_q4_0 = f16 scale + 16 bytes).
uint32_t block_elements(DataType type);

// Bytes of one such block.
uint32_t block_bytes(DataType type);

// Bytes of `elements` values in a file; empty when the count does not fill whole blocks or the
// size overflows 64 bits.
std::optional<uint64_t> file_bytes(DataType type, uint64_t elements);

}  // namespace olivine
