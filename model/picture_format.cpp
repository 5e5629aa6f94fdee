#include "model/picture_format.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstring>
#include <optional>
#include <string_view>

#include "engine/error.h"
#include "model/file.h"
#include "model/picture.h"

namespace olivine {
namespace {

// Real progressive pictures have about ten scans. Each one costs the decoder a walk over all
// blocks, and a few hundred bytes can make one of 100 million pixels.
constexpr uint32_t kMaxScans = 64;

// Bytes that know their end: out of range reads give nothing.
struct Bytes {
    std::span<const std::byte> data;

    size_t size() const { return data.size(); }
    uint32_t u8(size_t i) const { return std::to_integer<uint32_t>(data[i]); }
    uint32_t big16(size_t i) const { return u8(i) << 8 | u8(i + 1); }
    uint32_t big32(size_t i) const { return big16(i) << 16 | big16(i + 2); }
    bool has(size_t offset, std::string_view text) const {
        return offset <= size() && text.size() <= size() - offset &&
               std::memcmp(data.data() + offset, text.data(), text.size()) == 0;
    }
};

using namespace std::string_view_literals;
constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1A\n"sv;
constexpr std::string_view kJpegSignature = "\xFF\xD8\xFF"sv;

[[noreturn]] void damaged(const std::string& name, const char* kind, const char* what) {
    fail(Fault::bad_file, "%s: the %s file %s.", printable_path(name).c_str(), kind, what);
}

// ---- other formats, for the message ----------------------------------------------------------

bool looks_like_svg(const Bytes& file) {
    const std::string_view text(reinterpret_cast<const char*>(file.data.data()),
                                std::min<size_t>(file.size(), 1024));
    const size_t start = text.find_first_not_of("\xEF\xBB\xBF \t\r\n");
    return start != text.npos && text[start] == '<' && text.find("<svg", start) != text.npos;
}

const char* other_format(const Bytes& file) {
    struct Mark {
        size_t offset;
        std::string_view text;
        const char* name;
    };
    static constexpr Mark kMarks[] = {
        {0, "GIF87a", "GIF"},
        {0, "GIF89a", "GIF"},
        {0, "II*\0"sv, "TIFF"},
        {0, "MM\0*"sv, "TIFF"},
        {0, "II+\0"sv, "TIFF"},
        {0, "MM\0+"sv, "TIFF"},
        {0, "8BPS", "PSD"},
        {0, "\xFF\x0A", "JPEG XL"},
        {0, "\0\0\0\x0CJXL "sv, "JPEG XL"},
        {0, "\0\0\0\x0CjP  "sv, "JPEG 2000"},
        {0, "%PDF-", "PDF"},
        {4, "ftypavif", "AVIF"},
        {4, "ftypavis", "AVIF"},
        {4, "ftyphei", "HEIC"},
        {4, "ftyphev", "HEIC"},
        {4, "ftypmif1", "HEIC or AVIF"},
        {4, "ftypmsf1", "HEIC or AVIF"},
    };
    for (const Mark& mark : kMarks)
        if (file.has(mark.offset, mark.text))
            return mark.name;
    if (file.has(0, "RIFF") && file.has(8, "WEBP"))
        return "WebP";
    // Two letters start many a text too; the four bytes from 6 are reserved and 0 in a bitmap.
    if (file.has(0, "BM") && file.has(6, "\0\0\0\0"sv))
        return "BMP";
    return looks_like_svg(file) ? "SVG" : nullptr;
}

// ---- PNG (https://www.w3.org/TR/png-3/) --------------------------------------------------------

constexpr std::array<uint32_t, 256> kCrcTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t n = 0; n < 256; ++n) {
        table[n] = n;
        for (int bit = 0; bit < 8; ++bit)
            table[n] = table[n] & 1 ? 0xEDB88320 ^ table[n] >> 1 : table[n] >> 1;
    }
    return table;
}();

uint32_t crc32(std::span<const std::byte> bytes) {
    uint32_t crc = 0xFFFFFFFF;
    for (const std::byte byte : bytes)
        crc = kCrcTable[(crc ^ std::to_integer<uint32_t>(byte)) & 0xFF] ^ crc >> 8;
    return ~crc;
}

