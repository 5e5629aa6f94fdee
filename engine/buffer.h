// Device memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "engine/device.h"

namespace olivine {

class Buffer;

// A range of a buffer, as shaders see it. Offsets are multiples of the device's offset_alignment.
struct Slice {
    const Buffer* buffer = nullptr;
    uint64_t offset = 0;
    uint64_t bytes = 0;
};

enum class HostAccess : uint8_t {
    none,      // through write() and read(), which stage; mapped where device memory is the host's
    mapped,    // always mapped and coherent: step buffers, results that the host reads
};

enum class Contents : uint8_t { zero, undefined };  // at first

class Buffer {
public:
    Buffer();
    // Throws out_of_memory with the bytes needed and left.
    Buffer(Device& device, Arena arena, uint64_t bytes, HostAccess access = HostAccess::none,
           Contents contents = Contents::zero);
    Buffer(Buffer&&) noexcept;
    Buffer& operator=(Buffer&&) noexcept;
    ~Buffer();  // waits for what has been submitted

    explicit operator bool() const { return impl_ != nullptr; }
    uint64_t bytes() const;
    // Host address of the contents, or null. Writes are seen by submissions that follow; reads see
    // what finished submissions wrote.
    std::byte* mapped() const;
    Slice slice() const { return {this, 0, bytes()}; }
    Slice slice(uint64_t offset, uint64_t bytes) const { return {this, offset, bytes}; }

    template <typename T>
    T* as() const {
        return reinterpret_cast<T*>(mapped());
    }

    struct Impl;  // engine/buffer_impl.h
    const Impl& impl() const { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

// Copies between host memory and a slice, waiting for the device. For set-up, tests and tools; a
// warm step uses mapped buffers instead. Throws device_lost, out_of_memory.
void write(Device& device, const Slice& to, std::span<const std::byte> from);
void read(Device& device, const Slice& from, std::span<std::byte> to);
// The same for many slices, one behind the other in host memory, whose size is their sum.
void write(Device& device, std::span<const Slice> to, std::span<const std::byte> from);
void read(Device& device, std::span<const Slice> from, std::span<std::byte> to);
// Staging, of device memory, that they take at most.
constexpr uint64_t kCopyBytes = 1u << 20;

}  // namespace olivine
