// The driver's compiled pipelines on disk, so that a second start compiles nothing.
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine/device_impl.h"
#include "engine/error.h"
#include "engine/pipeline_cache_file.h"

namespace olivine {
namespace {

PipelineCacheOwner owner_of(VkPhysicalDevice physical) {
    VkPhysicalDeviceDriverProperties driver{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &driver};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    PipelineCacheOwner owner;
    owner.vendor = properties.properties.vendorID;
    owner.device = properties.properties.deviceID;
    owner.driver_version = properties.properties.driverVersion;
    owner.driver_id = driver.driverID;
    static_assert(sizeof owner.uuid == VK_UUID_SIZE);
    std::memcpy(owner.uuid, properties.properties.pipelineCacheUUID, VK_UUID_SIZE);
    return owner;
}

// One file a device and driver, so that two drivers on one machine do not evict each other.
std::string file_of(const std::string& folder, const PipelineCacheOwner& owner) {
    std::string uuid;
    for (const uint8_t byte : owner.uuid)
        uuid += format_text("%02x", byte);
    return folder + "/pipelines-" + uuid + ".bin";
}

std::vector<char> read_file(const std::string& path) {
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(path, error);
    if (error || bytes > kMaxPipelineCacheBytes)
        return {};
    std::vector<char> contents(bytes);
    std::ifstream file(path, std::ios::binary);
    if (!file.read(contents.data(), static_cast<std::streamsize>(bytes)))
        return {};
    return contents;
}

}  // namespace

void load_pipeline_cache(Device::Impl& impl) {
    std::vector<char> file;
    std::span<const char> body;
    if (!impl.options.cache_folder.empty()) {
        const PipelineCacheOwner owner = owner_of(impl.physical);
        file = read_file(file_of(impl.options.cache_folder, owner));
        body = unpack_pipeline_cache(owner, file);
    }
    impl.cache_bytes_loaded = body.size();
    VkPipelineCacheCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    info.initialDataSize = body.size();
    info.pInitialData = body.data();
    VkPipelineCache cache{};
    if (vkCreatePipelineCache(impl.device, &info, nullptr, &cache) != VK_SUCCESS) {
        impl.cache_bytes_loaded = 0;  // pipelines are made without a cache, only slower
        return;
    }
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
        const PipelineCacheOwner owner = owner_of(impl.physical);
        const std::vector<char> contents = pack_pipeline_cache(owner, body);
        std::filesystem::create_directories(impl.options.cache_folder);
        const std::string path = file_of(impl.options.cache_folder, owner);
        const std::string draft = path + format_text(".%d", static_cast<int>(getpid()));
        {
            std::ofstream file(draft, std::ios::binary);
            file.write(contents.data(), static_cast<std::streamsize>(contents.size()));
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
