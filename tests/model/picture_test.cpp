// Pictures from files: what is read, what is refused, and the numbers of crops and resize.
#include "model/picture.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <fstream>
#include <random>

#include "engine/error.h"
#include "model/picture_format.h"
#include "tests/support/picture_files.h"

using namespace olivine;
using namespace olivine::test;
using Catch::Matchers::ContainsSubstring;

namespace {

// The text of the error that decoding gives; "" when the file decodes.
std::string refusal(std::span<const std::byte> file) {
    try {
        decode_picture(file, "photo");
    } catch (const Error& error) {
        CHECK(error.fault() == Fault::bad_file);
        const std::string text = error.what();
        CHECK(text.starts_with("photo: "));
        CHECK(text.find('\n') == text.npos);
        return text;
    }
    return "";
}
std::string refusal(std::string_view text) {
    return refusal(file_bytes(text));
}

uint32_t pixel(const Picture& picture, uint32_t x, uint32_t y) {
    return picture.pixels.at(size_t{y} * picture.width + x);
}

constexpr uint32_t rgb(uint32_t r, uint32_t g, uint32_t b) {
    return r | g << 8 | b << 16 | 0xFF000000;
}

// Within `tolerance` in each colour.
bool close(uint32_t a, uint32_t b, int tolerance) {
    for (int shift = 0; shift < 32; shift += 8)
        if (std::abs(int(a >> shift & 255) - int(b >> shift & 255)) > tolerance)
            return false;
    return true;
}

// The quadrants of the stored JPEGs as letters, from the middle of each: "RGBW" as stored.
std::string quadrants(const Picture& picture) {
    std::string letters;
    for (const uint32_t y : {picture.height / 4, picture.height * 3 / 4})
        for (const uint32_t x : {picture.width / 4, picture.width * 3 / 4}) {
            const uint32_t p = pixel(picture, x, y);
            // Measured: 2 at most between stb_image and Pillow.
            letters += close(p, rgb(255, 0, 0), 4)       ? 'R'
                       : close(p, rgb(0, 160, 0), 4)     ? 'G'
                       : close(p, rgb(0, 0, 255), 4)     ? 'B'
                       : close(p, rgb(255, 255, 255), 4) ? 'W'
                                                         : '?';
        }
    return letters;
}

std::string bytes(std::initializer_list<int> values) {
    std::string text;
    for (const int value : values)
        text += static_cast<char>(value);
    return text;
}

Picture random_picture(uint32_t width, uint32_t height, uint32_t seed) {
    std::mt19937 random(seed);
    Picture picture{width, height, std::vector<uint32_t>(size_t{width} * height)};
    for (uint32_t& p : picture.pixels)
        p = static_cast<uint32_t>(random()) | 0xFF000000;
    return picture;
}

// A segment of a JPEG file: 0xFF, the marker, the length, the data.
std::string segment(int marker, std::string_view data) {
    const size_t length = data.size() + 2;
    return bytes({0xFF, marker, int(length >> 8), int(length & 255)}) + std::string(data);
}
std::string jpeg_frame(int marker, int precision, int width, int height, int components) {
    std::string data =
        bytes({precision, height >> 8, height & 255, width >> 8, width & 255, components});
    for (int c = 0; c < components; ++c)
        data += bytes({c, 0x11, 0});
    return bytes({0xFF, 0xD8}) + segment(marker, data);
}
const std::string kJpegEnd = bytes({0xFF, 0xD9});

}  // namespace

TEST_CASE("JPEGs of all kinds decode", "[cpu][picture]") {
    for (const char* name : {"baseline.jpg", "progressive.jpg", "chroma_halved.jpg", "cmyk.jpg"}) {
        CAPTURE(name);
        const Picture picture = decode_picture(picture_file(name), name);
        CHECK(picture.width == 16);
        CHECK(picture.height == 32);
        CHECK(quadrants(picture) == "RGBW");
    }
    const Picture grey = decode_picture(picture_file("grey.jpg"), "grey");
    // 0.299 r + 0.587 g + 0.114 b of the colours.
    CHECK(close(pixel(grey, 4, 8), rgb(76, 76, 76), 2));
    CHECK(close(pixel(grey, 12, 8), rgb(94, 94, 94), 2));
    CHECK(close(pixel(grey, 4, 24), rgb(29, 29, 29), 2));
    CHECK(close(pixel(grey, 12, 24), rgb(255, 255, 255), 2));
}

