// What the fuzz targets share. A target fails by a trap, a sanitizer's report, any exception but
// olivine::Error, or the limits of tests/matrix/fuzz.sh on time and memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/error.h"
#include "model/file.h"

namespace olivine {

// Whether `action` refuses its input, which it may do with these kinds of Error only.
template <typename Action>
bool refused(const Action& action) {
    try {
        action();
        return false;
    } catch (const Error& error) {
        if (error.fault() != Fault::bad_file && error.fault() != Fault::unsupported)
            __builtin_trap();
        return true;
    }
}

inline File fuzzed_file(const uint8_t* data, size_t size) {
    std::vector<std::byte> bytes(size);
    if (size > 0)
        std::memcpy(bytes.data(), data, size);
    return File::from_bytes(std::move(bytes), "fuzz");
}

}  // namespace olivine
