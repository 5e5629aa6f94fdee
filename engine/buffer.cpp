#include "engine/buffer.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>

#include "engine/buffer_impl.h"
#include "engine/device_impl.h"
#include "engine/error.h"
#include "engine/recorder.h"
#include "engine/vma.h"

namespace olivine {
namespace {

// Takes `bytes` from the budget, or throws.
void reserve(Device::Impl& device, Arena arena, uint64_t bytes) {
    const std::lock_guard lock(device.memory_mutex);
    const uint64_t left = device.budget > device.bytes_now ? device.budget - device.bytes_now : 0;
    if (bytes > left)
        fail(Fault::out_of_memory,
             "A buffer needs %" PRIu64 " bytes of device memory (%" PRIu64 " of a budget of %" PRIu64
             " are left).",
             bytes, left, device.budget);
    device.bytes_now += bytes;
    device.bytes_peak = std::max(device.bytes_peak, device.bytes_now);
    device.allocated_at = device.counters.submissions;
    device.arena_bytes[static_cast<size_t>(arena)] += bytes;
}

void give_back(Device::Impl& device, Arena arena, uint64_t bytes) {
    const std::lock_guard lock(device.memory_mutex);
    device.bytes_now -= bytes;
    device.arena_bytes[static_cast<size_t>(arena)] -= bytes;
}

VmaAllocationCreateInfo allocation_info(const Capabilities& device, HostAccess access) {
    VmaAllocationCreateInfo info{};
    info.usage = VMA_MEMORY_USAGE_AUTO;
    if (access == HostAccess::mapped) {
        info.flags = VMA_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT | VMA_ALLOCATION_CREATE_MAPPED_BIT;
        info.requiredFlags = VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    } else if (device.shared_memory) {
        // The memory is the host's anyway: writing it directly saves the staging copy.
        info.flags = VMA_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT |
                     VMA_ALLOCATION_CREATE_HOST_ACCESS_ALLOW_TRANSFER_INSTEAD_BIT |
                     VMA_ALLOCATION_CREATE_MAPPED_BIT;
        info.preferredFlags = VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    } else {
        info.preferredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    }
    return info;
}

}  // namespace

Buffer::Impl::~Impl() {
    if (buffer) {
        // When an error ends an upload or a pass early, what was submitted before still runs.
        device->impl().settle();
        vmaDestroyBuffer(device->impl().allocator, buffer, allocation);
    }
    give_back(device->impl(), arena, bytes);
}

Buffer::Buffer(Device& device, Arena arena, uint64_t bytes, HostAccess access) {
    bytes = std::max<uint64_t>((std::min(bytes, UINT64_MAX - 15) + 15) / 16 * 16, 16);
    reserve(device.impl(), arena, bytes);
    impl_ = std::make_unique<Impl>();
    impl_->device = &device;
    impl_->arena = arena;
    impl_->bytes = bytes;
    if (device.impl().options.compile_only)
        return;

    VkBufferCreateInfo buffer_info{VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
    buffer_info.size = bytes;
    buffer_info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                        VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT;
    if (device.capabilities().addresses)
        buffer_info.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    if (device.capabilities().conditional)
        buffer_info.usage |= VK_BUFFER_USAGE_CONDITIONAL_RENDERING_BIT_EXT;
    const VmaAllocationCreateInfo info = allocation_info(device.capabilities(), access);
    VmaAllocationInfo got{};
    VkBuffer buffer{};  // not for ~Impl to see after a failure, which leaves it undefined
    VmaAllocation allocation{};
    const VkResult result = vmaCreateBuffer(device.impl().allocator, &buffer_info, &info, &buffer,
                                            &allocation, &got);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY)
        fail(Fault::out_of_memory,
             "The driver refuses a buffer of %" PRIu64 " bytes (%" PRIu64
             " bytes are in use, the budget is %" PRIu64 ").",
             bytes, device.bytes_now() - bytes, device.budget_bytes());
    check_result(result, "vmaCreateBuffer");
    impl_->buffer = buffer;
    impl_->allocation = allocation;
    ++device.counters().allocations;
    if (device.capabilities().addresses) {
        const VkBufferDeviceAddressInfo address{VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                                nullptr, buffer};
        impl_->address = vkGetBufferDeviceAddress(device.impl().device, &address);
    }

    VkMemoryPropertyFlags memory = 0;
    vmaGetAllocationMemoryProperties(device.impl().allocator, impl_->allocation, &memory);
    if (memory & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)
        impl_->mapped = static_cast<std::byte*>(got.pMappedData);
    if (impl_->mapped) {
        std::memset(impl_->mapped, 0, bytes);
    } else {
        Recorder recorder(device, "clear");
        recorder.fill(slice(), 0);
        recorder.finish().run();
    }
}

Buffer::Buffer() = default;
Buffer::Buffer(Buffer&&) noexcept = default;
Buffer& Buffer::operator=(Buffer&&) noexcept = default;
Buffer::~Buffer() = default;

uint64_t Buffer::bytes() const { return impl_ ? impl_->bytes : 0; }
std::byte* Buffer::mapped() const { return impl_ ? impl_->mapped : nullptr; }

void write(Device& device, const Slice& to, std::span<const std::byte> from) {
    if (to.buffer->mapped()) {
        std::memcpy(to.buffer->mapped() + to.offset, from.data(), from.size());
        return;
    }
    const Buffer staging(device, Arena::staging, from.size(), HostAccess::mapped);
    std::memcpy(staging.mapped(), from.data(), from.size());
    Recorder recorder(device, "write");
    recorder.copy(staging.slice(0, from.size()), {to.buffer, to.offset, from.size()});
    recorder.finish().run();
}

void read(Device& device, const Slice& from, std::span<std::byte> to) {
    if (from.buffer->mapped()) {
        std::memcpy(to.data(), from.buffer->mapped() + from.offset, to.size());
        return;
    }
    const Buffer staging(device, Arena::staging, std::min<uint64_t>(to.size(), kReadBytes),
                         HostAccess::mapped);
    for (uint64_t done = 0; done < to.size(); done += kReadBytes) {
        const uint64_t count = std::min<uint64_t>(kReadBytes, to.size() - done);
        Recorder recorder(device, "read");
        recorder.copy({from.buffer, from.offset + done, count}, staging.slice(0, count));
        recorder.finish().run();
        std::memcpy(to.data() + done, staging.mapped(), count);
    }
}

}  // namespace olivine
