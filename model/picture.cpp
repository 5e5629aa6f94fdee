#include "model/picture.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cinttypes>
#include <cmath>

#include "engine/error.h"
#include "model/file.h"
#include "model/picture_format.h"
#include "model/stb_image.h"

namespace olivine {
namespace {

// Where pixels of the upright picture are in the stored one, by EXIF orientation: the stored
// x runs along the upright y when they are swapped, and each may run backwards.
struct Turn {
    bool swapped, x_back, y_back;
};
constexpr Turn kTurns[9] = {
    {},                     // there is no 0
    {false, false, false},  // 1: as stored
    {false, true, false},   // 2: mirrored left to right
    {false, true, true},    // 3: upside down
    {false, false, true},   // 4: mirrored top to bottom
    {true, false, false},   // 5: mirrored at the main diagonal
    {true, false, true},    // 6: to be turned clockwise
    {true, true, true},     // 7: mirrored at the other diagonal
    {true, true, false},    // 8: to be turned anticlockwise
};

Picture upright(const RgbaPixels& stored, uint32_t orientation) {
    const Turn turn = kTurns[orientation];
    Picture picture;
    picture.width = turn.swapped ? stored.height : stored.width;
    picture.height = turn.swapped ? stored.width : stored.height;
    picture.pixels.resize(size_t{picture.width} * picture.height);
    uint32_t* out = picture.pixels.data();
    for (uint32_t y = 0; y < picture.height; ++y) {
        for (uint32_t x = 0; x < picture.width; ++x) {
            const uint32_t along_x = turn.swapped ? y : x, along_y = turn.swapped ? x : y;
            const uint32_t from_x = turn.x_back ? stored.width - 1 - along_x : along_x;
            const uint32_t from_y = turn.y_back ? stored.height - 1 - along_y : along_y;
            const unsigned char* p =
                stored.bytes.get() + 4 * (size_t{from_y} * stored.width + from_x);
            *out++ = over_white(p[0], p[1], p[2], p[3]);
        }
    }
    return picture;
}

}  // namespace

uint32_t over_white(uint32_t r, uint32_t g, uint32_t b, uint32_t alpha) {
    const auto blend = [alpha](uint32_t c) {
        return (c * alpha + 255 * (255 - alpha) + 127) / 255;
    };
    return blend(r) | blend(g) << 8 | blend(b) << 16 | 0xFF000000;
}

Picture decode_picture(std::span<const std::byte> file, const std::string& name) {
    const PictureHeader header = inspect_picture(file, name);
    // The decoder's largest needs: the file's own compressed data, collected in steps of two; 8
    // bytes a pixel (16-bit RGBA), twice that when an interlaced picture outgrows the first guess;
    // JPEG rounds sizes up to 32.
    const uint64_t largest = 2 * uint64_t{file.size()} +
                             16 * (uint64_t{header.width} + 64) * (uint64_t{header.height} + 64);
    const RgbaPixels stored = decode_rgba(file, largest);
    if (stored.out_of_memory)
        fail(Fault::out_of_memory, "%s: the host has no memory to decode %u x %u pixels.",
             printable_path(name).c_str(), header.width, header.height);
    if (!stored.bytes)
        fail(Fault::bad_file, "%s: the picture does not decode (%s).", printable_path(name).c_str(),
             stored.reason);
    if (stored.width != header.width || stored.height != header.height)
        fail(Fault::bad_file, "%s: the picture has %u x %u pixels, its header says %u x %u.",
             printable_path(name).c_str(), stored.width, stored.height, header.width,
             header.height);
    return upright(stored, header.orientation);
}

Picture read_picture(const std::string& path) {
    const File file = File::open(path);
    if (file.size() > kMaxPictureFileBytes)
        fail(Fault::bad_file,
             "%s: the file has %" PRIu64 " bytes (pictures have at most %" PRIu64 ").",
             printable_path(path).c_str(), file.size(), kMaxPictureFileBytes);
    std::vector<std::byte> bytes(file.size());
    file.read(0, bytes);
    return decode_picture(bytes, path);
}

Picture picture_from_rgba(const std::byte* rgba, uint32_t width, uint32_t height,
                          uint64_t stride_bytes) {
    if (width == 0 || height == 0 || width > kMaxPictureSide || height > kMaxPictureSide ||
        uint64_t{width} * height > kMaxPicturePixels)
        fail(Fault::bad_input,
             "A picture of %u x %u pixels is given (each side 1 to %u, at most %" PRIu64
             " pixels).",
             width, height, kMaxPictureSide, kMaxPicturePixels);
    // The upper bound keeps the offset of the last row within 63 bits.
    if (stride_bytes < 4 * uint64_t{width} || stride_bytes > uint64_t{1} << 48)
        fail(Fault::bad_input,
             "The rows of a picture are %" PRIu64 " bytes apart (%" PRIu64 " to 2^48).",
             stride_bytes, 4 * uint64_t{width});
    if (!rgba)
        fail(Fault::bad_input, "A picture of %u x %u pixels is given without its pixels.", width,
             height);
    Picture picture{width, height, std::vector<uint32_t>(size_t{width} * height)};
    uint32_t* out = picture.pixels.data();
    for (uint32_t y = 0; y < height; ++y) {
        const auto* p = reinterpret_cast<const unsigned char*>(rgba) + y * stride_bytes;
        for (uint32_t x = 0; x < width; ++x, p += 4)
            *out++ = over_white(p[0], p[1], p[2], p[3]);
    }
    return picture;
}

Picture crop(const Picture& picture, const PictureBox& box) {
    if (box.x0 >= box.x1 || box.y0 >= box.y1 || box.x1 > picture.width || box.y1 > picture.height)
        fail(Fault::bad_input,
             "The crop from (%u, %u) to (%u, %u) is empty or leaves the picture (%u x %u pixels).",
             box.x0, box.y0, box.x1, box.y1, picture.width, picture.height);
    Picture part{box.x1 - box.x0, box.y1 - box.y0, {}};
    part.pixels.reserve(size_t{part.width} * part.height);
    for (uint32_t y = box.y0; y < box.y1; ++y) {
        const auto row = picture.pixels.begin() + static_cast<ptrdiff_t>(y) * picture.width;
        part.pixels.insert(part.pixels.end(), row + box.x0, row + box.x1);
    }
    return part;
}

// The numbers are those of the published processor's defaults.
std::vector<PictureBox> pan_and_scan(uint32_t width, uint32_t height) {
    constexpr uint64_t kMinCrop = 256, kMaxCrops = 4;
    constexpr double kMinRatio = 1.2;
    const uint64_t longer = std::max(width, height), shorter = std::min(width, height);
    if (shorter == 0)
        return {};
    const double ratio = static_cast<double>(longer) / static_cast<double>(shorter);
    if (ratio < kMinRatio)
        return {};
    // As many crops as come nearest to squares.
    const uint64_t squares = static_cast<uint64_t>(std::floor(ratio + 0.5));
    const uint64_t count = std::clamp<uint64_t>(std::min(squares, longer / kMinCrop), 2, kMaxCrops);
    const uint64_t step = (longer + count - 1) / count;
    if (std::min(step, shorter) < kMinCrop)
        return {};
    std::vector<PictureBox> boxes;
    for (uint64_t i = 0; i < count; ++i) {
        const auto from = static_cast<uint32_t>(i * step);
        const auto to = static_cast<uint32_t>(std::min((i + 1) * step, longer));
        boxes.push_back(width >= height ? PictureBox{from, 0, to, height}
                                        : PictureBox{0, from, width, to});
    }
    return boxes;
}

// Two chains over 64-bit words that start, multiply and turn differently. Each step can be undone,
// so pictures of which only two neighbouring pixels differ never share a half. The multipliers are
// odd numbers with bits set at random.
namespace {

template <typename Word>
std::array<uint64_t, 2> hash_words(uint64_t head, std::span<const Word> words) {
    uint64_t a = 0x243F6A8885A308D3, b = 0x13198A2E03707344;  // digits of pi
    const auto add = [&](uint64_t word) {
        a = std::rotl((a ^ word) * 0x9FB21C651E98DF25, 27);
        b = std::rotl((b + word) * 0xD6E8FEB86659FD93, 33);
    };
    const auto bits = [&](size_t i) { return std::bit_cast<uint32_t>(words[i]); };
    add(head);
    for (size_t i = 0; i + 1 < words.size(); i += 2)
        add(uint64_t{bits(i + 1)} << 32 | bits(i));
    if (words.size() % 2 != 0)
        add(bits(words.size() - 1));
    const auto spread = [](uint64_t h) {
        h = (h ^ h >> 32) * 0x9FB21C651E98DF25;
        h = (h ^ h >> 29) * 0xD6E8FEB86659FD93;
        return h ^ h >> 32;
    };
    return {spread(a), spread(b)};
}

}  // namespace

std::array<uint64_t, 2> content_hash(const Picture& picture) {
    return hash_words(uint64_t{picture.height} << 32 | picture.width,
                      std::span<const uint32_t>(picture.pixels));
}

std::array<uint64_t, 2> content_hash(std::span<const float> soft_tokens) {
    return hash_words(soft_tokens.size(), soft_tokens);
}

FilterTaps bilinear_taps(uint32_t in, uint32_t out) {
    assert(in > 0 && out > 0);
    const double scale = static_cast<double>(in) / out;
    const double radius = std::max(scale, 1.0);  // wider when shrinking, never narrower
    struct Range {
        double centre;
        uint32_t low, high;
    };
    const auto range = [&](uint32_t i) {
        const double centre = (i + 0.5) * scale;
        const double low = std::max(centre - radius + 0.5, 0.0);
        const double high = std::min(centre + radius + 0.5, static_cast<double>(in));
        return Range{centre, static_cast<uint32_t>(low), static_cast<uint32_t>(high)};
    };

    FilterTaps taps;
    for (uint32_t i = 0; i < out; ++i) {
        const Range r = range(i);
        taps.taps = std::max(taps.taps, r.high - r.low);
        taps.first.push_back(r.low);
    }
    taps.weights.assign(size_t{out} * taps.taps, 0);
    std::vector<double> weights(taps.taps);
    for (uint32_t i = 0; i < out; ++i) {
        const Range r = range(i);
        const uint32_t used = r.high - r.low;
        double sum = 0;
        for (uint32_t t = 0; t < used; ++t) {
            const double distance = std::abs(r.low + t + 0.5 - r.centre) / radius;
            weights[t] = std::max(0.0, 1.0 - distance);
            sum += weights[t];
        }
        for (uint32_t t = 0; t < used; ++t)
            taps.weights[size_t{i} * taps.taps + t] =
                static_cast<int32_t>(std::floor(weights[t] / sum * (1 << 22) + 0.5));
    }
    return taps;
}

}  // namespace olivine
