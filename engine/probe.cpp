// Finds devices and reads off what they can do.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "engine/device_impl.h"
#include "engine/error.h"
#include "engine/queue_infos.h"

namespace olivine {
namespace {

constexpr uint32_t kApiVersion = VK_API_VERSION_1_3;
constexpr const char* kValidationLayer = "VK_LAYER_KHRONOS_validation";

VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT,
                                          VkDebugUtilsMessageTypeFlagsEXT,
                                          const VkDebugUtilsMessengerCallbackDataEXT* data,
                                          void* device) {
    ++static_cast<Device::Impl*>(device)->messages;
    std::fprintf(stderr, "vulkan: %s\n", data->pMessage);
    return VK_FALSE;
}

bool has_layer(const char* wanted) {
    uint32_t count = 0;
    VK(vkEnumerateInstanceLayerProperties(&count, nullptr));
    std::vector<VkLayerProperties> layers(count);
    VK(vkEnumerateInstanceLayerProperties(&count, layers.data()));
    for (const VkLayerProperties& layer : layers)
        if (std::strcmp(layer.layerName, wanted) == 0)
            return true;
    return false;
}

bool has_extension(VkPhysicalDevice physical, const char* wanted) {
    uint32_t count = 0;
    VK(vkEnumerateDeviceExtensionProperties(physical, nullptr, &count, nullptr));
    std::vector<VkExtensionProperties> extensions(count);
    VK(vkEnumerateDeviceExtensionProperties(physical, nullptr, &count, extensions.data()));
    for (const VkExtensionProperties& extension : extensions)
        if (std::strcmp(extension.extensionName, wanted) == 0)
            return true;
    return false;
}

bool has_conditional_rendering(VkPhysicalDevice physical) {
    if (!has_extension(physical, VK_EXT_CONDITIONAL_RENDERING_EXTENSION_NAME))
        return false;
    VkPhysicalDeviceConditionalRenderingFeaturesEXT conditional{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_CONDITIONAL_RENDERING_FEATURES_EXT};
    VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &conditional};
    vkGetPhysicalDeviceFeatures2(physical, &features);
    return conditional.conditionalRendering;
}

// What the system would let us take of a heap now, besides what other programs have.
uint64_t free_bytes(VkPhysicalDevice physical, uint32_t heap, uint64_t heap_bytes) {
    if (!has_extension(physical, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME))
        return heap_bytes;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
                                             &budget};
    vkGetPhysicalDeviceMemoryProperties2(physical, &memory);
    const uint64_t bytes = budget.heapBudget[heap];
    return bytes > 0 ? std::min(bytes, heap_bytes) : heap_bytes;
}

const char* type_name(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "discrete";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return "cpu";
    default: return "other";
    }
}

// Of the shapes that multiply these types, the one that fits best: 16 x 16 if there is one (square,
// and what most devices are built for), with the longest sum.
MatrixShape pick_shape(const std::vector<VkCooperativeMatrixPropertiesKHR>& shapes,
                       VkComponentTypeKHR factor, VkComponentTypeKHR sum) {
    MatrixShape best;
    const auto merit = [](const MatrixShape& shape) {
        return (shape.m == 16 && shape.n == 16 ? 1024 : 0) + shape.k;
    };
    for (const VkCooperativeMatrixPropertiesKHR& each : shapes) {
        const MatrixShape shape{each.MSize, each.NSize, each.KSize};
        if (each.scope == VK_SCOPE_SUBGROUP_KHR && each.AType == factor && each.BType == factor &&
            each.CType == sum && each.ResultType == sum && !each.saturatingAccumulation &&
            merit(shape) > merit(best))
            best = shape;
    }
    return best;
}

