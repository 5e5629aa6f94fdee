#include "tests/support/resize.h"

#include <algorithm>
#include <cassert>

#include "model/picture.h"

namespace olivine::test {
namespace {

// One output sample: source samples are `step` apart, `count` there are.
uint8_t filtered(const FilterTaps& taps, uint32_t i, const uint8_t* source, size_t step,
                 uint32_t count) {
    int64_t sum = 1 << 21;
    for (uint32_t t = 0; t < taps.taps; ++t) {
        const int64_t weight = taps.weights[size_t{i} * taps.taps + t];
        if (weight != 0) {
            assert(taps.first[i] + t < count);
            sum += weight * source[(taps.first[i] + t) * step];
        }
    }
    return static_cast<uint8_t>(std::clamp<int64_t>(sum >> 22, 0, 255));
}

}  // namespace

std::vector<uint8_t> resize_bilinear(const std::vector<uint8_t>& rgb, uint32_t width,
                                     uint32_t height, uint32_t out_width, uint32_t out_height) {
    assert(rgb.size() == size_t{3} * width * height);
    const FilterTaps across = bilinear_taps(width, out_width);
    std::vector<uint8_t> columns(size_t{3} * out_width * height);
    for (size_t y = 0; y < height; ++y)
        for (uint32_t x = 0; x < out_width; ++x)
            for (size_t c = 0; c < 3; ++c)
                columns[3 * (y * out_width + x) + c] =
                    filtered(across, x, &rgb[3 * y * width + c], 3, width);

    const FilterTaps down = bilinear_taps(height, out_height);
    std::vector<uint8_t> result(size_t{3} * out_width * out_height);
    for (uint32_t y = 0; y < out_height; ++y)
        for (size_t i = 0; i < size_t{3} * out_width; ++i)
            result[size_t{3} * out_width * y + i] =
                filtered(down, y, &columns[i], size_t{3} * out_width, height);
    return result;
}

}  // namespace olivine::test
