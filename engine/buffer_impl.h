#pragma once

#include <vulkan/vulkan.h>

#include "engine/buffer.h"

VK_DEFINE_HANDLE(VmaAllocation)

namespace olivine {

struct Buffer::Impl {
    Device* device{};
    Arena arena{};
    uint64_t bytes{};
    VkBuffer buffer{};
    VmaAllocation allocation{};
    std::byte* mapped{};
    VkDeviceAddress address{};  // where shaders read it, on devices with Capabilities::addresses
    ~Impl();
};

}  // namespace olivine
