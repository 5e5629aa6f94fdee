// libFuzzer target: picture files.
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/error.h"
#include "model/picture.h"
#include "model/picture_format.h"

namespace {

void decode(std::span<const std::byte> file) {
    try {
        // Large pictures only make the search slow.
        const olivine::PictureHeader header = olivine::inspect_picture(file, "fuzz");
        if (uint64_t{header.width} * header.height > 1'000'000)
            return;
        const olivine::Picture picture = olivine::decode_picture(file, "fuzz");
        if (picture.pixels.size() != uint64_t{picture.width} * picture.height ||
            std::any_of(picture.pixels.begin(), picture.pixels.end(),
                        [](uint32_t pixel) { return pixel >> 24 != 255; }))
            __builtin_trap();
    } catch (const olivine::Error&) {
    }
}

uint32_t big32(const std::vector<std::byte>& file, size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i)
        value = value << 8 | std::to_integer<uint32_t>(file[at + i]);
    return value;
}

// Makes the checksums of a PNG's chunks right; false where there are none.
bool correct_png_checksums(std::vector<std::byte>& file) {
    if (file.size() < 20 || file[0] != std::byte{0x89})
        return false;
    for (size_t at = 8; file.size() - at >= 12;) {
        const size_t length = big32(file, at);
        if (length > file.size() - at - 12)
            break;
        uint32_t crc = 0xFFFFFFFF;
        for (size_t i = at + 4; i < at + 8 + length; ++i) {
            crc ^= std::to_integer<uint32_t>(file[i]);
            for (int bit = 0; bit < 8; ++bit)
                crc = crc & 1 ? 0xEDB88320 ^ crc >> 1 : crc >> 1;
        }
        at += 8 + length;
        for (int shift = 24; shift >= 0; shift -= 8)
            file[at++] = std::byte(~crc >> shift);
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::vector<std::byte> file(size);
    std::copy_n(reinterpret_cast<const std::byte*>(data), size, file.begin());
    decode(file);
    // Once more with right checksums, which no mutation finds.
    if (correct_png_checksums(file))
        decode(file);
    return 0;
}