TEST_CASE("EXIF orientations turn a JPEG upright", "[cpu][picture]") {
    const FileBytes jpeg = picture_file("baseline.jpg");
    const char* expected[] = {"RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"};
    for (uint32_t orientation = 1; orientation <= 8; ++orientation)
        for (const bool little_endian : {false, true}) {
            CAPTURE(orientation, little_endian);
            const std::string block = orientation_block(orientation, little_endian);
            const Picture picture = decode_picture(with_exif(jpeg, block), "photo");
            CHECK(picture.width == (orientation < 5 ? 16 : 32));
            CHECK(picture.height == (orientation < 5 ? 32 : 16));
            CHECK(quadrants(picture) == expected[orientation - 1]);
        }
}

TEST_CASE("damaged EXIF is ignored", "[cpu][picture]") {
    const FileBytes jpeg = picture_file("baseline.jpg");
    const std::string good = orientation_block(6, true);
    for (const uint32_t value : {0u, 9u, 256u, 65535u})
        CHECK(exif_orientation(file_bytes(orientation_block(value, true))) == 1);
    for (size_t cut = 0; cut < good.size(); ++cut) {
        CAPTURE(cut);
        const FileBytes block = file_bytes(good.substr(0, cut));
        const uint32_t orientation = exif_orientation(block);
        CHECK(orientation == (cut < 34 ? 1 : 6));  // the entry ends at byte 34
        if (cut < 34)
            CHECK(quadrants(decode_picture(with_exif(jpeg, good.substr(0, cut)), "")) == "RGBW");
    }
    std::mt19937 random(1);
    for (int round = 0; round < 20000; ++round) {
        FileBytes block = file_bytes(good);
        for (int i = 0; i < 3; ++i)
            block[random() % block.size()] = std::byte(random());
        const uint32_t orientation = exif_orientation(block);
        if (orientation < 1 || orientation > 8)
            FAIL("round " << round);
    }
    // Only the first counts.
    const FileBytes twice = with_exif(with_exif(jpeg, good), orientation_block(3, false));
    CHECK(quadrants(decode_picture(twice, "")) == "WBGR");
}

TEST_CASE("a PNG with filters and alpha decodes to the exact pixels", "[cpu][picture]") {
    const Picture picture = decode_picture(picture_file("rgba.png"), "rgba");
    REQUIRE(picture.width == 23);
    REQUIRE(picture.height == 17);
    for (uint32_t y = 0; y < 17; ++y)
        for (uint32_t x = 0; x < 23; ++x) {
            const auto blend = [&](double c) {
                const double alpha = (255 - 7 * x) / 255.0;
                return static_cast<uint32_t>(c * alpha + 255 * (1 - alpha) + 0.5);
            };
            REQUIRE(pixel(picture, x, y) == rgb(blend(11 * x), blend(15 * y), blend(x * y % 256)));
        }
}