// What VK_KHR_cooperative_matrix and VK_NV_cooperative_matrix2 offer, where what they need is there.
void probe_cooperative_matrix(VkPhysicalDevice physical, VkInstance instance,
                              const VkPhysicalDeviceVulkan12Features& v12, Capabilities& caps) {
    if (!has_extension(physical, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME) ||
        !caps.subgroup_size_pinned || !v12.vulkanMemoryModel ||
        !v12.vulkanMemoryModelDeviceScope || !v12.shaderFloat16)
        return;
    const auto enumerate = reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR>(
        vkGetInstanceProcAddr(instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
    if (!enumerate)
        return;
    uint32_t count = 0;
    VK(enumerate(physical, &count, nullptr));
    std::vector<VkCooperativeMatrixPropertiesKHR> shapes(
        count, {VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR});
    VK(enumerate(physical, &count, shapes.data()));
    caps.coopmat = pick_shape(shapes, VK_COMPONENT_TYPE_FLOAT16_KHR, VK_COMPONENT_TYPE_FLOAT32_KHR);
    caps.available.set(Rung::coopmat, caps.coopmat.k > 0);
    // Its sums are scaled as f32 in matrices of the same size, which must exist, too.
    std::vector<VkCooperativeMatrixPropertiesKHR> scalable;
    for (const VkCooperativeMatrixPropertiesKHR& shape : shapes)
        if (std::any_of(shapes.begin(), shapes.end(), [&](const auto& other) {
                return other.MSize == shape.MSize && other.NSize == shape.NSize &&
                       other.ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
                       other.scope == VK_SCOPE_SUBGROUP_KHR;
            }))
            scalable.push_back(shape);
    caps.coopmat_int8 = pick_shape(scalable, VK_COMPONENT_TYPE_SINT8_KHR, VK_COMPONENT_TYPE_SINT32_KHR);
    caps.available.set(Rung::coopmat_int8, caps.coopmat_int8.k > 0 && v12.shaderInt8);

    if (!has_extension(physical, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME))
        return;
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV matrix2{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV};
    VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &matrix2};
    vkGetPhysicalDeviceFeatures2(physical, &features);
    const auto granularities =
        reinterpret_cast<PFN_vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV>(
            vkGetInstanceProcAddr(
                instance, "vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV"));
    if (!granularities || !matrix2.cooperativeMatrixFlexibleDimensions ||
        !matrix2.cooperativeMatrixReductions || !matrix2.cooperativeMatrixConversions ||
        !matrix2.cooperativeMatrixPerElementOperations)
        return;
    VkPhysicalDeviceCooperativeMatrix2PropertiesNV limits{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_PROPERTIES_NV};
    VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &limits};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    VK(granularities(physical, &count, nullptr));
    std::vector<VkCooperativeMatrixFlexibleDimensionsPropertiesNV> flexible(
        count, {VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_FLEXIBLE_DIMENSIONS_PROPERTIES_NV});
    VK(granularities(physical, &count, flexible.data()));
    constexpr uint32_t kLargest = 128;  // of the shaders' matrices
    for (const auto& each : flexible)
        if (each.AType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
            each.BType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
            each.CType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
            each.ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && !each.saturatingAccumulation &&
            each.scope == VK_SCOPE_SUBGROUP_KHR && caps.coopmat2.k == 0)
            caps.coopmat2 = {each.MGranularity, each.NGranularity, each.KGranularity};
    caps.available.set(Rung::coopmat2,
                       caps.coopmat2.k > 0 &&
                           limits.cooperativeMatrixFlexibleDimensionsMaxDimension >= kLargest);
}

std::string why_unusable(const VkPhysicalDeviceProperties& properties,
                         const VkPhysicalDeviceVulkan12Features& v12,
                         const VkPhysicalDeviceVulkan13Features& v13, bool has_compute_queue) {
    const VkPhysicalDeviceLimits& limits = properties.limits;
    if (properties.apiVersion < kApiVersion)
        return "it has Vulkan " + std::to_string(VK_API_VERSION_MAJOR(properties.apiVersion)) + "." +
               std::to_string(VK_API_VERSION_MINOR(properties.apiVersion)) + ", 1.3 is needed";
    if (!has_compute_queue)
        return "it has no compute queue";
    if (!v12.timelineSemaphore)
        return "it lacks timelineSemaphore";
    if (!v13.synchronization2)
        return "it lacks synchronization2";
    if (limits.maxStorageBufferRange < (1u << 27))
        return format_text("its storage buffers reach %u bytes, 128 MiB are needed",
                           limits.maxStorageBufferRange);
    if (limits.maxPerStageDescriptorStorageBuffers < 8)
        return format_text("its shaders take %u storage buffers, 8 are needed",
                           limits.maxPerStageDescriptorStorageBuffers);
    if (limits.maxComputeWorkGroupInvocations < 128 || limits.maxComputeSharedMemorySize < 16384)
        return format_text("its workgroups have %u invocations and %u bytes of shared memory, 128 and "
                           "16384 are needed",
                           limits.maxComputeWorkGroupInvocations, limits.maxComputeSharedMemorySize);
    return {};
}

