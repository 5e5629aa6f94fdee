// The driver's compiled pipelines on disk, so that a second start compiles nothing.
//
// File: magic, our version, size and FNV-1a hash of the body, device identity, then what
// vkGetPipelineCacheData gave. Anything that does not fit is treated as an empty cache: drivers have
// crashed on damaged data, so it must not reach them.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine/device_impl.h"
#include "engine/error.h"

namespace olivine {
namespace {

struct Header {
    char magic[8] = {'O', 'L', 'V', 'P', 'I', 'P', 'E', '1'};
    uint64_t body_bytes = 0;
    uint64_t body_hash = 0;
    uint32_t vendor = 0, device = 0, driver_version = 0, driver_id = 0;
    uint8_t cache_uuid[VK_UUID_SIZE] = {};
};

uint64_t fnv1a(const char* data, size_t bytes) {
    uint64_t hash = 14695981039346656037ull;
    for (size_t i = 0; i < bytes; ++i)
        hash = (hash ^ static_cast<unsigned char>(data[i])) * 1099511628211ull;
    return hash;
}

Header header_of(VkPhysicalDevice physical) {
    VkPhysicalDeviceDriverProperties driver{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &driver};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    Header header;
    header.vendor = properties.properties.vendorID;
    header.device = properties.properties.deviceID;
    header.driver_version = properties.properties.driverVersion;
    header.driver_id = driver.driverID;
    std::memcpy(header.cache_uuid, properties.properties.pipelineCacheUUID, VK_UUID_SIZE);
    return header;
}

// One file a device and driver, so that two drivers on one machine do not evict each other.
std::string file_of(const std::string& folder, const Header& header) {
    std::string uuid;
    for (const uint8_t byte : header.cache_uuid)
        uuid += format_text("%02x", byte);
    return folder + "/pipelines-" + uuid + ".bin";
}

std::vector<char> read_body(const std::string& path, const Header& expected) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        return {};
    Header header;
    if (!file.read(reinterpret_cast<char*>(&header), sizeof header))
        return {};
    std::error_code error;
    const uint64_t file_bytes = std::filesystem::file_size(path, error);
    if (error || file_bytes < sizeof header || header.body_bytes != file_bytes - sizeof header)
        return {};
    std::vector<char> body(header.body_bytes);
    if (!file.read(body.data(), static_cast<std::streamsize>(body.size())))
        return {};
    Header wanted = expected;
    wanted.body_bytes = body.size();
    wanted.body_hash = fnv1a(body.data(), body.size());
    if (std::memcmp(&wanted, &header, sizeof header) != 0)
        return {};
    return body;
}

}  // namespace

void load_pipeline_cache(Device::Impl& impl) {
    std::vector<char> body;
    if (!impl.options.cache_folder.empty()) {
        const Header header = header_of(impl.physical);
        body = read_body(file_of(impl.options.cache_folder, header), header);
    }
    impl.cache_bytes_loaded = body.size();
    VkPipelineCacheCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    info.initialDataSize = body.size();
    info.pInitialData = body.data();
    VkPipelineCache cache{};
    VK(vkCreatePipelineCache(impl.device, &info, nullptr, &cache));
    impl.pipeline_cache = {impl.device, cache};
}

void store_pipeline_cache(Device::Impl& impl) noexcept {
    if (impl.options.cache_folder.empty() || !impl.pipeline_cache.get())
        return;
    try {
        size_t bytes = 0;
        if (vkGetPipelineCacheData(impl.device, impl.pipeline_cache.get(), &bytes, nullptr) !=
                VK_SUCCESS ||
            bytes == impl.cache_bytes_loaded)
            return;
        std::vector<char> body(bytes);
        if (vkGetPipelineCacheData(impl.device, impl.pipeline_cache.get(), &bytes, body.data()) !=
            VK_SUCCESS)
            return;
        body.resize(bytes);
        Header header = header_of(impl.physical);
        header.body_bytes = body.size();
        header.body_hash = fnv1a(body.data(), body.size());
        std::filesystem::create_directories(impl.options.cache_folder);
        const std::string path = file_of(impl.options.cache_folder, header);
        const std::string draft = path + format_text(".%d", static_cast<int>(getpid()));
        {
            std::ofstream file(draft, std::ios::binary);
            file.write(reinterpret_cast<const char*>(&header), sizeof header);
            file.write(body.data(), static_cast<std::streamsize>(body.size()));
            if (!file.flush()) {
                std::filesystem::remove(draft);
                return;
            }
        }
        std::filesystem::rename(draft, path);
        impl.cache_bytes_loaded = bytes;
    } catch (...) {
        // A cache that cannot be written costs the next start some time and nothing else.
    }
}

}  // namespace olivine
