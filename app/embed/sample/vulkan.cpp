#include "vulkan.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <stdexcept>

void check(VkResult result, const char* call) {
    if (result == VK_SUCCESS)
        return;
    std::string text = call;
    text = text.substr(0, text.find('('));
    throw std::runtime_error(text + " fails with VkResult " + std::to_string(result) + ".");
}

// ---- the device --------------------------------------------------------------------------------

namespace {

VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT,
                                          VkDebugUtilsMessageTypeFlagsEXT,
                                          const VkDebugUtilsMessengerCallbackDataEXT* data,
                                          void* count) {
    std::fprintf(stderr, "%s\n", data->pMessage);
    ++*static_cast<uint64_t*>(count);
    return VK_FALSE;
}

template <typename Function>
Function load(VkInstance instance, const char* name) {
    return reinterpret_cast<Function>(vkGetInstanceProcAddr(instance, name));
}

}  // namespace

Vulkan::Vulkan(const Wanted& wanted) {
    make_instance(wanted);
    pick_physical(wanted.number);
    make_device(wanted.device_extensions);
}

Vulkan::~Vulkan() {
    device_.reset();
    if (messenger_)
        load<PFN_vkDestroyDebugUtilsMessengerEXT>(instance(), "vkDestroyDebugUtilsMessengerEXT")(
            instance(), messenger_, nullptr);
}

void Vulkan::wait_idle() {
    const std::lock_guard lock(queue_mutex_);
    VK(vkQueueWaitIdle(queue_));
}

void Vulkan::make_instance(const Wanted& wanted) {
    std::vector<const char*> layers, extensions = wanted.instance_extensions;
    VkDebugUtilsMessengerCreateInfoEXT messages{
        VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT};
    messages.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                               VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    messages.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT;
    messages.pfnUserCallback = on_message;
    messages.pUserData = &validation_messages_;
    if (wanted.validate) {
        layers.push_back("VK_LAYER_KHRONOS_validation");
        extensions.push_back(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
    }
    VkApplicationInfo application{VK_STRUCTURE_TYPE_APPLICATION_INFO};
    application.pApplicationName = "olivine sample";
    application.apiVersion = VK_API_VERSION_1_3;
    VkInstanceCreateInfo info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
    info.pApplicationInfo = &application;
    info.enabledLayerCount = static_cast<uint32_t>(layers.size());
    info.ppEnabledLayerNames = layers.data();
    info.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
    info.ppEnabledExtensionNames = extensions.data();
    VkInstance made{};
    VK(vkCreateInstance(&info, nullptr, &made));
    instance_.reset(made);
    if (wanted.validate)
        VK(load<PFN_vkCreateDebugUtilsMessengerEXT>(made, "vkCreateDebugUtilsMessengerEXT")(
            made, &messages, nullptr, &messenger_));
}

void Vulkan::pick_physical(int number) {
    uint32_t count = 0;
    VK(vkEnumeratePhysicalDevices(instance(), &count, nullptr));
    std::vector<VkPhysicalDevice> devices(count);
    VK(vkEnumeratePhysicalDevices(instance(), &count, devices.data()));
    if (number >= static_cast<int>(count) || count == 0)
        throw std::runtime_error("There is no Vulkan device " +
                                 std::to_string(std::max(number, 0)) + " (there are " +
                                 std::to_string(count) + ").");
    const auto rank = [](VkPhysicalDevice device) {
        VkPhysicalDeviceProperties properties;
        vkGetPhysicalDeviceProperties(device, &properties);
        switch (properties.deviceType) {
        case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 0;
        case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 1;
        case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 2;
        default: return 3;
        }
    };
    physical_ = number >= 0 ? devices[static_cast<size_t>(number)]
                            : *std::ranges::min_element(devices, {}, rank);
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(physical_, &properties);
    name_ = properties.deviceName;
    if (properties.apiVersion < VK_API_VERSION_1_3)
        throw std::runtime_error(name_ + " has no Vulkan 1.3.");

    vkGetPhysicalDeviceQueueFamilyProperties(physical_, &count, nullptr);
    std::vector<VkQueueFamilyProperties> families(count);
    vkGetPhysicalDeviceQueueFamilyProperties(physical_, &count, families.data());
    constexpr VkQueueFlags kBoth = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT;
    const auto family = std::ranges::find_if(
        families, [](const auto& f) { return (f.queueFlags & kBoth) == kBoth; });
    if (family == families.end())
        throw std::runtime_error(name_ + " has no queue for graphics and compute.");
    family_ = static_cast<uint32_t>(family - families.begin());
}

void Vulkan::make_device(const std::vector<const char*>& extensions) {
    extensions_ = extensions;
    features_ = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &features11_};
    features11_ = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, &features12_};
    features12_ = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, &features13_};
    features13_ = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES};
    // All that the device has is switched on: libolivine takes what it finds (olivine.h has a
    // list). Checks of every access are left out, which would cost time.
    vkGetPhysicalDeviceFeatures2(physical_, &features_);
    features_.features.robustBufferAccess = VK_FALSE;
    features13_.robustImageAccess = VK_FALSE;

    static constexpr float kPriority = 1;
    queue_info_ = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
    queue_info_.queueFamilyIndex = family_;
    queue_info_.queueCount = 1;
    queue_info_.pQueuePriorities = &kPriority;
    device_info_ = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, &features_};
    device_info_.queueCreateInfoCount = 1;
    device_info_.pQueueCreateInfos = &queue_info_;
    device_info_.enabledExtensionCount = static_cast<uint32_t>(extensions_.size());
    device_info_.ppEnabledExtensionNames = extensions_.data();
    VkDevice made{};
    VK(vkCreateDevice(physical_, &device_info_, nullptr, &made));
    device_.reset(made);
    vkGetDeviceQueue(made, family_, 0, &queue_);
}

