#include "model/stb_image.h"

#include <cstdlib>
#include <stdexcept>

namespace olivine {
namespace {

struct Budget {
    uint64_t largest = 0;
    bool exceeded = false;
    bool failed = false;  // the host refused
};
thread_local Budget budget;

bool granted(size_t bytes) {
    budget.exceeded |= bytes > budget.largest;
    return bytes <= budget.largest;
}

// Zeroed: a JPEG whose scans leave out a component shows what the memory held before.
void* allocate(size_t bytes) {
    if (!granted(bytes))
        return nullptr;
    void* memory = std::calloc(bytes, 1);
    budget.failed |= !memory;
    return memory;
}

void* reallocate(void* old, size_t bytes) {
    if (!granted(bytes))
        return nullptr;
    void* memory = std::realloc(old, bytes);
    budget.failed |= !memory;
    return memory;
}

[[noreturn]] void broken_invariant() {
    throw std::logic_error("an assertion of stb_image fails");
}

}  // namespace
}  // namespace olivine

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_MAX_DIMENSIONS 16384
#define STBI_MALLOC(bytes) olivine::allocate(bytes)
#define STBI_REALLOC(old, bytes) olivine::reallocate(old, bytes)
#define STBI_FREE(memory) std::free(memory)
// An exception costs this request (and a leak), an abort would cost every conversation.
#define STBI_ASSERT(x) ((x) ? void() : olivine::broken_invariant())
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wshadow"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace olivine {

void RgbaPixels::Free::operator()(unsigned char* pixels) const {
    std::free(pixels);
}

RgbaPixels decode_rgba(std::span<const std::byte> file, uint64_t largest_allocation) {
    budget = {.largest = largest_allocation};
    RgbaPixels result;
    int width = 0, height = 0, channels = 0;
    try {
        result.bytes.reset(stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(file.data()),
                                                 static_cast<int>(file.size()), &width, &height,
                                                 &channels, STBI_rgb_alpha));
    } catch (const std::logic_error&) {  // from STBI_ASSERT: damage that stb did not foresee
        result.reason = "its data is inconsistent";
        return result;
    }
    if (result.bytes) {
        result.width = static_cast<uint32_t>(width);
        result.height = static_cast<uint32_t>(height);
        return result;
    }
    result.out_of_memory = budget.failed;
    const char* reason = stbi_failure_reason();
    result.reason = budget.exceeded ? "its data unpacks to more than its size says"
                    : reason        ? reason
                                    : "its data is inconsistent";
    return result;
}

}  // namespace olivine