PictureHeader inspect_png(const Bytes& file, const std::string& name) {
    PictureHeader header;
    bool first = true, data = false;
    for (size_t at = kPngSignature.size();;) {
        // A chunk: length, type, data, checksum of type and data.
        if (file.size() - at < 12)
            damaged(name, "PNG", "is cut: it ends before its IEND chunk");
        const uint64_t length = file.big32(at);
        if (first && (length != 13 || !file.has(at + 4, "IHDR")))
            damaged(name, "PNG", "does not start with an IHDR chunk");
        if (length > file.size() - at - 12)
            damaged(name, "PNG", "is cut: it ends before its IEND chunk");
        if (first) {
            header.width = file.big32(at + 8);
            header.height = file.big32(at + 12);
            check_picture_size(header.width, header.height, name);
        }
        // The decoder ignores ancillary chunks, whose first letter is small, except tRNS.
        const bool critical = !(file.u8(at + 4) & 0x20) || file.has(at + 4, "tRNS");
        if (critical && crc32(file.data.subspan(at + 4, length + 4)) != file.big32(at + 8 + length))
            damaged(name, "PNG", "is damaged: the checksum of a chunk is wrong");
        // The decoder copies nothing to nowhere when the first one is empty, which is undefined.
        if (!data && length == 0 && file.has(at + 4, "IDAT"))
            damaged(name, "PNG", "has an empty first IDAT chunk");
        data |= file.has(at + 4, "IDAT");
        if (file.has(at + 4, "IEND"))
            break;
        at += 12 + length;
        first = false;
    }
    if (!data)
        damaged(name, "PNG", "has no IDAT chunk");
    return header;
}

// ---- JPEG (ITU-T T.81) -------------------------------------------------------------------------

