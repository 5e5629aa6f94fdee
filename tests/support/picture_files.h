// Picture files built byte by byte, and those under tests/goldens/pictures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace olivine::test {

using FileBytes = std::vector<std::byte>;

FileBytes file_bytes(std::string_view text);
FileBytes picture_file(const std::string& name);  // "baseline.jpg"

std::string big_endian(uint32_t value);
std::string png_chunk(std::string_view type, std::string_view data);  // with a right checksum

// A PNG file: signature, IHDR, `before` (whole chunks), IDAT with the zlib stream, IEND. colour is
// PNG's colour type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
FileBytes png_file(uint32_t width, uint32_t height, int depth, int colour, std::string_view zlib,
                   std::string_view before = "", bool interlaced = false);

// zlib's container around uncompressed data of at most 65535 bytes.
std::string zlib_stored(std::string_view data);

// A zlib stream of 13 bits for each 258 bytes that it unpacks to, all zero.
std::string zlib_zeros(size_t runs);

// The file with an APP1 segment "Exif" after its first two bytes.
FileBytes with_exif(const FileBytes& jpeg, std::string_view tiff);
// A TIFF block that says just the orientation.
std::string orientation_block(uint32_t value, bool little_endian);

}  // namespace olivine::test