// OLIVINE_COPY_QUEUE=0 is for drivers whose queue for copies is faulty.
bool wants_copy_queue() {
    const char* environment = std::getenv("OLIVINE_COPY_QUEUE");
    return !environment || std::string_view(environment) != "0";
}

}  // namespace

void check_result(VkResult result, const char* call) {
    if (result >= 0)
        return;
    const std::string name(call, std::strcspn(call, "("));
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
        fail(Fault::out_of_memory, "The driver is out of memory in %s (VkResult %d).", name.c_str(),
             result);
    case VK_ERROR_DEVICE_LOST:
        fail(Fault::device_lost, "The driver lost the device in %s.", name.c_str());
    case VK_ERROR_INCOMPATIBLE_DRIVER:
        fail(Fault::no_device, "The Vulkan loader finds no driver (%s).", name.c_str());
    case VK_ERROR_FEATURE_NOT_PRESENT:
    case VK_ERROR_EXTENSION_NOT_PRESENT:
        fail(Fault::unsupported, "%s says that a feature or extension is missing (VkResult %d).",
             name.c_str(), result);
    default: fail(Fault::internal, "%s returns VkResult %d.", name.c_str(), result);
    }
}

VkInstance create_instance(bool validation, Device::Impl* messages_to,
                           VkDebugUtilsMessengerEXT* messenger) {
    VkApplicationInfo application{VK_STRUCTURE_TYPE_APPLICATION_INFO};
    application.pApplicationName = "olivine";
    application.apiVersion = kApiVersion;
    VkInstanceCreateInfo info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
    info.pApplicationInfo = &application;

    // With OLIVINE_VALIDATION=gpu the layer rewrites the shaders, too, so that they check each access
    // to a buffer; that needs a descriptor set of the layer's own.
    const VkValidationFeatureEnableEXT enabled[] = {
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT,
        VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_EXT,
        VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_RESERVE_BINDING_SLOT_EXT};
    const char* kind = std::getenv("OLIVINE_VALIDATION");
    VkValidationFeaturesEXT features{VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT};
    features.enabledValidationFeatureCount = kind && std::strcmp(kind, "gpu") == 0 ? 3 : 1;
    features.pEnabledValidationFeatures = enabled;
    const char* extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME,
                                VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME};
    if (validation) {
        if (!has_layer(kValidationLayer))
            fail(Fault::unsupported,
                 "Validation is asked for, but the layer %s is not installed (Debian package "
                 "vulkan-validationlayers).",
                 kValidationLayer);
        info.pNext = &features;
        info.enabledLayerCount = 1;
        info.ppEnabledLayerNames = &kValidationLayer;
        info.enabledExtensionCount = 2;
        info.ppEnabledExtensionNames = extensions;
    }
    VkInstance instance{};
    VK(vkCreateInstance(&info, nullptr, &instance));
    if (validation) {
        VkDebugUtilsMessengerCreateInfoEXT messages{
            VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT};
        messages.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT |
                                   VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT;
        messages.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                               VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT;
        messages.pfnUserCallback = on_message;
        messages.pUserData = messages_to;
        const auto create = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
            vkGetInstanceProcAddr(instance, "vkCreateDebugUtilsMessengerEXT"));
        VkDebugUtilsMessengerEXT made{};
        const VkResult result = create(instance, &messages, nullptr, &made);
        if (result < 0)
            vkDestroyInstance(instance, nullptr);
        check_result(result, "vkCreateDebugUtilsMessengerEXT");
        *messenger = made;
    }
    return instance;
}

