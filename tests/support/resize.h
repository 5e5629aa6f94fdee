// The resize of pictures on the CPU, to the integer what the shaders must compute.
#pragma once

#include <cstdint>
#include <vector>

namespace olivine::test {

// rgb: [height][width][3]; result: [out_height][out_width][3]. Columns first, rounded to 8 bits,
// then rows.
std::vector<uint8_t> resize_bilinear(const std::vector<uint8_t>& rgb, uint32_t width,
                                     uint32_t height, uint32_t out_width, uint32_t out_height);

}  // namespace olivine::test
