#include "engine/host_device.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "engine/device_impl.h"
#include "engine/error.h"

namespace olivine {
namespace {

// A host states features by the structs of versions, or by those of the extensions that became part
// of them.
struct Enabled {
    VkPhysicalDeviceVulkan11Features v11{};
    VkPhysicalDeviceVulkan12Features v12{};
    VkPhysicalDeviceVulkan13Features v13{};
    VkPhysicalDeviceConditionalRenderingFeaturesEXT conditional{};
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix{};
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV matrix2{};
    std::span<const char* const> extensions;

    bool has(std::string_view extension) const {
        return std::ranges::find(extensions, extension) != extensions.end();
    }
};

template <typename Features>
const Features& as(const VkBaseInStructure* link) {
    return *reinterpret_cast<const Features*>(link);
}

Enabled enabled_features(const VkDeviceCreateInfo* info) {
    Enabled on;
    if (!info)
        return on;
    if (info->enabledExtensionCount > 0)
        on.extensions = {info->ppEnabledExtensionNames, info->enabledExtensionCount};
    for (auto* link = static_cast<const VkBaseInStructure*>(info->pNext); link; link = link->pNext)
        switch (link->sType) {
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES:
            on.v11 = as<VkPhysicalDeviceVulkan11Features>(link);
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES:
            on.v12 = as<VkPhysicalDeviceVulkan12Features>(link);
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES:
            on.v13 = as<VkPhysicalDeviceVulkan13Features>(link);
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES:
            on.v11.storageBuffer16BitAccess =
                as<VkPhysicalDevice16BitStorageFeatures>(link).storageBuffer16BitAccess;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES:
            on.v12.timelineSemaphore =
                as<VkPhysicalDeviceTimelineSemaphoreFeatures>(link).timelineSemaphore;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES: {
            const auto& types = as<VkPhysicalDeviceShaderFloat16Int8Features>(link);
            on.v12.shaderFloat16 = types.shaderFloat16;
            on.v12.shaderInt8 = types.shaderInt8;
            break;
        }
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES: {
            const auto& model = as<VkPhysicalDeviceVulkanMemoryModelFeatures>(link);
            on.v12.vulkanMemoryModel = model.vulkanMemoryModel;
            on.v12.vulkanMemoryModelDeviceScope = model.vulkanMemoryModelDeviceScope;
            break;
        }
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES:
            on.v12.bufferDeviceAddress =
                as<VkPhysicalDeviceBufferDeviceAddressFeatures>(link).bufferDeviceAddress;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SYNCHRONIZATION_2_FEATURES:
            on.v13.synchronization2 =
                as<VkPhysicalDeviceSynchronization2Features>(link).synchronization2;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES:
            on.v13.maintenance4 = as<VkPhysicalDeviceMaintenance4Features>(link).maintenance4;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES:
            on.v13.shaderIntegerDotProduct =
                as<VkPhysicalDeviceShaderIntegerDotProductFeatures>(link).shaderIntegerDotProduct;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES: {
            const auto& sizes = as<VkPhysicalDeviceSubgroupSizeControlFeatures>(link);
            on.v13.subgroupSizeControl = sizes.subgroupSizeControl;
            on.v13.computeFullSubgroups = sizes.computeFullSubgroups;
            break;
        }
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_CONDITIONAL_RENDERING_FEATURES_EXT:
            on.conditional = as<VkPhysicalDeviceConditionalRenderingFeaturesEXT>(link);
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR:
            on.matrix = as<VkPhysicalDeviceCooperativeMatrixFeaturesKHR>(link);
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV:
            on.matrix2 = as<VkPhysicalDeviceCooperativeMatrix2FeaturesNV>(link);
            break;
        default: break;
        }
    return on;
}

}  // namespace

void restrict_to_host(const HostDevice& host, DeviceInfo& info) {
    const Enabled on = enabled_features(host.created_with);
    const auto require = [&](bool there, const char* what) {
        if (!there)
            fail(Fault::unsupported, "The host's device, %s, lacks %s.", info.name.c_str(), what);
    };
    require(on.v12.timelineSemaphore, "the feature timelineSemaphore (of Vulkan 1.2)");
    require(on.v13.synchronization2, "the feature synchronization2 (of Vulkan 1.3)");
    uint32_t families = 0;
    vkGetPhysicalDeviceQueueFamilyProperties(host.physical_device, &families, nullptr);
    std::vector<VkQueueFamilyProperties> queues(families);
    vkGetPhysicalDeviceQueueFamilyProperties(host.physical_device, &families, queues.data());
    if (host.queue_family >= families)
        fail(Fault::bad_input, "The host's queue is of family %u (there are %u).",
             host.queue_family, families);
    require((queues[host.queue_family].queueFlags & VK_QUEUE_COMPUTE_BIT) != 0,
            "compute on the queue family of the queue that it gives");

    info.copy_queue.reset();  // the host hands over one queue
    info.queue_family = host.queue_family;
    Capabilities& caps = info.capabilities;
    caps.timestamp_bits = queues[host.queue_family].timestampValidBits;
    caps.subgroup_size_pinned =
        caps.subgroup_size_pinned && on.v13.subgroupSizeControl && on.v13.computeFullSubgroups;
    caps.addresses = caps.addresses && on.v12.bufferDeviceAddress;
    caps.conditional = caps.conditional && on.conditional.conditionalRendering &&
                       on.has(VK_EXT_CONDITIONAL_RENDERING_EXTENSION_NAME);
    const bool matrices = caps.subgroup_size_pinned && on.matrix.cooperativeMatrix &&
                          on.has(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME) &&
                          on.v12.shaderFloat16 && on.v12.vulkanMemoryModel &&
                          on.v12.vulkanMemoryModelDeviceScope;
    const auto keep = [&](Rung rung, bool with) {
        caps.available.set(rung, caps.available.has(rung) && with);
        caps.enabled.set(rung, caps.enabled.has(rung) && with);
    };
    keep(Rung::storage16, on.v11.storageBuffer16BitAccess);
    keep(Rung::fp16, on.v12.shaderFloat16);
    keep(Rung::int_dot, on.v13.shaderIntegerDotProduct);
    keep(Rung::coopmat, matrices);
    keep(Rung::coopmat_bf16, false);
    keep(Rung::coopmat_int8, matrices && on.v12.shaderInt8);
    keep(Rung::coopmat2,
         matrices && on.v13.maintenance4 && on.has(VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME) &&
             on.matrix2.cooperativeMatrixFlexibleDimensions &&
             on.matrix2.cooperativeMatrixReductions && on.matrix2.cooperativeMatrixConversions &&
             on.matrix2.cooperativeMatrixPerElementOperations);
}

}  // namespace olivine
