// Keys or values of a cache as the host writes and reads them; shaders/include/kv.glsl says how they lie.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/ops/kv_layer.h"

namespace olivine::selftest {

// values: heads of `shape`, [count][padded_dim]. Nearest of what the type holds.
std::vector<uint32_t> kv_words(KvType type, const HeadShape& shape, std::span<const float> values);
std::vector<float> kv_values(KvType type, const HeadShape& shape, std::span<const uint32_t> words);
// values: [count][head_dim], as a cache gives them back.
std::vector<float> kv_rounded(KvType type, const HeadShape& shape, std::span<const float> values);

}  // namespace olivine::selftest
