#include "engine/upload.h"

#include <algorithm>
#include <utility>

#include "engine/buffer_impl.h"
#include "engine/device_impl.h"

namespace olivine {

struct Uploader::Lane {
    Device& device;
    Buffer staging;  // as large as the largest slice so far
    VkCommandBuffer commands{};
    uint64_t value = 0;  // of the copies' timeline

    explicit Lane(Device& owner) : device(owner) {
        VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
        info.commandPool = device.impl().copies.command_pool.get();
        info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
        info.commandBufferCount = 1;
        VK(vkAllocateCommandBuffers(device.impl().device, &info, &commands));
    }
    ~Lane() {
        device.impl().settle();
        vkFreeCommandBuffers(device.impl().device, device.impl().copies.command_pool.get(), 1, &commands);
    }

    void reserve(uint64_t bytes) {
        if (staging.bytes() >= bytes)
            return;
        staging = {};  // before the next, which the budget may not have room for beside it
        staging = Buffer(device, Arena::staging, bytes, HostAccess::mapped);
    }

    void record(const Slice& to) {
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
        ++device.counters().recordings;
    }
};

Uploader::Uploader(Device& device) : device_(device) {}
Uploader::~Uploader() = default;

Uploader::Lane& Uploader::lane(uint32_t index) {
    std::unique_ptr<Lane>& lane = lanes_[index];
    if (!lane)
        lane = std::make_unique<Lane>(device_);
    return *lane;
}

void Uploader::reserve(uint64_t bytes) {
    for (uint32_t i = 0; i < lanes_.size(); ++i)
        lane(i).reserve(bytes);
}

std::span<std::byte> Uploader::stage(const Slice& to, uint64_t after) {
    submit();
    device_.counters().bytes_written += to.bytes;
    if (std::byte* mapped = to.buffer->mapped()) {
        device_.impl().wait(after);
        return {mapped + to.offset, to.bytes};
    }
    lane_ = (lane_ + 1) % lanes_.size();
    Lane& next = lane(lane_);
    device_.impl().wait_for_copy(next.value);
    next.reserve(to.bytes);
    pending_ = to;
    after_ = after;
    return {next.staging.mapped(), to.bytes};
}

void Uploader::before_piece() { device_.impl().before_slice(); }

uint64_t Uploader::submit() {
    if (pending_.buffer) {
        const Slice to = std::exchange(pending_, {});
        Lane& now = *lanes_[lane_];
        now.record(to);
        sent_ = now.value = device_.impl().submit_copy(now.commands, after_);
    }
    return sent_;
}

void Uploader::flush() {
    Device::Impl& device = device_.impl();
    device.wait_for_copy(submit());
    // A wait of the host alone does not make what was copied visible to the other queue.
    const std::lock_guard order(device.submit_mutex);
    device.copies_needed = std::max(device.copies_needed, sent_);
}

}  // namespace olivine