void fill_info(VkPhysicalDevice physical, VkInstance instance, uint32_t index, DeviceInfo& info) {
    VkPhysicalDeviceSubgroupSizeControlProperties subgroup_sizes{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
    VkPhysicalDeviceShaderIntegerDotProductProperties dot{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES, &subgroup_sizes};
    VkPhysicalDeviceMaintenance3Properties sizes{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, &dot};
    VkPhysicalDeviceSubgroupProperties subgroup{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, &sizes};
    VkPhysicalDeviceIDProperties id{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES, &subgroup};
    VkPhysicalDeviceDriverProperties driver{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES, &id};
    VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &driver};
    vkGetPhysicalDeviceProperties2(physical, &properties);

    VkPhysicalDeviceVulkan13Features v13{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES};
    VkPhysicalDeviceVulkan12Features v12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, &v13};
    VkPhysicalDeviceVulkan11Features v11{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, &v12};
    VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &v11};
    vkGetPhysicalDeviceFeatures2(physical, &features);

    VkPhysicalDeviceMemoryProperties memory{};
    vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    uint32_t families = 0;
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &families, nullptr);
    std::vector<VkQueueFamilyProperties> queues(families);
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &families, queues.data());
    // A compute-only family keeps us out of the way of the desktop's rendering.
    info.queue_family = families;
    for (uint32_t i = 0; i < families; ++i)
        if ((queues[i].queueFlags & VK_QUEUE_COMPUTE_BIT) &&
            (info.queue_family == families || !(queues[i].queueFlags & VK_QUEUE_GRAPHICS_BIT)))
            info.queue_family = i;
    const bool compute = info.queue_family < families;
    // Queues that only copy are engines of their own: they copy while shaders run.
    if (compute && queues[info.queue_family].queueCount > 1)
        info.copy_queue = {info.queue_family, 1};
    constexpr VkQueueFlags kBesides = VK_QUEUE_SPARSE_BINDING_BIT | VK_QUEUE_PROTECTED_BIT;
    for (uint32_t i = 0; i < families; ++i)
        if ((queues[i].queueFlags & ~kBesides) == VK_QUEUE_TRANSFER_BIT)
            info.copy_queue = {i, 0};
    if (!wants_copy_queue())
        info.copy_queue.reset();

    const VkPhysicalDeviceProperties& core = properties.properties;
    info.index = index;
    info.name = core.deviceName;
    std::copy_n(id.deviceUUID, info.uuid.size(), info.uuid.begin());
    info.driver = std::string(driver.driverName) +
                  (driver.driverInfo[0] ? std::string(" ") + driver.driverInfo : std::string());
    info.type = type_name(core.deviceType);
    info.api_version = format_text("%u.%u.%u", VK_API_VERSION_MAJOR(core.apiVersion),
                                   VK_API_VERSION_MINOR(core.apiVersion),
                                   VK_API_VERSION_PATCH(core.apiVersion));
    info.memory_bytes = 0;
    uint32_t heap = 0;
    // By the types, since a driver without hardware lists heaps that nothing can be taken from.
    for (uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
        const uint32_t at = memory.memoryTypes[i].heapIndex;
        if ((memory.memoryTypes[i].propertyFlags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) &&
            memory.memoryHeaps[at].size > info.memory_bytes) {
            info.memory_bytes = memory.memoryHeaps[at].size;
            heap = at;
        }
    }
    info.free_bytes = info.memory_bytes;
    // RADV without hardware ends with a signal when it is asked.
    if (info.memory_bytes > 0 && core.deviceType != VK_PHYSICAL_DEVICE_TYPE_CPU)
        info.free_bytes = free_bytes(physical, heap, info.memory_bytes);
    info.unusable = why_unusable(core, v12, v13, compute);

    Capabilities& caps = info.capabilities;
    caps.software = core.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
    caps.shared_memory =
        caps.software || core.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
    caps.addresses = caps.software && v12.bufferDeviceAddress;
    caps.conditional = has_conditional_rendering(physical);
    caps.subgroup_size = subgroup.subgroupSize;
    caps.subgroup_size_pinned = v13.subgroupSizeControl && v13.computeFullSubgroups &&
                                (subgroup_sizes.requiredSubgroupSizeStages &
                                 VK_SHADER_STAGE_COMPUTE_BIT) != 0;
    // Intel compiles for 8, 16 or 32 lanes as it sees fit; 16 suits reductions best.
    if (caps.subgroup_size_pinned && subgroup_sizes.minSubgroupSize <= 16 &&
        subgroup_sizes.maxSubgroupSize >= 32 && core.vendorID == 0x8086)
        caps.subgroup_size = 16;
    caps.max_subgroups = subgroup_sizes.maxComputeWorkgroupSubgroups;
    caps.max_threads = core.limits.maxComputeWorkGroupInvocations;
    caps.max_shared_bytes = core.limits.maxComputeSharedMemorySize;
    caps.max_range_bytes = core.limits.maxStorageBufferRange;
    caps.max_buffer_bytes = std::min<uint64_t>(sizes.maxMemoryAllocationSize, uint64_t{1} << 40);
    caps.offset_alignment =
        std::max<uint32_t>(16, static_cast<uint32_t>(core.limits.minStorageBufferOffsetAlignment));
    caps.timestamp_bits = compute ? queues[info.queue_family].timestampValidBits : 0;
    caps.timestamp_ns = core.limits.timestampPeriod;

    const VkSubgroupFeatureFlags arithmetic = VK_SUBGROUP_FEATURE_BASIC_BIT |
                                              VK_SUBGROUP_FEATURE_ARITHMETIC_BIT |
                                              VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    caps.available.set(Rung::subgroup,
                       (subgroup.supportedOperations & arithmetic) == arithmetic &&
                           (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0);
    caps.available.set(Rung::storage16, v11.storageBuffer16BitAccess);
    caps.available.set(Rung::fp16, v12.shaderFloat16);
    caps.available.set(Rung::int_dot, v13.shaderIntegerDotProduct);
    caps.fast_int_dot = dot.integerDotProduct4x8BitPackedSignedAccelerated;
    probe_cooperative_matrix(physical, instance, v12, caps);
    caps.enabled = caps.available;
    caps.enabled.set(Rung::int_dot, caps.available.has(Rung::int_dot) && caps.fast_int_dot);
    // Software takes longer over a half or a matrix than over the same in f32, and loads a half no
    // faster than a word: on lavapipe, attention has a tenth more code with 16-bit loads.
    if (caps.software)
        caps.enabled = caps.enabled.up_to(Rung::subgroup);
}

