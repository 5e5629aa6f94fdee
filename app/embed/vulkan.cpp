#include "app/embed/vulkan.h"

#include <bit>

#include "engine/error.h"
#include "model/picture.h"

namespace olivine {

HostDevice host_device(const olv_vulkan& given) {
    const auto require = [](const void* there, const char* what) {
        if (!there)
            fail(Fault::bad_input, "olv_vulkan.%s is null.", what);
    };
    require(given.instance, "instance");
    require(given.physical_device, "physical_device");
    require(given.device, "device");
    require(given.queue, "queue");
    require(given.created_with, "created_with");
    if (!given.lock != !given.unlock || !given.allocate != !given.free)
        fail(Fault::bad_input, "olv_vulkan has one of %s without the other.",
             !given.lock != !given.unlock ? "lock and unlock" : "allocate and free");
    HostDevice host;
    host.instance = static_cast<VkInstance>(given.instance);
    host.physical_device = static_cast<VkPhysicalDevice>(given.physical_device);
    host.device = static_cast<VkDevice>(given.device);
    host.queue_family = given.queue_family;
    host.queue = static_cast<VkQueue>(given.queue);
    host.created_with = static_cast<const VkDeviceCreateInfo*>(given.created_with);
    if (given.lock) {
        host.lock = [lock = given.lock, user = given.user] { lock(user); };
        host.unlock = [unlock = given.unlock, user = given.user] { unlock(user); };
    }
    if (!given.allocate)
        return host;
    host.allocate = [allocate = given.allocate, user = given.user](const HostMemoryRequest& wanted,
                                                                   HostMemory& memory) {
        const olv_memory_request request{.size = sizeof request,
                                         .memory_type = wanted.memory_type,
                                         .bytes = wanted.bytes,
                                         .alignment = wanted.alignment,
                                         .map = wanted.mapped,
                                         .address = wanted.address};
        olv_memory given_memory{.size = sizeof given_memory};
        if (allocate(user, &request, &given_memory) != 0)
            return false;
        memory = {.memory = std::bit_cast<VkDeviceMemory>(given_memory.memory),
                  .offset = given_memory.offset,
                  .mapped = given_memory.mapped,
                  .handle = given_memory.handle};
        return true;
    };
    host.free = [free = given.free, user = given.user](const HostMemory& memory) {
        const olv_memory given_back{.size = sizeof given_back,
                                    .memory = std::bit_cast<uint64_t>(memory.memory),
                                    .offset = memory.offset,
                                    .mapped = memory.mapped,
                                    .handle = memory.handle};
        free(user, &given_back);
    };
    return host;
}

HostImage host_image(const olv_vulkan_image& given) {
    if (!given.image)
        fail(Fault::bad_input, "olv_vulkan_image.image is null.");
    if (given.width == 0 || given.height == 0 || given.width > kMaxPictureSide ||
        given.height > kMaxPictureSide || uint64_t{given.width} * given.height > kMaxPicturePixels)
        fail(Fault::bad_input, "The image has %u x %u pixels (at most %u a side, %llu in all).",
             given.width, given.height, kMaxPictureSide,
             static_cast<unsigned long long>(kMaxPicturePixels));
    const auto layout = static_cast<VkImageLayout>(given.layout);
    if (layout == VK_IMAGE_LAYOUT_UNDEFINED || layout == VK_IMAGE_LAYOUT_PREINITIALIZED)
        fail(Fault::bad_input, "olv_vulkan_image.layout is %u, a layout that no image is left in.",
             given.layout);
    return {.image = std::bit_cast<VkImage>(given.image),
            .format = static_cast<VkFormat>(given.format),
            .layout = layout,
            .width = given.width,
            .height = given.height};
}

}  // namespace olivine
