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
    // Device bytes that staging takes while no slice is longer than half of it, as
    // Matrix::upload()'s are not.
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

    // What is submitted from now on finds everything staged in its place.
    void submit();
    // Returns when everything staged has arrived. Without either the last slice does not arrive.
    void flush();

private:
    struct Lane;
    void reserve(Lane& lane, uint64_t bytes);

    Device& device_;
    std::array<std::unique_ptr<Lane>, 2> lanes_;
    uint32_t lane_ = 0;
    Slice pending_;
    uint64_t after_ = 0;  // of pending_
};

}  // namespace olivine
