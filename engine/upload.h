// Fills device buffers from the host through a ring of staging buffers, so that reading the next
// part of a file overlaps the copy of the last, and both overlap what the device computes.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "engine/buffer.h"

namespace olivine {

class Uploader {
public:
    // Device bytes that staging takes with slices of at most half as many, such as
    // Matrix::upload()'s.
    static constexpr uint64_t kMostBytes = 4u << 20;

    explicit Uploader(Device& device);
    ~Uploader();  // waits for what has been submitted
    Uploader(const Uploader&) = delete;
    Uploader& operator=(const Uploader&) = delete;
    Device& device() { return device_; }

    // Makes room for slices of so many bytes. Throws out_of_memory.
    void reserve(uint64_t bytes);
    // Host memory that stands for `to` until the next call on this object; the caller fills it
    // whole. Where the device's memory is mapped it is that memory and nothing is copied. after:
    // timeline value of the last submission that reads what `to` held. Throws out_of_memory,
    // device_lost. Should `to` go before the next call, because filling it fails, there must be
    // none.
    std::span<std::byte> stage(const Slice& to, uint64_t after = 0);

    // Between pieces: where the program may hold the thread still (DeviceOptions::before_slice).
    void before_piece();

    // Sends what was staged last. Returns the copies' timeline value with which everything staged
    // is in its place, for Device::Impl::submit().
    uint64_t submit();
    // Returns when everything staged has arrived, for all that is submitted from now on. Without
    // either the last slice does not arrive.
    void flush();

private:
    struct Lane;
    Lane& lane(uint32_t index);

    Device& device_;
    std::array<std::unique_ptr<Lane>, 2> lanes_;
    uint32_t lane_ = 0;
    Slice pending_;
    uint64_t after_ = 0;  // of pending_
    uint64_t sent_ = 0;   // copies' timeline value
};

}  // namespace olivine
