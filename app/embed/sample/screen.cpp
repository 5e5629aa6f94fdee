#include "screen.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>

struct Screen::Swapchain {
    Swapchain(VkInstance owner, VkSurfaceKHR target) : instance(owner), surface(target) {}
    ~Swapchain() {
        images.clear();
        chain = {};
        vkDestroySurfaceKHR(instance, surface, nullptr);
    }
    struct Target {
        VkImage image;
        Semaphore drawn;
    };
    VkInstance instance;
    VkSurfaceKHR surface;
    Handle<VkSwapchainKHR, vkDestroySwapchainKHR> chain;
    VkExtent2D extent{};
    std::vector<Target> images;
    Semaphore acquired;
    uint32_t now = 0;  // the image of this frame
};

namespace {

Semaphore make_semaphore(VkDevice device) {
    const VkSemaphoreCreateInfo info{VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO};
    VkSemaphore made{};
    VK(vkCreateSemaphore(device, &info, nullptr, &made));
    return {device, made};
}

// What is not wrong with a swapchain that no longer fits its window.
bool usable(VkResult result, const char* call) {
    if (result == VK_ERROR_OUT_OF_DATE_KHR)
        return false;
    check(result == VK_SUBOPTIMAL_KHR ? VK_SUCCESS : result, call);
    return true;
}

}  // namespace

