// A Vulkan device as a program makes one that hands it over: as little as libolivine takes.
#pragma once

#include <vulkan/vulkan.h>

#include <stdexcept>

#include "app/embed/olivine.h"

namespace olivine::test {

struct BareDevice {
    BareDevice() {
        const auto require = [](VkResult result) {
            if (result < 0)
                throw std::runtime_error("The driver makes no device.");
        };
        VkApplicationInfo application{VK_STRUCTURE_TYPE_APPLICATION_INFO};
        application.apiVersion = VK_API_VERSION_1_3;
        VkInstanceCreateInfo instance_info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
        instance_info.pApplicationInfo = &application;
        require(vkCreateInstance(&instance_info, nullptr, &instance));
        uint32_t count = 1;
        require(vkEnumeratePhysicalDevices(instance, &count, &physical));
        const float priority = 1.0f;
        VkDeviceQueueCreateInfo queue_info{VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
        queue_info.queueCount = 1;
        queue_info.pQueuePriorities = &priority;
        v12.timelineSemaphore = v13.synchronization2 = VK_TRUE;
        v12.pNext = &v13;
        created_with.pNext = &v12;
        created_with.queueCreateInfoCount = 1;
        created_with.pQueueCreateInfos = &queue_info;
        require(vkCreateDevice(physical, &created_with, nullptr, &device));
        created_with.pQueueCreateInfos = nullptr;
        vkGetDeviceQueue(device, 0, 0, &queue);
    }
    ~BareDevice() {
        vkDestroyDevice(device, nullptr);
        vkDestroyInstance(instance, nullptr);
    }
    BareDevice(const BareDevice&) = delete;

    olv_vulkan vulkan() const {
        olv_vulkan given = OLV_VULKAN;
        given.instance = instance;
        given.physical_device = physical;
        given.device = device;
        given.queue = queue;
        given.created_with = &created_with;
        return given;
    }

    VkInstance instance{};
    VkPhysicalDevice physical{};
    VkDevice device{};
    VkQueue queue{};
    VkPhysicalDeviceVulkan13Features v13{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES};
    VkPhysicalDeviceVulkan12Features v12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkDeviceCreateInfo created_with{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO};
};

}  // namespace olivine::test
