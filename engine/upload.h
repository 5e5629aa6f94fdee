// Fills device buffers from the host through a ring of staging buffers, so that reading the next
// part of a file overlaps the copy of the last.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "engine/buffer.h"
#include "engine/recorder.h"

namespace olivine {

class Uploader {
public:
    // Device bytes that staging takes while no slice is longer than half of it, as
    // Matrix::upload()'s are not.
    static constexpr uint64_t kMostBytes = 4u << 20;

    explicit Uploader(Device& device);
    Device& device() { return device_; }

    // Host memory that stands for `to` until the next call on this object; the caller fills it
    // whole. Where the device's memory is mapped it is that memory and nothing is copied. Throws
    // out_of_memory, device_lost. Should `to` go before the next call, because filling it fails,
    // there must be none.
    std::span<std::byte> stage(const Slice& to);

    // What is submitted from now on finds everything staged in its place.
    void submit();
    // Returns when everything staged has arrived. Without either the last slice does not arrive.
    void flush();

private:
    struct Lane {
        Buffer staging;  // as large as the largest slice so far
        Plan plan;
        uint64_t value = 0;
    };

    Device& device_;
    std::array<Lane, 2> lanes_;
    uint32_t lane_ = 0;
    Slice pending_;
};

}  // namespace olivine
