// Both passes of engine/ops/resize.h, as model/vision.cpp chains them, against the CPU's integers.
#include "tests/support/resize.h"

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>

#include "model/picture.h"
#include "tests/support/device.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/reference.h"

namespace olivine::test {
namespace {

// Of each channel, so that an exchange shows. A step of v is 0.008 or more.
constexpr std::array<float, 3> kScale = {1 / 127.5f, 1 / 63.75f, 1 / 102.0f};
constexpr std::array<float, 3> kOffset = {-1.0f, -0.4f, 0.7f};

struct Sizes {
    uint32_t width, height, out_width, out_height;
};

std::vector<uint8_t> random_bytes(size_t count, uint32_t seed) {
    std::vector<uint8_t> bytes;
    for (const uint32_t word : random_words(count, seed))
        bytes.push_back(static_cast<uint8_t>(word >> 11));
    return bytes;
}

// Pixels as words, R lowest. The top byte means nothing to the first pass, so it is anything.
std::vector<uint32_t> words_of(const std::vector<uint8_t>& rgb, bool opaque) {
    std::vector<uint32_t> words = random_words(rgb.size() / 3, 7);
    for (size_t i = 0; i < words.size(); ++i)
        words[i] = (opaque ? 0xff000000u : words[i] & 0xff000000u) | uint32_t{rgb[3 * i]} |
                   uint32_t{rgb[3 * i + 1]} << 8 | uint32_t{rgb[3 * i + 2]} << 16;
    return words;
}

// [3][out_height][out_width] of v * scale + offset.
std::vector<double> planes_of(const std::vector<uint8_t>& rgb) {
    std::vector<double> planes;
    for (size_t c = 0; c < 3; ++c)
        for (size_t i = c; i < rgb.size(); i += 3)
            planes.push_back(rgb[i] * double{kScale[c]} + double{kOffset[c]});
    return planes;
}

// One direction's filter on the device.
class Filter {
public:
    Filter(Device& device, uint32_t in, uint32_t out)
        : out_(out),
          taps_(bilinear_taps(in, out)),
          first_(guarded(device, taps_.first)),
          weights_(guarded(device, taps_.weights)) {}
    FilterSlices slices() const { return {first_.slice(), weights_.slice(), out_, taps_.taps}; }

private:
    uint32_t out_;
    FilterTaps taps_;
    Guarded first_, weights_;
};

// Lines of a picture's words.
Slice lines_of(const Guarded& picture, uint32_t width, uint32_t first, uint32_t count) {
    const Slice all = picture.slice();
    return {all.buffer, all.offset + uint64_t{first} * width * 4, uint64_t{count} * width * 4};
}

// The first pass takes `strip` lines at a time.
void check(OpTest& test, const Sizes& size, const std::vector<uint8_t>& rgb, uint32_t strip) {
    CAPTURE(size.width, size.height, size.out_width, size.out_height, strip);
    const Filter along_x(test.device, size.width, size.out_width);
    const Filter along_y(test.device, size.height, size.out_height);
    const Guarded src = guarded(test.device, words_of(rgb, false));
    const Guarded narrow(test.device, uint64_t{size.height} * size.out_width * 4);
    const Guarded planes(test.device, uint64_t{3} * size.out_height * size.out_width * 4);

    run(test.device, [&](Recorder& recorder) {
        for (uint32_t line = 0; line < size.height; line += strip) {
            const uint32_t lines = std::min(strip, size.height - line);
            test.ops.resize.record_rows(recorder, lines_of(src, size.width, line, lines),
                                        size.width, lines, along_x.slices(),
                                        lines_of(narrow, size.out_width, line, lines));
        }
        test.ops.resize.record_columns(recorder, narrow.slice(), size.out_width, along_y.slices(),
                                       kScale, kOffset, planes.slice(), 0);
    });

    // A picture of the height that it has: the twin's second pass changes nothing.
    const bool same =
        narrow.read<uint32_t>() ==
        words_of(resize_bilinear(rgb, size.width, size.height, size.out_width, size.height), true);
    CHECK(same);
    const std::vector<uint8_t> want =
        resize_bilinear(rgb, size.width, size.height, size.out_width, size.out_height);
    // Measured 3.3e-7: the integers are right, and a product and a sum of up to 3.6 round.
    CHECK(max_abs_error(planes_of(want), planes.read<float>()) <= 1e-6);
    CHECK(src.intact());
    CHECK(narrow.intact());
    CHECK(planes.intact());
}

}  // namespace

TEST_CASE("resize computes the CPU's integers", "[op][resize]") {
    const std::string variant = GENERATE(from_range(variants()));
    const Sizes size =
        GENERATE(Sizes{1, 1, 1, 1}, Sizes{1, 1, 7, 5}, Sizes{1, 37, 5, 6}, Sizes{37, 1, 6, 5},
                 Sizes{30, 20, 30, 20}, Sizes{5, 3, 64, 65}, Sizes{97, 33, 65, 130},
                 Sizes{33, 97, 130, 65}, Sizes{3000, 3, 7, 9}, Sizes{3, 3000, 9, 7},
                 Sizes{16384, 2, 28, 3}, Sizes{256, 192, 224, 224});
    CAPTURE(variant);  // the seed is 1
    OpTest test(variant);
    check(test, size, random_bytes(size_t{3} * size.width * size.height, 1), size.height);
}

TEST_CASE("resize of black, white and stripes stays in 8 bits", "[op][resize]") {
    const std::string variant = GENERATE(from_range(variants()));
    const Sizes size = GENERATE(Sizes{50, 40, 17, 13}, Sizes{13, 17, 40, 50}, Sizes{999, 2, 7, 3});
    const uint32_t stripe = GENERATE(0u, 1u, 2u);  // 0: none
    CAPTURE(variant, stripe);
    OpTest test(variant);
    std::vector<uint8_t> rgb(size_t{3} * size.width * size.height, 255);
    for (size_t i = 0; stripe > 0 && i < rgb.size(); ++i)
        rgb[i] = i / 3 / stripe % 2 ? 255 : 0;
    check(test, size, rgb, size.height);
}

TEST_CASE("resize takes a picture in strips of lines", "[op][resize]") {
    const std::string variant = GENERATE(from_range(variants()));
    CAPTURE(variant);
    OpTest test(variant);
    check(test, {90, 150, 28, 28}, random_bytes(size_t{3} * 90 * 150, 2), 64);
}

TEST_CASE("resize writes several pictures' planes side by side", "[op][resize]") {
    const std::string variant = GENERATE(from_range(variants()));
    CAPTURE(variant);
    OpTest test(variant);
    constexpr uint32_t kSide = 15, kFloats = 3 * kSide * kSide;
    const Guarded planes(test.device, uint64_t{4} * kFloats * 4);
    std::vector<double> want[4];
    // Places 3 and 1; nobody writes 0 and 2.
    for (const uint32_t place : {3u, 1u}) {
        const uint32_t width = 20 + place, height = 30 - place;
        const std::vector<uint8_t> rgb = random_bytes(size_t{3} * width * height, place);
        const Filter along_x(test.device, width, kSide), along_y(test.device, height, kSide);
        const Guarded src = guarded(test.device, words_of(rgb, true));
        const Guarded narrow(test.device, uint64_t{height} * kSide * 4);
        run(test.device, [&](Recorder& recorder) {
            test.ops.resize.record_rows(recorder, src.slice(), width, height, along_x.slices(),
                                        narrow.slice());
            test.ops.resize.record_columns(recorder, narrow.slice(), kSide, along_y.slices(),
                                           kScale, kOffset, planes.slice(), place * kFloats);
        });
        want[place] = planes_of(resize_bilinear(rgb, width, height, kSide, kSide));
    }
    const std::vector<float> got = planes.read<float>();
    const std::vector<uint32_t> words = planes.read<uint32_t>();
    for (const uint32_t place : {3u, 1u})
        CHECK(max_abs_error(want[place], std::span(got).subspan(place * kFloats, kFloats)) <= 1e-6);
    uint32_t touched = 0;
    for (uint32_t i = 0; i < kFloats; ++i)
        touched += (words[i] != kPoison) + (words[2 * kFloats + i] != kPoison);
    CHECK(touched == 0);
    CHECK(planes.intact());
}

}  // namespace olivine::test
