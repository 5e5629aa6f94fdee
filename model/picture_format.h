// What a picture file says about itself, read and checked before anything is decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace olivine {

struct PictureHeader {
    uint32_t width = 0, height = 0;  // as stored, before the orientation is applied
    uint32_t orientation = 1;        // EXIF, 1 to 8
};

// Fails with bad_file when the sides or their product are outside the limits of picture.h.
void check_picture_size(uint64_t width, uint64_t height, const std::string& name);

// Recognises the format and walks through the whole file: segments up to JPEG's end marker, chunks
// with their checksums up to PNG's IEND. What follows the end is ignored (cameras append previews
// there). Allocates nothing. Errors: bad_file, see decode_picture.
PictureHeader inspect_picture(std::span<const std::byte> file, const std::string& name);

// The orientation in the TIFF block of an EXIF segment, 1 to 8; 1 when it is missing or damaged.
uint32_t exif_orientation(std::span<const std::byte> tiff);

}  // namespace olivine