TEST_CASE("PNGs of every colour type and depth decode", "[cpu][picture]") {
    const auto decode = [](int depth, int colour, const std::string& rows,
                           const std::string& before = "") {
        // Two pixels wide, two rows, each with its filter byte (0, none).
        return decode_picture(png_file(2, 2, depth, colour, zlib_stored(rows), before), "small")
            .pixels;
    };
    using Pixels = std::vector<uint32_t>;
    const Pixels four = {rgb(1, 2, 3), rgb(250, 0, 9), rgb(0, 0, 0), rgb(255, 255, 255)};
    CHECK(decode(8, 2, bytes({0, 1, 2, 3, 250, 0, 9, 0, 0, 0, 0, 255, 255, 255})) == four);
    // 16 bits keep the upper 8.
    CHECK(decode(16, 2, bytes({0, 1, 99, 2, 99, 3, 99, 250, 0, 0,   255, 9,   1,
                               0, 0, 0,  0, 0,  0, 0,  255, 0, 255, 0,   255, 0})) == four);
    const std::string palette =
        png_chunk("PLTE", bytes({1, 2, 3, 250, 0, 9, 0, 0, 0, 255, 255, 255}));
    CHECK(decode(8, 3, bytes({0, 0, 1, 0, 2, 3}), palette) == four);
    CHECK(decode(2, 3, bytes({0, 0b00010000, 0, 0b10110000}), palette) == four);
    // Transparent palette entries show white.
    CHECK(decode(8, 3, bytes({0, 0, 1, 0, 2, 3}), palette + png_chunk("tRNS", bytes({255, 0}))) ==
          Pixels{four[0], rgb(255, 255, 255), four[2], four[3]});

    const Pixels greys = {rgb(0, 0, 0), rgb(85, 85, 85), rgb(170, 170, 170), rgb(255, 255, 255)};
    CHECK(decode(8, 0, bytes({0, 0, 85, 0, 170, 255})) == greys);
    CHECK(decode(16, 0, bytes({0, 0, 7, 85, 7, 0, 170, 7, 255, 7})) == greys);
    CHECK(decode(4, 0, bytes({0, 0x05, 0, 0xAF})) == greys);
    CHECK(decode(2, 0, bytes({0, 0b00010000, 0, 0b10110000})) == greys);
    CHECK(decode(1, 0, bytes({0, 0b01000000, 0, 0b10000000})) ==
          Pixels{greys[0], greys[3], greys[3], greys[0]});
    // A grey that counts as transparent.
    CHECK(decode(8, 0, bytes({0, 0, 85, 0, 170, 255}), png_chunk("tRNS", bytes({0, 85}))) ==
          Pixels{greys[0], greys[3], greys[2], greys[3]});

    // Grey and alpha, RGBA: 100 at alpha 128 is (100 * 128 + 255 * 127) / 255 = 177.2.
    CHECK(decode(8, 4, bytes({0, 100, 128, 85, 255, 0, 3, 0, 255, 255})) ==
          Pixels{rgb(177, 177, 177), greys[1], greys[3], greys[3]});
    CHECK(decode(16, 4, bytes({0, 100, 1, 128, 1, 85, 0, 255, 9, 0, 3, 0, 0, 0, 255, 0, 255, 0})) ==
          Pixels{rgb(177, 177, 177), greys[1], greys[3], greys[3]});
    CHECK(decode(8, 6,
                 bytes({0, 1, 2, 3, 255, 100, 0, 255, 128,  //
                        0, 9, 9, 9, 0, 255, 255, 255, 128})) ==
          Pixels{four[0], rgb(177, 127, 255), four[3], four[3]});
}

