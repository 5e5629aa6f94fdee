// Crops and resize against tests/goldens: integers that another implementation computed.
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "model/picture.h"
#include "model/safetensors.h"
#include "tests/support/resize.h"

using namespace olivine;
using namespace olivine::test;

namespace {

template <typename T>
std::vector<T> values(const Safetensors& file, const Safetensors::Tensor& tensor) {
    std::vector<T> all(tensor.bytes / sizeof(T));
    file.file().read(tensor.offset, std::as_writable_bytes(std::span(all)));
    return all;
}

uint32_t size(const Safetensors::Tensor& tensor, size_t axis) {
    return static_cast<uint32_t>(tensor.shape.at(axis));
}

}  // namespace

TEST_CASE("the resize equals the stored integers", "[cpu][picture]") {
    const Safetensors file = Safetensors::open(OLIVINE_TEST_GOLDENS "/ops.safetensors");
    int cases = 0;
    for (;; ++cases) {
        const std::string name = "resize_bilinear." + std::to_string(cases);
        const Safetensors::Tensor* image = file.find(name + ".image");
        if (!image)
            break;
        CAPTURE(name);
        const Safetensors::Tensor* y = file.find(name + ".y");
        REQUIRE(y);
        CHECK(resize_bilinear(values<uint8_t>(file, *image), size(*image, 1), size(*image, 0),
                              size(*y, 1), size(*y, 0)) == values<uint8_t>(file, *y));
    }
    CHECK(cases == 5);
}

TEST_CASE("whole pictures resize to the model's stored input", "[cpu][picture]") {
    const Safetensors file =
        Safetensors::open(OLIVINE_TEST_GOLDENS "/tiny-vision/golden.safetensors");
    const Safetensors::Tensor* pixels = file.find("pixels");  // [pictures][3][side][side]
    REQUIRE(pixels);
    const std::vector<float> expected = values<float>(file, *pixels);
    const uint32_t side = size(*pixels, 2);
    for (uint32_t i = 0; i < size(*pixels, 0); ++i) {
        CAPTURE(i);
        const Safetensors::Tensor* image = file.find("image" + std::to_string(i) + ".u8");
        REQUIRE(image);
        const std::vector<uint8_t> resized = resize_bilinear(
            values<uint8_t>(file, *image), size(*image, 1), size(*image, 0), side, side);
        size_t different = 0;
        for (size_t c = 0; c < 3; ++c)
            for (size_t p = 0; p < size_t{side} * side; ++p) {
                const float stored = expected[(3 * i + c) * side * side + p];
                different += std::lround((stored + 1) * 127.5) != resized[3 * p + c];
            }
        CHECK(different == 0);
    }
}

TEST_CASE("the taps of the resize are sane for every size", "[cpu][picture]") {
    for (const uint32_t out : {1u, 7u, 896u})
        for (const uint32_t in : {1u, 2u, 3u, 895u, 896u, 897u, 1792u, 4000u, 16384u}) {
            CAPTURE(in, out);
            const FilterTaps taps = bilinear_taps(in, out);
            REQUIRE(taps.first.size() == out);
            REQUIRE(taps.weights.size() == size_t{out} * taps.taps);
            CHECK(taps.taps <= 2 * std::max<uint32_t>(1, (in + out - 1) / out) + 2);
            for (uint32_t i = 0; i < out; ++i) {
                int64_t sum = 0;
                for (uint32_t t = 0; t < taps.taps; ++t) {
                    const int32_t weight = taps.weights[size_t{i} * taps.taps + t];
                    REQUIRE(weight >= 0);
                    if (weight > 0)
                        REQUIRE(taps.first[i] + t < in);
                    sum += weight;
                }
                // Each tap is rounded by at most one half.
                REQUIRE(std::abs(sum - (1 << 22)) <= taps.taps / 2 + 1);
            }
        }
    // The same size is the picture itself.
    const FilterTaps same = bilinear_taps(896, 896);
    for (uint32_t i = 0; i < 896; ++i) {
        const int32_t* row = &same.weights[size_t{i} * same.taps];
        for (uint32_t t = 0; t < same.taps; ++t)
            REQUIRE(row[t] == (same.first[i] + t == i ? 1 << 22 : 0));
    }
}

TEST_CASE("pan and scan cuts the stored boxes", "[cpu][picture]") {
    nlohmann::json info;
    std::ifstream(OLIVINE_TEST_GOLDENS "/ops.json") >> info;
    int cases = 0;
    for (const nlohmann::json& entry : info.at("pan_and_scan")) {
        if (entry.value("min_ratio", 1.2) != 1.2)
            continue;  // the ratio of another processor
        CAPTURE(entry.dump());
        std::vector<PictureBox> boxes;
        for (const nlohmann::json& box : entry.at("boxes"))
            boxes.push_back({box[0], box[1], box[2], box[3]});
        CHECK(pan_and_scan(entry.at("width"), entry.at("height")) == boxes);
        ++cases;
    }
    CHECK(cases >= 8);
    CHECK(pan_and_scan(0, 5).empty());
    CHECK(pan_and_scan(0xFFFFFFFF, 1).empty());
    CHECK(pan_and_scan(0xFFFFFFFF, 256).size() == 4);
}
