// The Vulkan side of Device, for engine/ only.
#pragma once

#include <vulkan/vulkan.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "engine/device.h"
#include "engine/host_device.h"
#include "engine/pipeline_statistics.h"
#include "engine/trace.h"

VK_DEFINE_HANDLE(VmaAllocator)

namespace olivine {

// Turns a result into an Error. `call` is the source text of the call.
void check_result(VkResult result, const char* call);

// The one place where a VkResult is looked at.
#define VK(call) ::olivine::check_result((call), #call)

// Owns one object of a VkDevice. Moves, never copies; empty after a move.
// The GPU must be done with the object before the handle goes.
template <typename T, auto Destroy>
class Handle {
public:
    Handle() = default;
    Handle(VkDevice device, T object) : device_(device), object_(object) {}
    Handle(Handle&& other) noexcept
        : device_(other.device_), object_(std::exchange(other.object_, T{})) {}
    Handle& operator=(Handle&& other) noexcept {
        std::swap(device_, other.device_);
        std::swap(object_, other.object_);
        return *this;
    }
    ~Handle() {
        if (object_)
            Destroy(device_, object_, nullptr);
    }
    T get() const { return object_; }
    T* address() { return &object_; }

private:
    VkDevice device_{};
    T object_{};
};

// A queue whose submissions are ordered by a timeline: submission n signals value n.
struct Queue {
    uint32_t family{};
    VkQueue queue{};
    Handle<VkSemaphore, vkDestroySemaphore> timeline;
    uint64_t last_value = 0;
    std::atomic<uint64_t> reached{0};  // what the timeline has passed, as far as we know
    Handle<VkCommandPool, vkDestroyCommandPool> command_pool;
};

// A few threads that compile pipelines. Jobs never throw.
class Workers {
public:
    explicit Workers(uint32_t threads);
    ~Workers();  // finishes what is queued
    void add(std::function<void()> job);

private:
    void loop();
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

struct Device::Impl {
    DeviceInfo info;
    DeviceOptions options;
    Counters counters;
    std::shared_ptr<Trace> trace;
    std::map<std::string, RungSet> aside;  // by work

    VkInstance instance{};
    VkDebugUtilsMessengerEXT messenger{};
    VkPhysicalDevice physical{};
    VkDevice device{};
    PFN_vkCmdBeginConditionalRenderingEXT begin_conditional{};  // with Capabilities::conditional
    PFN_vkCmdEndConditionalRenderingEXT end_conditional{};
    std::function<void()> lock, unlock;
    std::function<bool(const HostMemoryRequest&, HostMemory&)> allocate;  // a host's; else VMA does
    std::function<void(const HostMemory&)> free;
    bool owns_device = false;
    VmaAllocator allocator{};
    std::atomic<uint64_t> messages{0};

    // Uploads go through DeviceInfo::copy_queue, or else compute's, in any case with a timeline of
    // their own.
    std::mutex submit_mutex;
    Queue compute, copies;
    uint64_t copies_needed = 0;   // value that every submission to compute has to wait for
    uint64_t copies_awaited = 0;  // what has been submitted there already does

    Handle<VkPipelineCache, vkDestroyPipelineCache> pipeline_cache;
    std::vector<char> cache_identity;  // header that a cache file must carry
    size_t cache_bytes_loaded = 0;
    std::unique_ptr<Workers> workers;

    // With compile_only.
    std::mutex statistics_mutex;
    std::vector<std::shared_future<void>> compiling;  // not waited for yet
    std::vector<PipelineStatistics> statistics;

    std::mutex memory_mutex;
    std::array<uint64_t, kArenas> arena_bytes{};
    uint64_t bytes_now = 0;
    uint64_t bytes_peak = 0;
    uint64_t budget = 0;
    uint64_t allocated_at = 0;  // submissions before the last allocation

    ~Impl() { close(); }
    // Destroys every object of Vulkan; what has been counted stays.
    void close();

    // After an error of these nothing is in flight any more, since who sees it frees what is used.
    // Submits command buffers in order, all of them `times` over, which begin when the copies'
    // timeline has passed `copy`; returns the timeline value that they signal.
    uint64_t submit(const std::vector<VkCommandBuffer>& buffers, uint32_t times,
                    uint64_t copy = 0);
    // Submits copies, which begin when compute's timeline has passed `after`; returns the value of
    // the copies' timeline.
    uint64_t submit_copy(VkCommandBuffer buffer, uint64_t after);
    void wait(uint64_t value) { wait(compute, value); }
    void wait_for_copy(uint64_t value) { wait(copies, value); }
    bool has_passed(uint64_t value);  // whether wait() would return at once
    // Where the program wants to be asked (DeviceOptions::before_slice): when nothing is under way.
    void before_slice();
    // Waits for everything submitted, for the sake of an object that goes. There is nobody to tell
    // of an error, and after one nothing runs either.
    void settle() noexcept;

private:
    uint64_t submit(Queue& queue, std::span<const VkCommandBufferSubmitInfo> buffers,
                    const VkSemaphoreSubmitInfo& wait_for);
    void wait(Queue& queue, uint64_t value);
    // The result of a submission or of waiting for one. RADV gives out more memory than there is
    // and loses the device when submissions that follow need all of it: then the message says so.
    void check_submission(VkResult result, const char* call);
    void wait_for_queues();
    void drain();  // waits for the queues; there is nobody to tell that it cannot
};

// engine/probe.cpp
void fill_info(VkPhysicalDevice physical, VkInstance instance, uint32_t index, DeviceInfo& info);
VkInstance create_instance(bool validation, Device::Impl* messages_to,
                           VkDebugUtilsMessengerEXT* messenger);

// engine/host_device.cpp. Takes from the capabilities what the host has not enabled. Throws unsupported for
// what we need, naming it, and bad_input for a queue family that there is not.
void restrict_to_host(const HostDevice& host, DeviceInfo& info);

// engine/pipeline_statistics.cpp. Asks for the values of a pipeline and keeps them; `statistics` says
// which pipeline it is.
void capture_statistics(Device::Impl& device, VkPipeline pipeline, PipelineStatistics statistics);

// engine/pipeline_cache.cpp
void load_pipeline_cache(Device::Impl& impl);
void store_pipeline_cache(Device::Impl& impl) noexcept;

}  // namespace olivine