Screen::Screen(Vulkan& vulkan, VkExtent2D extent, const Window* window)
    : vulkan_(vulkan),
      canvas_(vulkan, extent, VK_FORMAT_R8G8B8A8_UNORM,
              VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT) {
    const VkDevice device = vulkan.device();
    VkCommandPoolCreateInfo pool_info{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    pool_info.queueFamilyIndex = vulkan.queue_family();
    VkCommandPool pool{};
    VK(vkCreateCommandPool(device, &pool_info, nullptr, &pool));
    pool_ = {device, pool};
    VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
    info.commandPool = pool;
    info.commandBufferCount = 1;
    VK(vkAllocateCommandBuffers(device, &info, &commands_));
    VkFenceCreateInfo fence_info{VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    fence_info.flags = VK_FENCE_CREATE_SIGNALED_BIT;
    VkFence fence{};
    VK(vkCreateFence(device, &fence_info, nullptr, &fence));
    done_ = {device, fence};
    if (window) {
        swapchain_ =
            std::make_unique<Swapchain>(vulkan.instance(), window->make_surface(vulkan.instance()));
        swapchain_->acquired = make_semaphore(device);
        make_swapchain();
    }
}

Screen::~Screen() = default;

void Screen::make_swapchain() {
    const VkPhysicalDevice physical = vulkan_.physical();
    const VkSurfaceKHR surface = swapchain_->surface;
    VkBool32 can_present = VK_FALSE;
    VK(vkGetPhysicalDeviceSurfaceSupportKHR(physical, vulkan_.queue_family(), surface,
                                            &can_present));
    if (!can_present)
        throw std::runtime_error(vulkan_.name() + " cannot present to this window.");
    VkSurfaceCapabilitiesKHR able;
    VK(vkGetPhysicalDeviceSurfaceCapabilitiesKHR(physical, surface, &able));
    uint32_t count = 0;
    VK(vkGetPhysicalDeviceSurfaceFormatsKHR(physical, surface, &count, nullptr));
    std::vector<VkSurfaceFormatKHR> formats(count);
    VK(vkGetPhysicalDeviceSurfaceFormatsKHR(physical, surface, &count, formats.data()));
    const auto fits = [](const VkSurfaceFormatKHR& f) {  // the canvas has sRGB values already
        return f.format == VK_FORMAT_B8G8R8A8_UNORM || f.format == VK_FORMAT_R8G8B8A8_UNORM;
    };
    const auto format = std::ranges::find_if(formats, fits);
    if (format == formats.end())
        throw std::runtime_error("The window has no format of 8 bits a channel.");

    swapchain_->extent =
        able.currentExtent.width == UINT32_MAX ? canvas_.extent : able.currentExtent;
    VkSwapchainCreateInfoKHR info{VK_STRUCTURE_TYPE_SWAPCHAIN_CREATE_INFO_KHR};
    info.surface = surface;
    info.minImageCount =
        std::max(able.minImageCount, std::min(3u, able.maxImageCount ? able.maxImageCount : 3));
    info.imageFormat = format->format;
    info.imageColorSpace = format->colorSpace;
    info.imageExtent = swapchain_->extent;
    info.imageArrayLayers = 1;
    info.imageUsage = VK_IMAGE_USAGE_TRANSFER_DST_BIT;
    info.preTransform = able.currentTransform;
    info.compositeAlpha = VK_COMPOSITE_ALPHA_OPAQUE_BIT_KHR;
    info.presentMode = VK_PRESENT_MODE_FIFO_KHR;
    info.clipped = VK_TRUE;
    info.oldSwapchain = swapchain_->chain.get();
    VkSwapchainKHR made{};
    VK(vkCreateSwapchainKHR(vulkan_.device(), &info, nullptr, &made));
    swapchain_->chain = {vulkan_.device(), made};

    VK(vkGetSwapchainImagesKHR(vulkan_.device(), made, &count, nullptr));
    std::vector<VkImage> images(count);
    VK(vkGetSwapchainImagesKHR(vulkan_.device(), made, &count, images.data()));
    swapchain_->images.clear();
    for (const VkImage image : images)
        swapchain_->images.push_back({image, make_semaphore(vulkan_.device())});
}

void Screen::wait() {
    const VkFence fence = done_.get();
    VK(vkWaitForFences(vulkan_.device(), 1, &fence, VK_TRUE, UINT64_MAX));
}

VkCommandBuffer Screen::begin() {
    if (swapchain_) {
        const auto acquire = [&] {
            return vkAcquireNextImageKHR(vulkan_.device(), swapchain_->chain.get(), UINT64_MAX,
                                         swapchain_->acquired.get(), VK_NULL_HANDLE,
                                         &swapchain_->now);
        };
        if (!usable(acquire(), "vkAcquireNextImageKHR()")) {
            vulkan_.wait_idle();
            make_swapchain();
            usable(acquire(), "vkAcquireNextImageKHR()");
        }
    }
    VK(vkResetCommandPool(vulkan_.device(), pool_.get(), 0));
    VkCommandBufferBeginInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    info.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    VK(vkBeginCommandBuffer(commands_, &info));
    transition(commands_, canvas_.image.get(), canvas_.aspect, VK_IMAGE_LAYOUT_UNDEFINED,
               VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL);
    return commands_;
}

void Screen::end() {
    transition(commands_, canvas_.image.get(), canvas_.aspect,
               VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    if (!swapchain_) {
        submit(VK_NULL_HANDLE, VK_NULL_HANDLE);
        return;
    }
    const Swapchain::Target& target = swapchain_->images[swapchain_->now];
    show(commands_, target.image);
    const VkSemaphore drawn = target.drawn.get();
    submit(swapchain_->acquired.get(), drawn);
    const VkSwapchainKHR chain = swapchain_->chain.get();
    VkPresentInfoKHR info{VK_STRUCTURE_TYPE_PRESENT_INFO_KHR};
    info.waitSemaphoreCount = 1;
    info.pWaitSemaphores = &drawn;
    info.swapchainCount = 1;
    info.pSwapchains = &chain;
    info.pImageIndices = &swapchain_->now;
    const std::lock_guard lock(vulkan_.queue_mutex());
    usable(vkQueuePresentKHR(vulkan_.queue(), &info),
           "vkQueuePresentKHR()");  // the next begin() sees to it
}

// The canvas goes to the window, as large as that is on this display.
void Screen::show(VkCommandBuffer commands, VkImage image) {
    transition(commands, image, VK_IMAGE_ASPECT_COLOR_BIT, VK_IMAGE_LAYOUT_UNDEFINED,
               VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    const auto corner = [](VkExtent2D extent) {
        return VkOffset3D{static_cast<int32_t>(extent.width), static_cast<int32_t>(extent.height),
                          1};
    };
    const VkImageBlit region{{VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
                             {{}, corner(canvas_.extent)},
                             {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
                             {{}, corner(swapchain_->extent)}};
    vkCmdBlitImage(commands, canvas_.image.get(), VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, image,
                   VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &region, VK_FILTER_LINEAR);
    transition(commands, image, VK_IMAGE_ASPECT_COLOR_BIT, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
               VK_IMAGE_LAYOUT_PRESENT_SRC_KHR);
}

void Screen::submit(VkSemaphore wait, VkSemaphore signal) {
    VK(vkEndCommandBuffer(commands_));
    VkSemaphoreSubmitInfo before{VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO};
    before.semaphore = wait;
    before.stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT;
    VkSemaphoreSubmitInfo after = before;
    after.semaphore = signal;
    VkCommandBufferSubmitInfo commands{VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO};
    commands.commandBuffer = commands_;
    VkSubmitInfo2 info{VK_STRUCTURE_TYPE_SUBMIT_INFO_2};
    info.waitSemaphoreInfoCount = wait ? 1 : 0;
    info.pWaitSemaphoreInfos = &before;
    info.commandBufferInfoCount = 1;
    info.pCommandBufferInfos = &commands;
    info.signalSemaphoreInfoCount = signal ? 1 : 0;
    info.pSignalSemaphoreInfos = &after;
    const VkFence fence = done_.get();
    VK(vkResetFences(vulkan_.device(), 1, &fence));
    const std::lock_guard lock(vulkan_.queue_mutex());
    VK(vkQueueSubmit2(vulkan_.queue(), 1, &info, fence));
}

void Screen::save(const std::string& path) {
    const auto [width, height] = canvas_.extent;
    const Buffer pixels(vulkan_, VkDeviceSize{4} * width * height,
                        VK_BUFFER_USAGE_TRANSFER_DST_BIT);
    wait();
    VK(vkResetCommandPool(vulkan_.device(), pool_.get(), 0));
    const VkCommandBufferBeginInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VK(vkBeginCommandBuffer(commands_, &info));
    VkBufferImageCopy region{};
    region.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
    region.imageExtent = {width, height, 1};
    vkCmdCopyImageToBuffer(commands_, canvas_.image.get(), VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
                           pixels.buffer.get(), 1, &region);
    submit(VK_NULL_HANDLE, VK_NULL_HANDLE);
    wait();
    if (!stbi_write_png(path.c_str(), static_cast<int>(width), static_cast<int>(height), 4,
                        pixels.data, static_cast<int>(4 * width)))
        throw std::runtime_error("The screenshot cannot be written to " + path + ".");
}