GlobalPriorities global_priorities(VkPhysicalDevice physical) {
    GlobalPriorities found;
    // One that is part of Vulkan 1.4, or the two that it comes from.
    if (has_extension(physical, VK_KHR_GLOBAL_PRIORITY_EXTENSION_NAME))
        found.extensions = {VK_KHR_GLOBAL_PRIORITY_EXTENSION_NAME};
    else if (has_extension(physical, VK_EXT_GLOBAL_PRIORITY_EXTENSION_NAME) &&
             has_extension(physical, VK_EXT_GLOBAL_PRIORITY_QUERY_EXTENSION_NAME))
        found.extensions = {VK_EXT_GLOBAL_PRIORITY_EXTENSION_NAME,
                            VK_EXT_GLOBAL_PRIORITY_QUERY_EXTENSION_NAME};
    else
        return {};
    VkPhysicalDeviceGlobalPriorityQueryFeaturesKHR query{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_GLOBAL_PRIORITY_QUERY_FEATURES_KHR};
    VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &query};
    vkGetPhysicalDeviceFeatures2(physical, &features);
    if (!query.globalPriorityQuery)
        return {};
    uint32_t count = 0;
    vkGetPhysicalDeviceQueueFamilyProperties2(physical, &count, nullptr);
    found.families.resize(count, {VK_STRUCTURE_TYPE_QUEUE_FAMILY_GLOBAL_PRIORITY_PROPERTIES_KHR});
    std::vector<VkQueueFamilyProperties2> families(count,
                                                   {VK_STRUCTURE_TYPE_QUEUE_FAMILY_PROPERTIES_2});
    for (uint32_t i = 0; i < count; ++i)
        families[i].pNext = &found.families[i];
    vkGetPhysicalDeviceQueueFamilyProperties2(physical, &count, families.data());
    return found;
}

std::vector<DeviceInfo> list_devices() {
    Device::Impl owner;  // destroys the instance
    try {
        owner.instance = create_instance(false, nullptr, nullptr);
    } catch (const Error& error) {
        if (error.fault() == Fault::no_device)
            return {};  // a loader without drivers says so by failing: nothing is here
        throw;
    }
    uint32_t count = 0;
    VK(vkEnumeratePhysicalDevices(owner.instance, &count, nullptr));
    std::vector<VkPhysicalDevice> physical(count);
    VK(vkEnumeratePhysicalDevices(owner.instance, &count, physical.data()));
    std::vector<DeviceInfo> list(count);
    for (uint32_t i = 0; i < count; ++i)
        fill_info(physical[i], owner.instance, i, list[i]);
    return list;
}

}  // namespace olivine
