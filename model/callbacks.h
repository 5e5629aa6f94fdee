// What long work asks and tells its caller.
#pragma once

#include <cstdint>
#include <functional>

namespace olivine {

// Told as bytes arrive; returning false stops with Fault::cancelled.
using Progress = std::function<bool(uint64_t done_bytes, uint64_t total_bytes)>;

// Answers true when the caller wants to stop; asked between slices of device work.
using Cancelled = std::function<bool()>;

}  // namespace olivine
