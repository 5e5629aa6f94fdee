// The queues that a device is made with, for engine/ only.
#pragma once

#include <vulkan/vulkan.h>

#include <array>
#include <span>
#include <vector>

#include "engine/device.h"

namespace olivine {

// Priorities that the system knows between programs.
struct GlobalPriorities {
    std::vector<const char*>
        extensions;  // of the device, that bring them; none: it has no such thing
    std::vector<VkQueueFamilyGlobalPriorityPropertiesKHR> families;  // what each queue family lists
};
GlobalPriorities global_priorities(VkPhysicalDevice physical);

// As vkCreateDevice takes them: compute's, and the one for copies where it is another.
class QueueInfos {
public:
    // In the background they have the lowest priority among the device's own queues and, where
    // their family lists it, among the system's. families: GlobalPriorities'.
    QueueInfos(uint32_t compute_family, const DeviceInfo::CopyQueue& copies, bool background,
               std::span<const VkQueueFamilyGlobalPriorityPropertiesKHR> families);
    QueueInfos(const QueueInfos&) = delete;
    QueueInfos& operator=(const QueueInfos&) = delete;

    std::span<const VkDeviceQueueCreateInfo> infos() const { return {infos_.data(), count_}; }
    // Whether one of them asks for the system's lowest.
    bool low() const;
    // Where the system does not permit that.
    void ask_for_nothing();

private:
    std::array<VkDeviceQueueCreateInfo, 2> infos_{};
    uint32_t count_ = 1;
    std::array<float, 2> priorities_{};
    VkDeviceQueueGlobalPriorityCreateInfoKHR low_{
        VK_STRUCTURE_TYPE_DEVICE_QUEUE_GLOBAL_PRIORITY_CREATE_INFO_KHR, nullptr,
        VK_QUEUE_GLOBAL_PRIORITY_LOW_KHR};
};

}  // namespace olivine
