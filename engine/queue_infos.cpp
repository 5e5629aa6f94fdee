#include "engine/queue_infos.h"

#include <algorithm>

namespace olivine {
namespace {

bool lists_low(const VkQueueFamilyGlobalPriorityPropertiesKHR& family) {
    const std::span listed(family.priorities, family.priorityCount);
    return std::ranges::find(listed, VK_QUEUE_GLOBAL_PRIORITY_LOW_KHR) != listed.end();
}

}  // namespace

QueueInfos::QueueInfos(uint32_t compute_family, const DeviceInfo::CopyQueue& copies,
                       bool background,
                       std::span<const VkQueueFamilyGlobalPriorityPropertiesKHR> families) {
    priorities_.fill(background ? 0.0f : 0.5f);
    for (VkDeviceQueueCreateInfo& each : infos_) {
        each = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
        each.queueCount = 1;
        each.pQueuePriorities = priorities_.data();
    }
    infos_[0].queueFamilyIndex = compute_family;
    infos_[1].queueFamilyIndex = copies.family;
    if (compute_family == copies.family)
        infos_[0].queueCount = copies.index + 1;
    else
        count_ = 2;
    for (VkDeviceQueueCreateInfo& each : infos_)
        if (background && each.queueFamilyIndex < families.size() &&
            lists_low(families[each.queueFamilyIndex]))
            each.pNext = &low_;
}

bool QueueInfos::low() const {
    return std::ranges::any_of(infos(), [](const auto& each) { return each.pNext != nullptr; });
}

void QueueInfos::ask_for_nothing() {
    for (VkDeviceQueueCreateInfo& each : infos_)
        each.pNext = nullptr;
}

}  // namespace olivine
