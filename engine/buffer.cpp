#include "engine/buffer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cinttypes>
#include <cstring>
#include <utility>
#include <vector>

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

// Mapped where that is asked for and coherent. After a failure `made` is as it was.
VkResult make(Device::Impl& device, const VkBufferCreateInfo& wanted,
              const VmaAllocationCreateInfo& info, Buffer::Impl& made) {
    VmaAllocationInfo got{};
    VkBuffer buffer{};
    VmaAllocation allocation{};
    const VkResult result =
        vmaCreateBuffer(device.allocator, &wanted, &info, &buffer, &allocation, &got);
    if (result < 0)
        return result;
    made.buffer = buffer;
    made.allocation = allocation;
    VkMemoryPropertyFlags memory = 0;
    vmaGetAllocationMemoryProperties(device.allocator, allocation, &memory);
    if (memory & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)
        made.mapped = static_cast<std::byte*>(got.pMappedData);
    return result;
}

// The same with memory that the host gives.
VkResult make_in_host_memory(Device::Impl& device, const VkBufferCreateInfo& wanted,
                             const VmaAllocationCreateInfo& info, Buffer::Impl& made) {
    HostMemoryRequest request;
    VkResult result =
        vmaFindMemoryTypeIndexForBufferInfo(device.allocator, &wanted, &info, &request.memory_type);
    if (result < 0)
        return result;
    VkBuffer buffer{};
    result = vkCreateBuffer(device.device, &wanted, nullptr, &buffer);
    if (result < 0)
        return result;
    made.buffer = buffer;
    VkMemoryRequirements needs{};
    vkGetBufferMemoryRequirements(device.device, buffer, &needs);
    const VkPhysicalDeviceMemoryProperties* memory{};
    vmaGetMemoryProperties(device.allocator, &memory);
    constexpr VkMemoryPropertyFlags kMappable =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    request.bytes = needs.size;
    request.alignment = needs.alignment;
    request.mapped = (info.flags & VMA_ALLOCATION_CREATE_MAPPED_BIT) &&
                     (memory->memoryTypes[request.memory_type].propertyFlags & kMappable) == kMappable;
    request.address = device.info.capabilities.addresses;
    HostMemory given;
    if (!device.allocate(request, given))
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    made.host = given;
    if (!given.memory || given.offset % needs.alignment != 0 || (request.mapped && !given.mapped))
        fail(Fault::bad_input,
             "The host's allocation of %" PRIu64 " bytes is not what was asked for: its memory is %s, "
             "its offset %" PRIu64 " (a multiple of %" PRIu64 "), its address %s.",
             needs.size, given.memory ? "there" : "null", given.offset, needs.alignment,
             given.mapped ? "there" : "null");
    made.mapped = request.mapped ? static_cast<std::byte*>(given.mapped) : nullptr;
    return vkBindBufferMemory(device.device, buffer, given.memory, given.offset);
}

}  // namespace

Buffer::Impl::~Impl() {
    if (buffer) {
        // When an error ends an upload or a pass early, what was submitted before still runs.
        device->impl().settle();
        vmaDestroyBuffer(device->impl().allocator, buffer, allocation);  // which may be null
        if (host.memory)
            device->impl().free(host);
    }
    give_back(device->impl(), arena, bytes);
}

Buffer::Buffer(Device& device, Arena arena, uint64_t bytes, HostAccess access, Contents contents) {
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
    const std::array<uint32_t, 2> families = {device.impl().compute.family,
                                              device.impl().copies.family};
    if (families[0] != families[1]) {  // which costs buffers nothing, unlike images
        buffer_info.sharingMode = VK_SHARING_MODE_CONCURRENT;
        buffer_info.queueFamilyIndexCount = static_cast<uint32_t>(families.size());
        buffer_info.pQueueFamilyIndices = families.data();
    }
    const VmaAllocationCreateInfo info = allocation_info(device.capabilities(), access);
    const VkResult result = device.impl().allocate
                                ? make_in_host_memory(device.impl(), buffer_info, info, *impl_)
                                : make(device.impl(), buffer_info, info, *impl_);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY)
        fail(Fault::out_of_memory,
             "%s refuses a buffer of %" PRIu64 " bytes (%" PRIu64
             " bytes are in use, the budget is %" PRIu64 ").",
             device.impl().allocate ? "The host" : "The driver", bytes, device.bytes_now() - bytes,
             device.budget_bytes());
    check_result(result, "vmaCreateBuffer");
    ++device.counters().allocations;
    if (device.capabilities().addresses) {
        const VkBufferDeviceAddressInfo address{VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                                nullptr, impl_->buffer};
        impl_->address = vkGetBufferDeviceAddress(device.impl().device, &address);
    }

    if (contents == Contents::undefined)
        return;
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

