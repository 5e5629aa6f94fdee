#include "engine/upload.h"

#include <utility>

#include "engine/buffer_impl.h"
#include "engine/device_impl.h"
#include "engine/trace.h"

namespace olivine {

struct Uploader::Lane {
    Device::Impl& device;
    Buffer staging;  // as large as the largest slice so far
    VkCommandBuffer commands{};
    uint64_t value = 0;  // of the copies' timeline

    explicit Lane(Device::Impl& owner) : device(owner) {
        VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
        info.commandPool = device.copies.command_pool.get();
        info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
        info.commandBufferCount = 1;
        VK(vkAllocateCommandBuffers(device.device, &info, &commands));
    }
    ~Lane() {
        device.settle();
        vkFreeCommandBuffers(device.device, device.copies.command_pool.get(), 1, &commands);
    }

    void copy(const Slice& to) {
        VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
        begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
        VK(vkBeginCommandBuffer(commands, &begin));
        // Earlier copies may have the same destination.
        VkMemoryBarrier2 memory{VK_STRUCTURE_TYPE_MEMORY_BARRIER_2};
        memory.srcStageMask = memory.dstStageMask = VK_PIPELINE_STAGE_2_COPY_BIT;
        memory.srcAccessMask = memory.dstAccessMask = VK_ACCESS_2_TRANSFER_WRITE_BIT;
        VkDependencyInfo order{VK_STRUCTURE_TYPE_DEPENDENCY_INFO};
        order.memoryBarrierCount = 1;
        order.pMemoryBarriers = &memory;
        vkCmdPipelineBarrier2(commands, &order);
        const VkBufferCopy region{0, to.offset, to.bytes};
        vkCmdCopyBuffer(commands, staging.impl().buffer, to.buffer->impl().buffer, 1, &region);
        VK(vkEndCommandBuffer(commands));
    }
};

Uploader::Uploader(Device& device) : device_(device) {}
Uploader::~Uploader() = default;

void Uploader::reserve(Lane& lane, uint64_t bytes) {
    if (lane.staging.bytes() >= bytes)
        return;
    lane.staging = {};  // before the next, which the budget may not have room for beside it
    lane.staging = Buffer(device_, Arena::staging, bytes, HostAccess::mapped);
}

void Uploader::reserve(uint64_t bytes) {
    for (std::unique_ptr<Lane>& lane : lanes_) {
        if (!lane)
            lane = std::make_unique<Lane>(device_.impl());
        reserve(*lane, bytes);
    }
}

std::span<std::byte> Uploader::stage(const Slice& to, uint64_t after) {
    submit();
    if (std::byte* mapped = to.buffer->mapped()) {
        device_.impl().wait(after);
        return {mapped + to.offset, to.bytes};
    }
    lane_ = (lane_ + 1) % lanes_.size();
    std::unique_ptr<Lane>& lane = lanes_[lane_];
    if (!lane)
        lane = std::make_unique<Lane>(device_.impl());
    device_.impl().wait_for_copy(lane->value);
    reserve(*lane, to.bytes);
    pending_ = to;
    after_ = after;
    return {lane->staging.mapped(), to.bytes};
}

void Uploader::submit() {
    if (!pending_.buffer)
        return;
    const Slice to = std::exchange(pending_, {});
    Lane& lane = *lanes_[lane_];
    lane.copy(to);
    lane.value = device_.impl().submit_copy(lane.commands, after_);
}

void Uploader::flush() {
    submit();
    for (const std::unique_ptr<Lane>& lane : lanes_)
        if (lane)
            device_.impl().wait_for_copy(lane->value);
}

}  // namespace olivine
