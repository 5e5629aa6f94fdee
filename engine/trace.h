// What ran when, on the device and beside it, on one clock. `olivine --trace` writes it to a file.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace olivine {

struct Span {
    enum class Track : uint8_t {
        host,      // submissions, waits, uploads, compilation: by thread
        slice,     // of a plan, on the device
        dispatch,  // one operation of a slice: a dispatch, a copy or a fill
    };
    Track track{};
    uint32_t thread = 0;  // of the host, in the order of their first span
    std::string name;     // a shader's, or what is done
    double begin = 0;     // seconds since the trace began
    double seconds = 0;
    uint64_t bytes = 0;   // of the ranges that an operation has bound; 0 = not stated
};

// Takes spans from any thread.
class Trace {
public:
    // Seconds since it was made, by the steady clock.
    double now() const;
    // Beyond kMost spans they are only counted.
    void add(Span span);
    // From `begin` to now, on the calling thread's track.
    void host(std::string name, double begin);

    std::vector<Span> spans() const;  // in the order they were added
    uint64_t dropped() const;
    static constexpr size_t kMost = size_t{1} << 20;

private:
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    mutable std::mutex mutex_;
    std::vector<Span> spans_;
    std::map<std::thread::id, uint32_t> threads_;
    uint64_t dropped_ = 0;
};

}  // namespace olivine