namespace {

// Calls `copy(slices, begin)` with slices that take at most kCopyBytes together, in order; `begin` is
// where their bytes begin among all.
template <typename Copy>
void in_batches(std::span<const Slice> slices, const Copy& copy) {
    std::vector<Slice> batch;
    uint64_t begin = 0, bytes = 0;
    const auto flush = [&] {
        if (bytes > 0)
            copy(batch, begin);
        batch.clear();
        begin += std::exchange(bytes, 0);
    };
    for (const Slice& slice : slices)
        for (uint64_t done = 0; done < slice.bytes;) {
            const uint64_t count = std::min(slice.bytes - done, kCopyBytes - bytes);
            batch.push_back({slice.buffer, slice.offset + done, count});
            done += count;
            bytes += count;
            if (bytes == kCopyBytes)
                flush();
        }
    flush();
}

uint64_t sum_of(std::span<const Slice> slices) {
    uint64_t bytes = 0;
    for (const Slice& slice : slices)
        bytes += slice.bytes;
    return bytes;
}

bool all_mapped(std::span<const Slice> slices) {
    return std::ranges::all_of(slices, [](const Slice& slice) { return slice.buffer->mapped(); });
}

}  // namespace

void write(Device& device, std::span<const Slice> to, std::span<const std::byte> from) {
    assert(sum_of(to) == from.size());
    device.counters().bytes_written += from.size();
    if (all_mapped(to)) {
        for (const Slice& slice : to) {
            std::memcpy(slice.buffer->mapped() + slice.offset, from.data(), slice.bytes);
            from = from.subspan(slice.bytes);
        }
        return;
    }
    const Buffer staging(device, Arena::staging, std::min<uint64_t>(from.size(), kCopyBytes),
                         HostAccess::mapped);
    in_batches(to, [&](std::span<const Slice> batch, uint64_t begin) {
        Recorder recorder(device, "write");
        uint64_t at = 0;
        for (const Slice& slice : batch) {
            recorder.copy(staging.slice(at, slice.bytes), slice);
            at += slice.bytes;
        }
        std::memcpy(staging.mapped(), from.data() + begin, at);
        recorder.finish().run();
    });
}

void read(Device& device, std::span<const Slice> from, std::span<std::byte> to) {
    assert(sum_of(from) == to.size());
    device.counters().bytes_read += to.size();
    if (all_mapped(from)) {
        for (const Slice& slice : from) {
            std::memcpy(to.data(), slice.buffer->mapped() + slice.offset, slice.bytes);
            to = to.subspan(slice.bytes);
        }
        return;
    }
    const Buffer staging(device, Arena::staging, std::min<uint64_t>(to.size(), kCopyBytes),
                         HostAccess::mapped);
    in_batches(from, [&](std::span<const Slice> batch, uint64_t begin) {
        Recorder recorder(device, "read");
        uint64_t at = 0;
        for (const Slice& slice : batch) {
            recorder.copy(slice, staging.slice(at, slice.bytes));
            at += slice.bytes;
        }
        recorder.finish().run();
        std::memcpy(to.data() + begin, staging.mapped(), at);
    });
}

void write(Device& device, const Slice& to, std::span<const std::byte> from) {
    const Slice exact{to.buffer, to.offset, from.size()};
    write(device, std::span(&exact, 1), from);
}

void read(Device& device, const Slice& from, std::span<std::byte> to) {
    const Slice exact{from.buffer, from.offset, to.size()};
    read(device, std::span(&exact, 1), to);
}

}  // namespace olivine