// ---- memory, buffers, images -------------------------------------------------------------------

Memory Vulkan::allocate(const VkMemoryRequirements& needs, VkMemoryPropertyFlags wanted) const {
    VkPhysicalDeviceMemoryProperties types;
    vkGetPhysicalDeviceMemoryProperties(physical_, &types);
    for (uint32_t type = 0; type < types.memoryTypeCount; ++type) {
        if (!(needs.memoryTypeBits >> type & 1) ||
            (types.memoryTypes[type].propertyFlags & wanted) != wanted)
            continue;
        VkMemoryAllocateInfo info{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO};
        info.allocationSize = needs.size;
        info.memoryTypeIndex = type;
        VkDeviceMemory memory{};
        VK(vkAllocateMemory(device(), &info, nullptr, &memory));
        return {device(), memory};
    }
    throw std::runtime_error(name_ + " has no memory of a kind that is needed.");
}

Buffer::Buffer(const Vulkan& vulkan, VkDeviceSize size, VkBufferUsageFlags usage) : bytes(size) {
    VkBufferCreateInfo info{VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
    info.size = size;
    info.usage = usage;
    VkBuffer made{};
    VK(vkCreateBuffer(vulkan.device(), &info, nullptr, &made));
    buffer = {vulkan.device(), made};
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(vulkan.device(), made, &needs);
    memory = vulkan.allocate(
        needs, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
    VK(vkBindBufferMemory(vulkan.device(), made, memory.get(), 0));
    VK(vkMapMemory(vulkan.device(), memory.get(), 0, VK_WHOLE_SIZE, 0, &data));
}

Image::Image(const Vulkan& vulkan, VkExtent2D size, VkFormat wanted, VkImageUsageFlags usage,
             VkSampleCountFlagBits samples)
    : extent(size),
      format(wanted),
      aspect(wanted == VK_FORMAT_D32_SFLOAT ? VK_IMAGE_ASPECT_DEPTH_BIT
                                            : VK_IMAGE_ASPECT_COLOR_BIT) {
    VkImageCreateInfo info{VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO};
    info.imageType = VK_IMAGE_TYPE_2D;
    info.format = format;
    info.extent = {size.width, size.height, 1};
    info.mipLevels = info.arrayLayers = 1;
    info.samples = samples;
    info.usage = usage;
    VkImage made{};
    VK(vkCreateImage(vulkan.device(), &info, nullptr, &made));
    image = {vulkan.device(), made};
    VkMemoryRequirements needs;
    vkGetImageMemoryRequirements(vulkan.device(), made, &needs);
    memory = vulkan.allocate(needs, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
    VK(vkBindImageMemory(vulkan.device(), made, memory.get(), 0));

    VkImageViewCreateInfo view_info{VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO};
    view_info.image = made;
    view_info.viewType = VK_IMAGE_VIEW_TYPE_2D;
    view_info.format = format;
    view_info.subresourceRange = {aspect, 0, 1, 0, 1};
    VkImageView made_view{};
    VK(vkCreateImageView(vulkan.device(), &view_info, nullptr, &made_view));
    view = {vulkan.device(), made_view};
}

void transition(VkCommandBuffer commands, VkImage image, VkImageAspectFlags aspect,
                VkImageLayout from, VkImageLayout to) {
    VkImageMemoryBarrier2 barrier{VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER_2};
    barrier.srcStageMask = barrier.dstStageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT;
    barrier.srcAccessMask = VK_ACCESS_2_MEMORY_WRITE_BIT;
    barrier.dstAccessMask = VK_ACCESS_2_MEMORY_READ_BIT | VK_ACCESS_2_MEMORY_WRITE_BIT;
    barrier.oldLayout = from;
    barrier.newLayout = to;
    barrier.srcQueueFamilyIndex = barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    barrier.image = image;
    barrier.subresourceRange = {aspect, 0, 1, 0, 1};
    VkDependencyInfo info{VK_STRUCTURE_TYPE_DEPENDENCY_INFO};
    info.imageMemoryBarrierCount = 1;
    info.pImageMemoryBarriers = &barrier;
    vkCmdPipelineBarrier2(commands, &info);
}

// ---- drawing -----------------------------------------------------------------------------------

Pipeline make_pipeline(const Vulkan& vulkan, const PipelineWanted& wanted) {
    std::vector<Handle<VkShaderModule, vkDestroyShaderModule>> modules;
    std::vector<VkPipelineShaderStageCreateInfo> stages;
    const auto add = [&](VkShaderStageFlagBits stage, std::span<const uint32_t> words) {
        if (words.empty())
            return;
        VkShaderModuleCreateInfo info{VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
        info.codeSize = words.size_bytes();
        info.pCode = words.data();
        VkShaderModule made{};
        VK(vkCreateShaderModule(vulkan.device(), &info, nullptr, &made));
        modules.emplace_back(vulkan.device(), made);
        VkPipelineShaderStageCreateInfo used{VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO};
        used.stage = stage;
        used.module = made;
        used.pName = "main";
        stages.push_back(used);
    };
    add(VK_SHADER_STAGE_VERTEX_BIT, wanted.vertex);
    add(VK_SHADER_STAGE_FRAGMENT_BIT, wanted.fragment);

    VkPipelineVertexInputStateCreateInfo input{
        VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO};
    input.vertexBindingDescriptionCount = static_cast<uint32_t>(wanted.bindings.size());
    input.pVertexBindingDescriptions = wanted.bindings.data();
    input.vertexAttributeDescriptionCount = static_cast<uint32_t>(wanted.attributes.size());
    input.pVertexAttributeDescriptions = wanted.attributes.data();
    VkPipelineInputAssemblyStateCreateInfo assembly{
        VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO};
    assembly.topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST;
    VkPipelineViewportStateCreateInfo viewport{
        VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO};
    viewport.viewportCount = viewport.scissorCount = 1;
    VkPipelineRasterizationStateCreateInfo raster{
        VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO};
    raster.lineWidth = 1;
    raster.cullMode = wanted.cull;
    raster.depthBiasEnable = wanted.depth_bias > 0;
    raster.depthBiasConstantFactor = raster.depthBiasSlopeFactor = wanted.depth_bias;
    VkPipelineMultisampleStateCreateInfo samples{
        VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO};
    samples.rasterizationSamples = wanted.samples;
    VkPipelineDepthStencilStateCreateInfo depth{
        VK_STRUCTURE_TYPE_PIPELINE_DEPTH_STENCIL_STATE_CREATE_INFO};
    depth.depthTestEnable = wanted.depth != VK_FORMAT_UNDEFINED;
    depth.depthCompareOp = wanted.depth_test;
    depth.depthWriteEnable = wanted.depth_write;
    VkPipelineColorBlendAttachmentState target{};
    target.colorWriteMask = VK_COLOR_COMPONENT_R_BIT | VK_COLOR_COMPONENT_G_BIT |
                            VK_COLOR_COMPONENT_B_BIT | VK_COLOR_COMPONENT_A_BIT;
    if (wanted.blend != PipelineWanted::Blend::none) {
        target.blendEnable = VK_TRUE;
        target.srcColorBlendFactor = VK_BLEND_FACTOR_SRC_ALPHA;
        target.dstColorBlendFactor = wanted.blend == PipelineWanted::Blend::add
                                         ? VK_BLEND_FACTOR_ONE
                                         : VK_BLEND_FACTOR_ONE_MINUS_SRC_ALPHA;
        target.srcAlphaBlendFactor = VK_BLEND_FACTOR_ZERO;  // the image stays opaque
        target.dstAlphaBlendFactor = VK_BLEND_FACTOR_ONE;
    }
    VkPipelineColorBlendStateCreateInfo blend{
        VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO};
    blend.attachmentCount = wanted.colour == VK_FORMAT_UNDEFINED ? 0 : 1;
    blend.pAttachments = &target;
    constexpr std::array kDynamic{VK_DYNAMIC_STATE_VIEWPORT, VK_DYNAMIC_STATE_SCISSOR};
    VkPipelineDynamicStateCreateInfo dynamic{VK_STRUCTURE_TYPE_PIPELINE_DYNAMIC_STATE_CREATE_INFO};
    dynamic.dynamicStateCount = kDynamic.size();
    dynamic.pDynamicStates = kDynamic.data();
    VkPipelineRenderingCreateInfo rendering{VK_STRUCTURE_TYPE_PIPELINE_RENDERING_CREATE_INFO};
    rendering.colorAttachmentCount = blend.attachmentCount;
    rendering.pColorAttachmentFormats = &wanted.colour;
    rendering.depthAttachmentFormat = wanted.depth;

    VkGraphicsPipelineCreateInfo info{VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO, &rendering};
    info.stageCount = static_cast<uint32_t>(stages.size());
    info.pStages = stages.data();
    info.pVertexInputState = &input;
    info.pInputAssemblyState = &assembly;
    info.pViewportState = &viewport;
    info.pRasterizationState = &raster;
    info.pMultisampleState = &samples;
    info.pDepthStencilState = &depth;
    info.pColorBlendState = &blend;
    info.pDynamicState = &dynamic;
    info.layout = wanted.layout;
    VkPipeline made{};
    VK(vkCreateGraphicsPipelines(vulkan.device(), VK_NULL_HANDLE, 1, &info, nullptr, &made));
    return {vulkan.device(), made};
}

void begin_rendering(VkCommandBuffer commands, const Attachments& attachments) {
    VkRenderingAttachmentInfo colour{VK_STRUCTURE_TYPE_RENDERING_ATTACHMENT_INFO};
    colour.imageView = attachments.colour;
    colour.imageLayout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL;
    colour.loadOp = attachments.load;
    colour.storeOp = VK_ATTACHMENT_STORE_OP_STORE;
    if (attachments.resolve) {
        colour.resolveMode = VK_RESOLVE_MODE_AVERAGE_BIT;
        colour.resolveImageView = attachments.resolve;
        colour.resolveImageLayout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL;
        colour.storeOp = VK_ATTACHMENT_STORE_OP_DONT_CARE;
    }
    VkRenderingAttachmentInfo depth{VK_STRUCTURE_TYPE_RENDERING_ATTACHMENT_INFO};
    depth.imageView = attachments.depth;
    depth.imageLayout = VK_IMAGE_LAYOUT_DEPTH_ATTACHMENT_OPTIMAL;
    depth.loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR;
    depth.storeOp = attachments.store_depth;
    depth.clearValue.depthStencil = {1, 0};
    VkRenderingInfo info{VK_STRUCTURE_TYPE_RENDERING_INFO};
    info.renderArea.extent = attachments.extent;
    info.layerCount = 1;
    info.colorAttachmentCount = attachments.colour ? 1 : 0;
    info.pColorAttachments = &colour;
    info.pDepthAttachment = attachments.depth ? &depth : nullptr;
    vkCmdBeginRendering(commands, &info);
    const VkViewport viewport{.width = static_cast<float>(attachments.extent.width),
                              .height = static_cast<float>(attachments.extent.height),
                              .maxDepth = 1};
    vkCmdSetViewport(commands, 0, 1, &viewport);
    vkCmdSetScissor(commands, 0, 1, &info.renderArea);
}
