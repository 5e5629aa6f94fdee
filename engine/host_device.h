// How a host program hands over its own Vulkan device.
#pragma once

#include <vulkan/vulkan.h>

#include <functional>

namespace olivine {

// The host keeps everything alive until our Device is gone, and has enabled, at least, the features
// timelineSemaphore and synchronization2 on an API version of 1.3.
struct HostDevice {
    VkInstance instance = VK_NULL_HANDLE;
    VkPhysicalDevice physical_device = VK_NULL_HANDLE;
    VkDevice device = VK_NULL_HANDLE;
    uint32_t queue_family = 0;  // supports compute
    VkQueue queue = VK_NULL_HANDLE;
    // Held around each vkQueueSubmit2 of ours; empty when nobody else submits to the queue.
    std::function<void()> lock;
    std::function<void()> unlock;
    bool storage_buffer_16bit = false;   // storageBuffer16BitAccess is enabled
    bool subgroup_size_control = false;  // subgroupSizeControl and computeFullSubgroups are enabled
};

}  // namespace olivine
