// Pictures that a host program has on its device.
#include <array>
#include <utility>

#include "engine/buffer_impl.h"
#include "engine/device_impl.h"
#include "engine/error.h"
#include "engine/host_device.h"

namespace olivine {
namespace {

// The pixels, with the commands that bring them. Members go in reverse: the commands first.
struct CopiedImage {
    CopiedImage(Device& owner, uint64_t bytes)
        : device(owner.impl()),
          pixels(owner, Arena::staging, bytes, HostAccess::none, Contents::undefined) {
        VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
        info.commandPool = device.compute.command_pool.get();
        info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
        info.commandBufferCount = 1;
        VK(vkAllocateCommandBuffers(device.device, &info, &commands));
    }
    ~CopiedImage() {
        device.settle();
        vkFreeCommandBuffers(device.device, device.compute.command_pool.get(), 1, &commands);
    }
    CopiedImage(const CopiedImage&) = delete;

    Device::Impl& device;
    Buffer pixels;
    VkCommandBuffer commands{};
};

void record(VkCommandBuffer commands, const HostImage& image, VkBuffer to) {
    VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    VK(vkBeginCommandBuffer(commands, &begin));

    VkImageMemoryBarrier2 barrier{VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER_2};
    barrier.image = image.image;
    barrier.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
    barrier.srcQueueFamilyIndex = barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
    VkDependencyInfo order{VK_STRUCTURE_TYPE_DEPENDENCY_INFO};
    order.imageMemoryBarrierCount = 1;
    order.pImageMemoryBarriers = &barrier;
    // Whatever the host has drawn with before, and will draw with behind it.
    barrier.srcStageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT;
    barrier.srcAccessMask = VK_ACCESS_2_MEMORY_WRITE_BIT;
    barrier.dstStageMask = VK_PIPELINE_STAGE_2_COPY_BIT;
    barrier.dstAccessMask = VK_ACCESS_2_TRANSFER_READ_BIT;
    barrier.oldLayout = image.layout;
    barrier.newLayout = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    vkCmdPipelineBarrier2(commands, &order);

    VkBufferImageCopy region{};
    region.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
    region.imageExtent = {image.width, image.height, 1};
    vkCmdCopyImageToBuffer(commands, image.image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, to, 1,
                           &region);

    std::swap(barrier.oldLayout, barrier.newLayout);
    std::swap(barrier.srcStageMask, barrier.dstStageMask);
    barrier.srcAccessMask = VK_ACCESS_2_NONE;
    barrier.dstAccessMask = VK_ACCESS_2_MEMORY_READ_BIT | VK_ACCESS_2_MEMORY_WRITE_BIT;
    // Plans begin with a barrier behind copies, which takes care of the buffer.
    vkCmdPipelineBarrier2(commands, &order);
    VK(vkEndCommandBuffer(commands));
}

}  // namespace

bool begins_with_blue(VkFormat format) {
    switch (format) {
    case VK_FORMAT_R8G8B8A8_UNORM:
    case VK_FORMAT_R8G8B8A8_SRGB:
    case VK_FORMAT_A8B8G8R8_UNORM_PACK32:
    case VK_FORMAT_A8B8G8R8_SRGB_PACK32: return false;
    case VK_FORMAT_B8G8R8A8_UNORM:
    case VK_FORMAT_B8G8R8A8_SRGB: return true;
    default:
        fail(Fault::unsupported,
             "An image has the format %d (VkFormat); pictures are VK_FORMAT_R8G8B8A8 or B8G8R8A8, "
             "UNORM or "
             "SRGB.",
             static_cast<int>(format));
    }
}

std::shared_ptr<const Buffer> copy_image(Device& device, const HostImage& image) {
    begins_with_blue(image.format);
    const auto copied =
        std::make_shared<CopiedImage>(device, uint64_t{image.width} * image.height * 4);
    record(copied->commands, image, copied->pixels.impl().buffer);
    ++device.counters().recordings;
    device.impl().submit({copied->commands}, 1);
    return {copied, &copied->pixels};
}

}  // namespace olivine
