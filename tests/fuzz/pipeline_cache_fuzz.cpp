// libFuzzer target: pipeline cache files. Only a body that carries its own hash may reach a driver.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/pipeline_cache_file.h"

using namespace olivine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const PipelineCacheOwner owner{1, 2, 3, 4, {5, 6, 7}};
    const std::vector<char> file(data, data + size);
    const std::span<const char> body = unpack_pipeline_cache(owner, file);
    if (!body.empty() && pack_pipeline_cache(owner, body) != file)
        __builtin_trap();

    // The input as a body comes back, and not with one bit of the file changed.
    std::vector<char> packed = pack_pipeline_cache(owner, file);
    const std::span<const char> again = unpack_pipeline_cache(owner, packed);
    if (!std::equal(again.begin(), again.end(), file.begin(), file.end()))
        __builtin_trap();
    if (size > 0) {
        const size_t bit = (data[0] * 256u + data[size - 1]) % (packed.size() * 8);
        packed[bit / 8] = static_cast<char>(packed[bit / 8] ^ 1 << bit % 8);
        if (!unpack_pipeline_cache(owner, packed).empty())
            __builtin_trap();
    }
    return 0;
}