bool is_frame(uint32_t marker) {
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

struct Jpeg {
    PictureHeader header;
    bool frame = false;
    uint32_t components = 0, scans = 0;
    std::array<uint32_t, 4> ids{};  // of the components
    uint32_t seen = 0;              // a bit for each component that a scan has named
    bool exif = false;
    uint32_t adobe_transform = 255;  // 255: there is no Adobe segment
};

// `segment` is what follows the marker, with its two bytes of length.
void read_frame(Jpeg& jpeg, uint32_t marker, const Bytes& segment, const std::string& name) {
    if (jpeg.frame)
        damaged(name, "JPEG", "has more than one frame");
    if (segment.size() < 8)
        damaged(name, "JPEG", "has a frame header that is too short");
    jpeg.frame = true;
    jpeg.header.height = segment.big16(3);
    jpeg.header.width = segment.big16(5);
    jpeg.components = segment.u8(7);
    check_picture_size(jpeg.header.width, jpeg.header.height, name);
    if (marker > 0xC2)
        damaged(name, "JPEG",
                marker >= 0xC9 ? "is arithmetic coded (baseline and progressive are read)"
                               : "is lossless or hierarchical (baseline and "
                                 "progressive are read)");
    if (segment.u8(2) != 8)
        fail(Fault::bad_file, "%s: the JPEG file has %u bits a sample (8 are read).",
             printable_path(name).c_str(), segment.u8(2));
    if (jpeg.components != 1 && jpeg.components != 3 && jpeg.components != 4)
        fail(Fault::bad_file, "%s: the JPEG file has %u components (1, 3 and 4 are read).",
             printable_path(name).c_str(), jpeg.components);
    if (segment.size() < 8 + 3 * size_t{jpeg.components})
        damaged(name, "JPEG", "has a frame header that is too short");
    // How often each component is sampled must divide the largest, or rows end in mid-pixel.
    uint32_t most_h = 1, most_v = 1;
    for (uint32_t c = 0; c < jpeg.components; ++c) {
        jpeg.ids[c] = segment.u8(8 + 3 * c);
        most_h = std::max(most_h, segment.u8(9 + 3 * c) >> 4);
        most_v = std::max(most_v, segment.u8(9 + 3 * c) & 15);
    }
    for (uint32_t c = 0; c < jpeg.components; ++c) {
        const uint32_t h = segment.u8(9 + 3 * c) >> 4, v = segment.u8(9 + 3 * c) & 15;
        if (h == 0 || v == 0 || most_h > 4 || most_v > 4 || most_h % h != 0 || most_v % v != 0)
            damaged(name, "JPEG", "has sampling factors that do not divide each other");
    }
}

// A scan starts with the number of its components and two bytes for each: its id, its tables.
void read_scan(Jpeg& jpeg, const Bytes& segment, const std::string& name) {
    if (!jpeg.frame)
        damaged(name, "JPEG", "has a scan before its frame header");
    if (++jpeg.scans > kMaxScans)
        fail(Fault::bad_file, "%s: the JPEG file has more than %u scans.",
             printable_path(name).c_str(), kMaxScans);
    for (size_t at = 3; at + 1 < segment.size() && at < 3 + 2 * segment.u8(2); at += 2) {
        const auto end = jpeg.ids.begin() + jpeg.components;
        const auto found = std::find(jpeg.ids.begin(), end, segment.u8(at));
        if (found != end)
            jpeg.seen |= 1u << (found - jpeg.ids.begin());
    }
}

// A segment of Huffman tables: for each a byte of class and number, 16 counts of codes by their
// length, and one value for each code. The decoder of Debian 12 writes past its tables when there
// are more than 256 codes, and reads on into the next segment when the last table is cut.
void check_huffman_tables(const Bytes& segment, const std::string& name) {
    for (size_t at = 2; at < segment.size();) {
        if (segment.size() - at < 17)
            damaged(name, "JPEG", "has a Huffman table that is cut");
        size_t codes = 0;
        for (size_t length = 1; length <= 16; ++length)
            codes += segment.u8(at + length);
        if (codes > 256)
            fail(Fault::bad_file,
                 "%s: the JPEG file has a Huffman table of %zu codes (at most 256).",
                 printable_path(name).c_str(), codes);
        if (segment.size() - at - 17 < codes)
            damaged(name, "JPEG", "has a Huffman table that is cut");
        at += 17 + codes;
    }
}

void read_segment(Jpeg& jpeg, uint32_t marker, const Bytes& segment, const std::string& name) {
    if (is_frame(marker)) {
        read_frame(jpeg, marker, segment, name);
    } else if (marker == 0xC4) {
        check_huffman_tables(segment, name);
    } else if (marker == 0xE1 && !jpeg.exif && segment.has(2, "Exif\0\0"sv)) {
        jpeg.exif = true;
        jpeg.header.orientation = exif_orientation(segment.data.subspan(8));
    } else if (marker == 0xEE && segment.size() >= 14 && segment.has(2, "Adobe\0"sv)) {
        jpeg.adobe_transform = segment.u8(13);
    } else if (marker == 0xDA) {
        read_scan(jpeg, segment, name);
    }
}

// The next marker from `at` on, past entropy-coded data, stuffed zeros, restart markers and fill
// bytes; its second byte is at the returned place. Empty at the end of the file.
std::optional<size_t> next_marker(const Bytes& file, size_t at) {
    for (; file.size() >= 2 && at < file.size() - 1; ++at) {
        const void* found = std::memchr(file.data.data() + at, 0xFF, file.size() - 1 - at);
        if (!found)
            return std::nullopt;
        at = static_cast<size_t>(static_cast<const std::byte*>(found) - file.data.data());
        const uint32_t marker = file.u8(at + 1);
        const bool alone = marker == 0xD8 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7);
        if (marker != 0 && marker != 0xFF && !alone)
            return at + 1;
    }
    return std::nullopt;
}

