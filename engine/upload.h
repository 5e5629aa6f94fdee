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
    explicit Uploader(Device& device);
    Device& device() { return device_; }

    // Host memory that stands for `to` until the next call on this object; the caller fills it
    // whole. Where the device's memory is mapped it is that memory and nothing is copied. Throws
    // out_of_memory, device_lost. Should `to` go before the next call, because filling it fails,
    // there must be none.
    std::span<std::byte> stage(const Slice& to);

    // Returns when everything staged has arrived. Without it the last slice does not arrive.
    void flush();

private:
    struct Lane {
        Buffer staging;  // as large as the largest slice so far
        Plan plan;
        uint64_t value = 0;
    };
    void submit_pending();

    Device& device_;
    std::array<Lane, 2> lanes_;
    uint32_t lane_ = 0;
    Slice pending_;
};

}  // namespace olivine
