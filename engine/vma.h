// VulkanMemoryAllocator with our settings, for engine/ only.
#pragma once

#include <vulkan/vulkan.h>

#define VMA_STATIC_VULKAN_FUNCTIONS 0
#define VMA_DYNAMIC_VULKAN_FUNCTIONS 1
#define VMA_VULKAN_VERSION 1003000
// Debian 13 and others put the header into the include folder itself, the LunarG SDK into vma/.
#if __has_include(<vk_mem_alloc.h>)
#include <vk_mem_alloc.h>
#else
#include <vma/vk_mem_alloc.h>
#endif