PictureHeader inspect_jpeg(const Bytes& file, const std::string& name) {
    constexpr const char* kCut = "is cut: it ends before its end marker";
    Jpeg jpeg;
    for (size_t at = 2;;) {
        const std::optional<size_t> place = next_marker(file, at);
        if (!place)
            damaged(name, "JPEG", kCut);
        const uint32_t marker = file.u8(*place);
        at = *place + 1;
        if (marker == 0xD9)
            break;
        if (file.size() - at < 2)
            damaged(name, "JPEG", kCut);
        const size_t length = file.big16(at);
        if (length < 2)
            damaged(name, "JPEG", "has a segment without a length");
        if (length > file.size() - at)
            damaged(name, "JPEG", kCut);
        read_segment(jpeg, marker, {file.data.subspan(at, length)}, name);
        at += length;
    }
    if (!jpeg.frame || jpeg.scans == 0)
        damaged(name, "JPEG", "has no picture data before its end marker");
    if (jpeg.components == 4 && jpeg.adobe_transform != 0 && jpeg.adobe_transform != 2)
        damaged(name, "JPEG",
                "has four components and no Adobe segment that says which colours "
                "they are");
    if (jpeg.seen != (1u << jpeg.components) - 1)
        damaged(name, "JPEG", "has a component that no scan gives");
    return jpeg.header;
}

}  // namespace

void check_picture_size(uint64_t width, uint64_t height, const std::string& name) {
    if (width == 0 || height == 0 || width > kMaxPictureSide || height > kMaxPictureSide)
        fail(Fault::bad_file,
             "%s: the picture has %" PRIu64 " x %" PRIu64 " pixels (each side 1 to %u).",
             printable_path(name).c_str(), width, height, kMaxPictureSide);
    if (width * height > kMaxPicturePixels)
        fail(Fault::bad_file,
             "%s: the picture has %" PRIu64 " x %" PRIu64 " = %" PRIu64 " pixels (at most %" PRIu64
             ").",
             printable_path(name).c_str(), width, height, width * height, kMaxPicturePixels);
}

PictureHeader inspect_picture(std::span<const std::byte> bytes, const std::string& name) {
    const Bytes file{bytes};
    if (bytes.empty())
        fail(Fault::bad_file, "%s: the file is empty.", printable_path(name).c_str());
    if (bytes.size() > kMaxPictureFileBytes)
        fail(Fault::bad_file, "%s: the file has %zu bytes (pictures have at most %" PRIu64 ").",
             printable_path(name).c_str(), bytes.size(), kMaxPictureFileBytes);
    if (file.has(0, kPngSignature))
        return inspect_png(file, name);
    if (file.has(0, kJpegSignature))
        return inspect_jpeg(file, name);
    if (const char* format = other_format(file))
        fail(Fault::bad_file, "%s: this is a %s file (JPEG and PNG are read).",
             printable_path(name).c_str(), format);
    fail(Fault::bad_file, "%s: this is not a picture (JPEG and PNG are read).",
         printable_path(name).c_str());
}

// A TIFF header (byte order, 42, place of the first directory); a directory is a count and entries
// of 12 bytes: tag, type, count, value. Orientation is tag 0x0112, one value of type 3 (16 bits).
uint32_t exif_orientation(std::span<const std::byte> tiff) {
    const Bytes block{tiff};
    if (block.size() < 8)
        return 1;
    const bool little = block.has(0, "II*\0"sv);
    if (!little && !block.has(0, "MM\0*"sv))
        return 1;
    const auto u16 = [&](size_t i) {
        return little ? block.u8(i) | block.u8(i + 1) << 8 : block.big16(i);
    };
    const auto u32 = [&](size_t i) { return little ? u16(i) | u16(i + 2) << 16 : block.big32(i); };
    const size_t directory = u32(4);
    if (directory > block.size() - 2)
        return 1;
    const size_t entries = u16(directory);
    for (size_t i = 0; i < entries; ++i) {
        const size_t entry = directory + 2 + 12 * i;
        if (entry + 12 > block.size())
            return 1;
        if (u16(entry) != 0x0112)
            continue;
        const uint32_t value = u16(entry + 8);
        return u16(entry + 2) == 3 && u32(entry + 4) == 1 && value >= 1 && value <= 8 ? value : 1;
    }
    return 1;
}

}  // namespace olivine
