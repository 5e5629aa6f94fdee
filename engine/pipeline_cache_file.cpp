#include "engine/pipeline_cache_file.h"

#include <algorithm>
#include <cstring>

namespace olivine {
namespace {

struct Header {
    char magic[8] = {'O', 'L', 'V', 'P', 'I', 'P', 'E', '1'};
    uint64_t body_bytes = 0;
    uint64_t body_hash = 0;
    PipelineCacheOwner owner;
};
static_assert(sizeof(Header) == 56);  // compared as bytes

Header header_of(const PipelineCacheOwner& owner, std::span<const char> body) {
    Header header;
    header.body_bytes = body.size();
    header.body_hash = 14695981039346656037ull;
    for (const char byte : body)
        header.body_hash =
            (header.body_hash ^ static_cast<unsigned char>(byte)) * 1099511628211ull;
    header.owner = owner;
    return header;
}

}  // namespace

std::vector<char> pack_pipeline_cache(const PipelineCacheOwner& owner, std::span<const char> body) {
    const Header header = header_of(owner, body);
    std::vector<char> file(sizeof header + body.size());
    std::memcpy(file.data(), &header, sizeof header);
    std::copy(body.begin(), body.end(), file.begin() + sizeof header);
    return file;
}

std::span<const char> unpack_pipeline_cache(const PipelineCacheOwner& owner,
                                            std::span<const char> file) {
    if (file.size() <= sizeof(Header))
        return {};
    const std::span<const char> body = file.subspan(sizeof(Header));
    const Header header = header_of(owner, body);
    return std::memcmp(&header, file.data(), sizeof header) == 0 ? body : std::span<const char>{};
}

}  // namespace olivine