TEST_CASE("an interlaced PNG decodes to the same pixels", "[cpu][picture]") {
    // The seven passes of Adam7: first column and row, steps.
    constexpr uint32_t kPasses[7][4] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                        {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    for (const auto& [width, height] :
         {std::pair{1u, 1u}, std::pair{1u, 40u}, std::pair{13u, 10u}, std::pair{33u, 3u}}) {
        CAPTURE(width, height);
        std::string rows;
        for (const auto& [x0, y0, dx, dy] : kPasses)
            for (uint32_t y = y0; y < height && x0 < width; y += dy) {
                rows += '\0';
                for (uint32_t x = x0; x < width; x += dx)
                    rows += bytes({int(x), int(y), int(x * y)});
            }
        const Picture picture =
            decode_picture(png_file(width, height, 8, 2, zlib_stored(rows), "", true), "adam7");
        REQUIRE(picture.pixels.size() == width * height);
        for (uint32_t y = 0; y < height; ++y)
            for (uint32_t x = 0; x < width; ++x)
                REQUIRE(pixel(picture, x, y) == rgb(x, y, x * y));
    }
}

TEST_CASE("alpha is laid over white, rounded to the nearest", "[cpu][picture]") {
    for (uint32_t alpha = 0; alpha < 256; ++alpha)
        for (uint32_t c = 0; c < 256; ++c) {
            const double exact = (c * alpha + 255.0 * (255 - alpha)) / 255;
            const uint32_t got = over_white(c, 255 - c, 255, alpha);
            if (std::abs((got & 255) - exact) > 0.5 || (got >> 16) != 0xFFFF)
                FAIL(c << " at alpha " << alpha);
        }
    CHECK(over_white(1, 2, 3, 255) == rgb(1, 2, 3));
    CHECK(over_white(1, 2, 3, 0) == rgb(255, 255, 255));
}

TEST_CASE("pixels come in with a stride", "[cpu][picture]") {
    const std::string rows = bytes({1, 2, 3, 255, 4, 5, 6, 0, 77, 77, 77,  //
                                    9, 8, 7, 255, 0, 0, 0, 128});
    const FileBytes memory = file_bytes(rows);  // the last row has no padding
    const Picture picture = picture_from_rgba(memory.data(), 2, 2, 11);
    CHECK(picture.width == 2);
    CHECK(picture.height == 2);
    CHECK(picture.pixels == std::vector<uint32_t>{rgb(1, 2, 3), rgb(255, 255, 255), rgb(9, 8, 7),
                                                  rgb(127, 127, 127)});
    const auto refused = [&](const std::byte* data, uint32_t width, uint32_t height,
                             uint64_t stride) {
        try {
            picture_from_rgba(data, width, height, stride);
        } catch (const Error& error) {
            return error.fault() == Fault::bad_input;
        }
        return false;
    };
    CHECK(refused(memory.data(), 2, 2, 7));
    CHECK(refused(memory.data(), 0, 2, 8));
    CHECK(refused(memory.data(), 2, 0, 8));
    CHECK(refused(memory.data(), 16385, 1, 4 * 16385));
    CHECK(refused(memory.data(), 1, 16385, 4));
    CHECK(refused(memory.data(), 16384, 16384, 4 * 16384));
    CHECK(refused(memory.data(), 1, 2, UINT64_MAX));
    CHECK(refused(nullptr, 1, 1, 4));
}

TEST_CASE("other formats are refused by name", "[cpu][picture]") {
    const std::pair<std::string, std::string> files[] = {
        {"RIFF\x10\x20\x30\x40WEBPVP8 ", "a WebP file"},
        {std::string("\0\0\0\x18", 4) + "ftypheic", "a HEIC file"},
        {std::string("\0\0\0\x18", 4) + "ftypavif", "a AVIF file"},
        {std::string("\0\0\0\x18", 4) + "ftypmif1", "a HEIC or AVIF file"},
        {"GIF89a\x01", "a GIF file"},
        {std::string("BM\x46\0\0\0\0\0\0\0\x36\0\0\0", 14), "a BMP file"},
        {std::string("II*\0\x08\0\0\0", 8), "a TIFF file"},
        {std::string("MM\0*\0\0\0\x08", 8), "a TIFF file"},
        {"\xFF\x0A\xFA", "a JPEG XL file"},
        {std::string("\0\0\0\x0CJXL \r\n\x87\n", 12), "a JPEG XL file"},
        {"8BPS", "a PSD file"},
        {"<svg xmlns='x'/>", "a SVG file"},
        {"\xEF\xBB\xBF\n<?xml version='1.0'?>\n<svg>", "a SVG file"},
        {"%PDF-1.7", "a PDF file"},
        {"Hello", "not a picture"},
        {"BM is how this letter begins", "not a picture"},
        {"\x89PNG", "not a picture"},
        {"\xFF\xD8", "not a picture"},
        {"<html>", "not a picture"},
    };
    for (const auto& [file, expected] : files) {
        CHECK_THAT(refusal(file), ContainsSubstring(expected));
        CHECK_THAT(refusal(file), ContainsSubstring("JPEG and PNG are read"));
    }
    CHECK(refusal("") == "photo: the file is empty.");
    CHECK_THAT(refusal(file_bytes(std::string(40'000'001, 'x'))),
               ContainsSubstring("40000001 bytes (pictures have at most 40000000)"));
    // A name cannot act on the terminal.
    try {
        decode_picture({}, "a\x1B[2Jb\nc");
        FAIL("decodes");
    } catch (const Error& error) {
        CHECK(std::string(error.what()) == "a?[2Jb?c: the file is empty.");
    }
}

TEST_CASE("sizes are refused from the header", "[cpu][picture]") {
    const auto png = [](uint32_t width, uint32_t height) {
        return refusal(png_file(width, height, 8, 6, zlib_zeros(1000)));
    };
    CHECK_THAT(png(1, 1 << 24), ContainsSubstring("1 x 16777216 pixels (each side 1 to 16384)"));
    CHECK_THAT(png(65535, 65535), ContainsSubstring("65535 x 65535"));
    CHECK_THAT(png(16385, 1), ContainsSubstring("16385 x 1"));
    CHECK_THAT(png(0, 1), ContainsSubstring("0 x 1"));
    CHECK_THAT(png(0xFFFFFFFF, 0xFFFFFFFF), ContainsSubstring("4294967295 x 4294967295"));
    CHECK_THAT(png(16384, 16384), ContainsSubstring("268435456 pixels (at most 100000000)"));
    CHECK_THAT(png(10001, 10000), ContainsSubstring("100010000 pixels (at most 100000000)"));

    const auto jpeg = [](int width, int height) {
        return refusal(jpeg_frame(0xC0, 8, width, height, 3) + kJpegEnd);
    };
    CHECK_THAT(jpeg(65535, 65535), ContainsSubstring("65535 x 65535"));
    CHECK_THAT(jpeg(16384, 16384), ContainsSubstring("268435456 pixels"));
    CHECK_THAT(jpeg(1, 0), ContainsSubstring("1 x 0"));
    CHECK_THAT(jpeg(16, 16), ContainsSubstring("no picture data"));
}

TEST_CASE("a PNG that unpacks to more than its size is refused", "[cpu][picture]") {
    // 1 MB of chunk, 165 MB of zeros.
    const FileBytes bomb = png_file(1, 1, 8, 6, zlib_zeros(640000));
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    CHECK_THAT(refusal(bomb), ContainsSubstring("unpacks to more than its size says"));
    getrusage(RUSAGE_SELF, &after);
    CHECK(after.ru_maxrss - before.ru_maxrss < 20'000);  // KB; other tests may have used more
    // Data that a little more follows is fine: 4.02 MB where 4.001 are needed. Transparent: white.
    const Picture picture = decode_picture(png_file(1000, 1000, 8, 6, zlib_zeros(15600)), "white");
    CHECK(picture.pixels[999'999] == rgb(255, 255, 255));
}

TEST_CASE("JPEGs of kinds that are not read are refused", "[cpu][picture]") {
    CHECK_THAT(refusal(jpeg_frame(0xC9, 8, 16, 16, 3)), ContainsSubstring("arithmetic"));
    CHECK_THAT(refusal(jpeg_frame(0xC3, 8, 16, 16, 3)), ContainsSubstring("lossless"));
    CHECK_THAT(refusal(jpeg_frame(0xC1, 12, 16, 16, 3)), ContainsSubstring("12 bits a sample"));
    CHECK_THAT(refusal(jpeg_frame(0xC0, 8, 16, 16, 2)), ContainsSubstring("2 components"));
    const std::string scan = segment(0xDA, bytes({1, 0, 0, 0, 63, 0}));
    CHECK_THAT(refusal(jpeg_frame(0xC0, 8, 16, 16, 4) + scan + kJpegEnd),
               ContainsSubstring("no Adobe segment"));
    std::string many = jpeg_frame(0xC2, 8, 16, 16, 1);
    for (int i = 0; i < 65; ++i)
        many += scan;
    CHECK_THAT(refusal(many + kJpegEnd), ContainsSubstring("more than 64 scans"));
    CHECK_THAT(refusal(bytes({0xFF, 0xD8}) + scan + kJpegEnd), ContainsSubstring("before its"));
}

TEST_CASE("Huffman tables larger than the decoder's are refused", "[cpu][picture]") {
    const auto table = [](int codes, size_t values) {
        std::string data = bytes({0x00});
        for (int length = 1; length <= 16; ++length) {
            const int some = length < 8 ? 0 : std::min(codes, 255);
            data += static_cast<char>(some);
            codes -= some;
        }
        return segment(0xC4, data + std::string(values, '\1'));
    };
    const std::string scan = segment(0xDA, bytes({1, 0, 0, 0, 63, 0}));
    const auto file = [&](const std::string& tables) {
        return jpeg_frame(0xC0, 8, 16, 16, 1) + tables + scan + kJpegEnd;
    };
    CHECK_THAT(refusal(file(table(257, 257))), ContainsSubstring("257 codes (at most 256)"));
    CHECK_THAT(refusal(file(table(2295, 2295))), ContainsSubstring("2295 codes (at most 256)"));
    CHECK_THAT(refusal(file(table(200, 199))), ContainsSubstring("Huffman table that is cut"));
    CHECK_THAT(refusal(file(segment(0xC4, bytes({0, 0, 0})))),
               ContainsSubstring("Huffman table that is cut"));
    refusal(file(table(256, 256)));  // the most there can be; decodes or not
}

TEST_CASE("a JPEG without data for a component is refused", "[cpu][picture]") {
    // stb_image would show what the memory held before.
    const FileBytes jpeg = picture_file("baseline.jpg");
    const FileBytes scan = file_bytes(bytes({0xFF, 0xDA, 0, 12, 3, 1}));
    const auto at = std::search(jpeg.begin(), jpeg.end(), scan.begin(), scan.end());
    REQUIRE(at != jpeg.end());
    FileBytes part(jpeg.begin(), at);
    const FileBytes only_one = file_bytes(segment(0xDA, bytes({1, 1, 0, 0, 63, 0})));
    part.insert(part.end(), only_one.begin(), only_one.end());
    part.insert(part.end(), at + 14, jpeg.end());
    CHECK_THAT(refusal(part), ContainsSubstring("has a component that no scan gives"));
}

TEST_CASE("every prefix of a picture file is refused", "[cpu][picture]") {
    const FileBytes interlaced = png_file(1, 1, 8, 0, zlib_stored(bytes({0, 7})), "", true);
    for (const FileBytes& file :
         {picture_file("rgba.png"), interlaced, picture_file("baseline.jpg"),
          picture_file("progressive.jpg"), picture_file("cmyk.jpg"),
          with_exif(picture_file("grey.jpg"), orientation_block(5, false))}) {
        REQUIRE(refusal(file) == "");
        for (size_t size = 0; size < file.size(); ++size) {
            CAPTURE(size, file.size());
            REQUIRE(refusal(FileBytes(file.begin(), file.begin() + static_cast<ptrdiff_t>(size))) !=
                    "");
        }
        FileBytes longer = file;  // what follows the end does not matter
        longer.resize(file.size() + 100, std::byte{0xFF});
        CHECK(refusal(longer) == "");
    }
    const FileBytes jpeg = picture_file("baseline.jpg");
    CHECK_THAT(refusal(FileBytes(jpeg.begin(), jpeg.end() - 2)),
               ContainsSubstring("is cut: it ends before its end marker"));
    const FileBytes png = picture_file("rgba.png");
    CHECK_THAT(refusal(FileBytes(png.begin(), png.end() - 12)),
               ContainsSubstring("is cut: it ends before its IEND chunk"));
}

TEST_CASE("a PNG with one wrong bit is refused", "[cpu][picture]") {
    const FileBytes png = picture_file("rgba.png");
    for (size_t i = 0; i < png.size(); ++i)
        for (int bit = 0; bit < 8; ++bit) {
            FileBytes damaged = png;
            damaged[i] ^= std::byte(1 << bit);
            CAPTURE(i, bit);
            REQUIRE(refusal(damaged) != "");
        }
}

TEST_CASE("damaged files decode or are refused, and nothing else", "[cpu][picture]") {
    std::mt19937 random(7);
    const FileBytes files[] = {picture_file("rgba.png"),        picture_file("baseline.jpg"),
                               picture_file("progressive.jpg"), picture_file("chroma_halved.jpg"),
                               picture_file("cmyk.jpg"),        picture_file("grey.jpg")};
    int decoded = 0, refused = 0;
    for (int round = 0; round < 2000; ++round) {
        FileBytes file = files[random() % std::size(files)];
        for (uint32_t change = random() % 4 + 1; change > 0; --change) {
            const size_t at = random() % file.size();
            switch (random() % 4) {
            case 0: file[at] ^= std::byte(1 << random() % 8); break;
            case 1: file[at] = std::byte(random()); break;
            case 2: file.erase(file.begin() + static_cast<ptrdiff_t>(at)); break;
            default: file.insert(file.begin() + static_cast<ptrdiff_t>(at), std::byte(random()));
            }
        }
        CAPTURE(round);
        // Damage may make a size large and legal; those take long and are tested above.
        try {
            const PictureHeader header = inspect_picture(file, "damaged");
            if (uint64_t{header.width} * header.height > 1'000'000)
                continue;
        } catch (const Error&) {
            ++refused;
            continue;
        }
        refusal(file) == "" ? ++decoded : ++refused;
    }
    CHECK(decoded > 50);
    CHECK(refused > 500);
}

TEST_CASE("PNG data that does not decode is refused", "[cpu][picture]") {
    // Chunks with right checksums around random data, so that the decoder itself sees it.
    std::mt19937 random(3);
    for (int round = 0; round < 2000; ++round) {
        CAPTURE(round);
        std::string data = zlib_stored(std::string(3 * (1 + 3 * 3), '\0'));
        for (uint32_t change = random() % 3 + 1; change > 0; --change)
            data[random() % data.size()] = static_cast<char>(random());
        if (random() % 2)
            data = data.substr(0, 1 + random() % (data.size() - 1));
        refusal(png_file(3, 3, 8, 2, data, "", random() % 2));
    }
    CHECK_THAT(refusal(png_file(3, 3, 8, 2, zlib_stored("abc"))),
               ContainsSubstring("does not decode (not enough pixels)"));
    CHECK_THAT(refusal(png_file(3, 3, 8, 2, "")), ContainsSubstring("empty first IDAT"));
    CHECK(refusal(png_file(3, 3, 7, 2, zlib_zeros(10))) != "");
    CHECK(refusal(png_file(3, 3, 8, 5, zlib_zeros(10))) != "");
    CHECK(refusal(png_file(3, 3, 8, 3, zlib_zeros(10))) != "");  // no palette
    CHECK(refusal(png_file(3, 3, 8, 2, zlib_zeros(10), png_chunk("CRIT", "x"))) != "");
}

TEST_CASE("pictures are read from files within the limit", "[cpu][picture]") {
    const Picture picture = read_picture(OLIVINE_TEST_GOLDENS "/pictures/baseline.jpg");
    CHECK(quadrants(picture) == "RGBW");
    const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                       ("olivine_picture_" + std::to_string(::getpid()) + ".png");
    const auto error = [](const std::string& file) -> std::string {
        try {
            read_picture(file);
        } catch (const Error& caught) {
            CHECK(caught.fault() == Fault::bad_file);
            return caught.what();
        }
        return "";
    };
    std::ofstream(path).close();
    CHECK_THAT(error(path), ContainsSubstring("the file is empty"));
    std::filesystem::resize_file(path, 40'000'001);  // a hole, no blocks
    CHECK_THAT(error(path), ContainsSubstring("40000001 bytes (pictures have at most 40000000)"));
    std::filesystem::remove(path);
    CHECK_THAT(error(path), ContainsSubstring("does not open"));
    CHECK_THAT(error("/dev/zero"), ContainsSubstring("not a regular file"));
}

TEST_CASE("a crop has the pixels of its box", "[cpu][picture]") {
    const Picture picture = random_picture(13, 9, 4);
    const Picture part = crop(picture, {3, 2, 11, 9});
    REQUIRE(part.width == 8);
    REQUIRE(part.height == 7);
    for (uint32_t y = 0; y < 7; ++y)
        for (uint32_t x = 0; x < 8; ++x)
            REQUIRE(pixel(part, x, y) == pixel(picture, x + 3, y + 2));
    CHECK(crop(picture, {0, 0, 13, 9}).pixels == picture.pixels);
    for (const PictureBox& box : {PictureBox{0, 0, 14, 9}, PictureBox{0, 0, 13, 10},
                                  PictureBox{5, 0, 5, 9}, PictureBox{0, 6, 13, 5}})
        CHECK_THROWS_AS(crop(picture, box), Error);
}

TEST_CASE("the fingerprint tells pictures apart", "[cpu][picture]") {
    const Picture picture = random_picture(31, 17, 5);
    const auto hash = content_hash(picture);
    CHECK(content_hash(picture) == hash);
    for (size_t i = 0; i < picture.pixels.size(); ++i)
        for (int bit = 0; bit < 24; ++bit) {
            Picture other = picture;
            other.pixels[i] ^= 1u << bit;
            const auto changed = content_hash(other);
            if (changed[0] == hash[0] || changed[1] == hash[1])
                FAIL("pixel " << i << " bit " << bit);
        }
    Picture turned = picture;
    std::swap(turned.width, turned.height);
    CHECK(content_hash(turned) != hash);
    std::swap(turned.width, turned.height);
    std::swap(turned.pixels[0], turned.pixels[2]);
    CHECK(content_hash(turned) != hash);
    // Blank pictures of all sizes differ too.
    std::vector<std::array<uint64_t, 2>> all;
    for (uint32_t width = 1; width <= 40; ++width)
        for (uint32_t height = 1; height <= 40; ++height)
            all.push_back(content_hash(
                {width, height, std::vector<uint32_t>(size_t{width} * height, 0xFFFFFFFF)}));
    std::sort(all.begin(), all.end());
    CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
    // The same on every machine, since it may be stored.
    CHECK(content_hash({1, 1, {0xFF030201}}) ==
          std::array<uint64_t, 2>{0x9FF18CE43B2D03E2, 0xBC0E47CD2FE11FDF});
}
