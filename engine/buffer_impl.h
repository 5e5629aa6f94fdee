#pragma once

#include <vulkan/vulkan.h>

#include "engine/buffer.h"
#include "engine/host_device.h"

VK_DEFINE_HANDLE(VmaAllocation)

namespace olivine {

struct Buffer::Impl {
    Device* device{};
    Arena arena{};
    uint64_t bytes{};
    VkBuffer buffer{};
    VmaAllocation allocation{};  // or
    HostMemory host{};
    std::byte* mapped{};
    VkDeviceAddress address{};  // where shaders read it, on devices with Capabilities::addresses
    ~Impl();
};

}  // namespace olivine
