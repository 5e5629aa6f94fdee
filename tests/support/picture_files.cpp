#include "tests/support/picture_files.h"

#include <cassert>

#include "model/file.h"

namespace olivine::test {

FileBytes file_bytes(std::string_view text) {
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    return {bytes, bytes + text.size()};
}

FileBytes picture_file(const std::string& name) {
    const File file = File::open(OLIVINE_TEST_GOLDENS "/pictures/" + name);
    FileBytes bytes(file.size());
    file.read(0, bytes);
    return bytes;
}

std::string big_endian(uint32_t value) {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8)
        text += static_cast<char>(value >> shift);
    return text;
}

std::string png_chunk(std::string_view type, std::string_view data) {
    const std::string body = std::string(type) + std::string(data);
    uint32_t crc = 0xFFFFFFFF;
    for (const char c : body) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit)
            crc = crc & 1 ? 0xEDB88320 ^ crc >> 1 : crc >> 1;
    }
    return big_endian(static_cast<uint32_t>(data.size())) + body + big_endian(~crc);
}

FileBytes png_file(uint32_t width, uint32_t height, int depth, int colour, std::string_view zlib,
                   std::string_view before, bool interlaced) {
    std::string header = big_endian(width) + big_endian(height);
    for (const int byte : {depth, colour, 0, 0, interlaced ? 1 : 0})
        header += static_cast<char>(byte);
    return file_bytes("\x89PNG\r\n\x1A\n" + png_chunk("IHDR", header) + std::string(before) +
                      png_chunk("IDAT", zlib) + png_chunk("IEND", ""));
}

std::string zlib_stored(std::string_view data) {
    assert(data.size() <= 65535);
    uint32_t low = 1, high = 0;  // Adler-32
    for (const char c : data) {
        low = (low + static_cast<unsigned char>(c)) % 65521;
        high = (high + low) % 65521;
    }
    const auto size = static_cast<uint32_t>(data.size());
    std::string text = "\x78\x01\x01";  // 32 KiB window; the last block, stored
    for (const uint32_t byte : {size, size >> 8, ~size, ~size >> 8})
        text += static_cast<char>(byte);
    return text + std::string(data) + big_endian(high << 16 | low);
}

std::string zlib_zeros(size_t runs) {
    std::string text = "\x78\x01";
    uint32_t held = 0, bits = 0;
    const auto put = [&](uint32_t value, uint32_t count) {  // the lowest bit first
        held |= value << bits;
        for (bits += count; bits >= 8; bits -= 8, held >>= 8)
            text += static_cast<char>(held);
    };
    // Huffman codes go in from their highest bit, so these are mirrored.
    put(0b011, 3);       // the last block, fixed codes
    put(0b00001100, 8);  // literal 0: 00110000
    for (size_t i = 0; i < runs; ++i) {
        put(0b10100011, 8);  // length 258, symbol 285: 11000101
        put(0b00000, 5);     // distance 1
    }
    put(0, 7 + 7);  // end of block, and on to a whole byte
    return text + big_endian(1);
}

FileBytes with_exif(const FileBytes& jpeg, std::string_view tiff) {
    const size_t length = 2 + 6 + tiff.size();
    std::string segment = "\xFF\xE1";
    segment += static_cast<char>(length >> 8);
    segment += static_cast<char>(length);
    segment += std::string("Exif\0\0", 6) + std::string(tiff);
    FileBytes result = jpeg;
    const FileBytes bytes = file_bytes(segment);
    result.insert(result.begin() + 2, bytes.begin(), bytes.end());
    return result;
}

std::string orientation_block(uint32_t value, bool little_endian) {
    std::string text = little_endian ? std::string("II*\0", 4) : std::string("MM\0*", 4);
    const auto put = [&](uint32_t number, int bytes) {
        for (int i = 0; i < bytes; ++i)
            text += static_cast<char>(number >> 8 * (little_endian ? i : bytes - 1 - i));
    };
    put(8, 4);       // the directory follows
    put(2, 2);       // two entries
    put(0x010F, 2);  // maker, text of four bytes
    put(2, 2);
    put(4, 4);
    text += std::string("abc\0", 4);
    put(0x0112, 2);  // orientation, one number of 16 bits
    put(3, 2);
    put(1, 4);
    put(value, 2);
    put(0, 2);
    put(0, 4);  // no other directory
    return text;
}

}  // namespace olivine::test
