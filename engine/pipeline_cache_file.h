// The file that keeps a driver's compiled pipelines.
//
// Contents: magic, size and FNV-1a hash of the body, who wrote it, then the body. Anything that does
// not fit is treated as an empty cache: drivers have crashed on damaged data, so it must not reach
// them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace olivine {

// The driver that a cache belongs to; no bytes between the members.
struct PipelineCacheOwner {
    uint32_t vendor = 0, device = 0, driver_version = 0, driver_id = 0;
    uint8_t uuid[16] = {};
};

constexpr uint64_t kMaxPipelineCacheBytes = 256u << 20;  // all pipelines of a model take 2 MiB

// The whole file for a body.
std::vector<char> pack_pipeline_cache(const PipelineCacheOwner& owner, std::span<const char> body);

// The body of a file that pack_pipeline_cache wrote for this owner, else nothing.
std::span<const char> unpack_pipeline_cache(const PipelineCacheOwner& owner,
                                            std::span<const char> file);

}  // namespace olivine
