// libFuzzer target: saved sessions. Sizes and checksum are mended, so that what is behind them is reached.
#include <zlib.h>

#include <algorithm>
#include <cstdint>

#include "model/session_format.h"
#include "tests/fuzz/fuzz.h"

using namespace olivine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    constexpr size_t kPrefix = 32, kChecksumAt = 12, kSizesAt = 16;
    std::vector<uint8_t> bytes(data, data + size);
    if (size >= kPrefix) {
        uint64_t sizes[2];  // of header and data
        std::memcpy(sizes, &bytes[kSizesAt], sizeof sizes);
        sizes[0] = std::min<uint64_t>(sizes[0], size - kPrefix);
        sizes[1] = size - kPrefix - sizes[0];
        std::memcpy(&bytes[kSizesAt], sizes, sizeof sizes);
        const auto checksum = static_cast<uint32_t>(crc32_z(0, &bytes[kSizesAt], size - kSizesAt));
        std::memcpy(&bytes[kChecksumAt], &checksum, sizeof checksum);
    }
    refused([&] {
        const SessionReader file(fuzzed_file(bytes.data(), size));
        const SessionHeader& header = file.header();
        if (header.first_turn > header.turns.size() || file.data_bytes() > size)
            __builtin_trap();
    });
    return 0;
}
