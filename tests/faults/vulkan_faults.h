// Makes Vulkan calls of this program fail on purpose, and watches what becomes of the objects.
//
// vulkan_faults.cpp defines the vk* functions that return a VkResult, and those that destroy
// something, so that the engine's calls and VulkanMemoryAllocator's arrive there first; they are
// forwarded to the loader's. Output parameters of a failed call hold rubbish, as the specification
// allows. One device at a time.
#pragma once

#include <vulkan/vulkan.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace olivine::test {

// The call that fails: the `occurrence`-th of a function, counted from 1.
struct VulkanFault {
    std::string function;
    uint32_t occurrence = 0;
    VkResult result = VK_SUCCESS;
    bool for_good = false;  // and all that follow
};

struct VulkanReport {
    std::map<std::string, uint32_t> calls;  // of each function that returns a VkResult
    bool injected = false;                  // whether the fault's call came
    std::vector<std::string> misuse;        // destroyed twice, left over, or while in use
};

// Begins to count anew, with no fault (an empty function) or one. A device that is lost stays lost:
// from then on its queue answers VK_ERROR_DEVICE_LOST until the device is destroyed.
void watch_vulkan(const VulkanFault& fault = {});

// The same, while objects are there that were made before. Returns what has happened until now.
VulkanReport go_on_watching(const VulkanFault& fault = {});

// What has happened since; objects that are still there are misuse.
VulkanReport take_vulkan_report();

}  // namespace olivine::test
