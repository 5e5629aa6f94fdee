// stb_image's decoders for JPEG and PNG, with a bound on what they allocate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace olivine {

struct RgbaPixels {
    struct Free {
        void operator()(unsigned char* pixels) const;
    };
    std::unique_ptr<unsigned char, Free> bytes;  // [height][width][4]; empty when decoding fails
    uint32_t width = 0, height = 0;
    const char* reason = "";     // why it fails
    bool out_of_memory = false;  // it fails because the host has no memory left
};

// No single allocation will be larger than `largest_allocation` bytes: a few bytes of PNG unpack
// to a thousand times their size, and the decoder itself does not stop at the picture's end.
// `file` has less than 2 GiB.
RgbaPixels decode_rgba(std::span<const std::byte> file, uint64_t largest_allocation);

}  // namespace olivine
