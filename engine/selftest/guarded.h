// Device buffers that notice writes beside their range, and values that were never written.
#pragma once

#include <span>
#include <vector>

#include "engine/buffer.h"
#include "engine/ops/activation.h"

namespace olivine::selftest {

// Words of memory that nobody has written: a float that is not a number, an id beyond every table.
constexpr uint32_t kPoison = 0x7fcafe01;

// `bytes` bytes (a multiple of 4) between two canaries, all poison at first.
class Guarded {
public:
    Guarded(Device& device, uint64_t bytes);

    Slice slice() const { return buffer_.slice(kCanaryBytes, bytes_); }
    uint64_t bytes() const { return bytes_; }
    // False when a canary has changed.
    bool intact() const;
    // All of it, and the canaries as they were.
    void poison();

    template <typename T>
    void write(const std::vector<T>& values) {
        write_bytes(std::as_bytes(std::span(values)));
    }
    template <typename T>
    std::vector<T> read() const {
        std::vector<T> values(bytes_ / sizeof(T));
        read_bytes(std::as_writable_bytes(std::span(values)));
        return values;
    }

private:
    static constexpr uint64_t kCanaryBytes = 256;  // keeps the range aligned for every device
    void write_bytes(std::span<const std::byte> values);
    void read_bytes(std::span<std::byte> values) const;

    Device& device_;
    uint64_t bytes_;
    Buffer buffer_;
};

// A Guarded that already holds `values`.
template <typename T>
Guarded guarded(Device& device, const std::vector<T>& values) {
    Guarded buffer(device, values.size() * sizeof(T));
    buffer.write(values);
    return buffer;
}

// [rows][cols] floats, rows `spare` floats further apart than they need to be. What lies between
// the rows is a canary as well.
class GuardedRows {
public:
    GuardedRows(Device& device, uint32_t rows, uint32_t cols, uint32_t spare = 4);
    GuardedRows(Device& device, uint32_t rows, uint32_t cols, const std::vector<float>& values)
        : GuardedRows(device, rows, cols) {
        write(values);
    }

    Activation activation() const { return {memory_.slice(), rows_, cols_, stride_}; }
    bool intact() const;
    void write(const std::vector<float>& values);  // [rows][cols]
    std::vector<float> read() const;               // [rows][cols]

private:
    uint32_t rows_, cols_, stride_;
    Guarded memory_;
};

}  // namespace olivine::selftest
