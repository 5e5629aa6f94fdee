// Pictures for the model: files to pixels, crops, and the numbers of the resize.
//
// Files come from anywhere, so everything is bounded before it is allocated: at most 40 MB of file,
// 16384 pixels a side and 100 million pixels, read from the header. JPEG (baseline and progressive,
// 8 bits, grey, colour and Adobe CMYK) and PNG (every kind) are read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace olivine {

inline constexpr uint64_t kMaxPictureFileBytes = 40'000'000;
inline constexpr uint32_t kMaxPictureSide = 16384;
inline constexpr uint64_t kMaxPicturePixels = 100'000'000;

// Upright and opaque. A pixel is 0xFFBBGGRR: red in the lowest byte, the top byte is 255.
struct Picture {
    uint32_t width = 0, height = 0;
    std::vector<uint32_t> pixels;  // [height][width]
};

// In pixels; x1 and y1 are one past the last.
struct PictureBox {
    uint32_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;
    bool operator==(const PictureBox&) const = default;
};

// The picture in the bytes of a JPEG or PNG file. Samples of 16 bits keep their upper 8, grey is
// repeated, alpha is laid over white (see over_white), a JPEG's EXIF orientation is obeyed. Colour
// profiles are ignored, as the published preprocessing does.
//
// `name` only appears in messages. Errors: bad_file for everything that is not a whole picture
// within the limits: other formats by name, files that are cut, PNG chunks whose checksum is wrong.
// A damaged JPEG that still has all its segments decodes to damaged pixels, since the format has no
// checksum. out_of_memory when the host has none left.
Picture decode_picture(std::span<const std::byte> file, const std::string& name);

// The same for a file. Errors also: bad_file when it does not open or is no regular file.
Picture read_picture(const std::string& path);

// Pixels of four bytes, R, G, B, alpha (not premultiplied); rows start `stride_bytes` apart. Alpha
// is laid over white. Errors: bad_input when a size is outside the limits above or the stride is
// less than a row.
Picture picture_from_rgba(const std::byte* rgba, uint32_t width, uint32_t height,
                          uint64_t stride_bytes);

// One pixel laid over white: each colour c becomes round((c alpha + 255 (255 - alpha)) / 255), to
// the nearest (there are no ties, 255 being odd).
uint32_t over_white(uint32_t r, uint32_t g, uint32_t b, uint32_t alpha);

// Errors: bad_input when the box is empty or leaves the picture.
Picture crop(const Picture& picture, const PictureBox& box);

// Pan and scan: the extra crops of a picture whose sides differ by 1.2 times or more, two to four
// of them along the longer side, or none where one would be less than 256 pixels wide or high. The
// model sees the whole picture first, then these.
std::vector<PictureBox> pan_and_scan(uint32_t width, uint32_t height);

// A fingerprint of size and pixels, to recognise a picture that was seen before. The same on every
// machine. Not cryptographic: whoever wants two pictures with the same one can construct them.
std::array<uint64_t, 2> content_hash(const Picture& picture);
// The same for a picture that is known by its soft tokens alone.
std::array<uint64_t, 2> content_hash(std::span<const float> soft_tokens);

// One direction of the resize: output i is
//   (sum over t of weights[i][t] * source[first[i] + t] + 2^21) >> 22, between 0 and 255.
// Taps whose weight is 0 may lie past the source; clamp or skip them.
struct FilterTaps {
    uint32_t taps = 0;
    std::vector<uint32_t> first;   // [out] index of the first source sample
    std::vector<int32_t> weights;  // [out][taps] in units of 2^-22, a row sums to about 2^22;
                                   // 0 beyond what is used
};

// The antialiased triangle filter: when shrinking it spans the source pixels under two output
// pixels, when enlarging it is bilinear. Columns are resized first and rounded to 8 bits, then
// rows. in and out are at least 1.
FilterTaps bilinear_taps(uint32_t in, uint32_t out);

}  // namespace olivine
