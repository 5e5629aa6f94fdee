// How a host program hands over its own Vulkan device, and pictures that it has on it.
#pragma once

#include <vulkan/vulkan.h>

#include <functional>
#include <memory>

#include "engine/buffer.h"

namespace olivine {

// Device memory for one buffer, from the host's allocator.
struct HostMemory {
    VkDeviceMemory memory = VK_NULL_HANDLE;
    uint64_t offset = 0;
    void* mapped = nullptr;  // where the buffer begins; needed where it was asked for
    void* handle = nullptr;  // the host's, for free()
};
struct HostMemoryRequest {
    uint64_t bytes = 0, alignment = 0;
    uint32_t memory_type = 0;  // of vkGetPhysicalDeviceMemoryProperties
    bool mapped = false;       // the type is host-visible and coherent, and the host maps it
    bool address = false;      // allocated with VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT
};

// The host keeps everything alive until our Device is gone. API version 1.3 of the instance and the
// device; of the features, timelineSemaphore and synchronization2 are needed, and others used where
// `created_with` has them.
struct HostDevice {
    VkInstance instance = VK_NULL_HANDLE;
    VkPhysicalDevice physical_device = VK_NULL_HANDLE;
    VkDevice device = VK_NULL_HANDLE;
    uint32_t queue_family = 0;  // supports compute
    VkQueue queue = VK_NULL_HANDLE;
    // Held around each use of the queue; empty when nobody else submits to it from another thread.
    std::function<void()> lock;
    std::function<void()> unlock;
    // What the device was made with, to see what is enabled; looked at while our Device is made.
    const VkDeviceCreateInfo* created_with = nullptr;
    // Both or neither: then memory is ours to allocate. allocate: false = there is none.
    std::function<bool(const HostMemoryRequest& request, HostMemory& memory)> allocate;
    std::function<void(const HostMemory& memory)> free;
};

// An image of the host, of 8-bit RGBA or BGRA, that its queue has rendered, and whose usage
// includes VK_IMAGE_USAGE_TRANSFER_SRC_BIT.
struct HostImage {
    VkImage image = VK_NULL_HANDLE;
    VkFormat format = VK_FORMAT_UNDEFINED;
    VkImageLayout layout = VK_IMAGE_LAYOUT_UNDEFINED;  // when the queue comes to it; as it is left
    uint32_t width = 0, height = 0;                    // of mip level 0, layer 0
};

// Whether the four bytes of a pixel begin with blue. Throws unsupported for formats that are not of
// four bytes of colour, with the format's number.
bool begins_with_blue(VkFormat format);

// Copies an image to a buffer, [height][width][4] bytes in the image's order, behind all that was
// submitted to the host's queue before, and returns at once: the host may draw into the image again
// with what it submits next. Throws unsupported (the format), out_of_memory, device_lost.
std::shared_ptr<const Buffer> copy_image(Device& device, const HostImage& image);

}  // namespace olivine
