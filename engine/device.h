// A Vulkan device with one compute queue: ours, or one adopted from a host program.
// This header names no Vulkan type, so that the layers above need none.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/capabilities.h"
#include "engine/error.h"

namespace olivine {

struct HostDevice;   // engine/host_device.h
class Resident;      // engine/remade.h
class ShaderFolder;  // engine/shader_folder.h
class Trace;         // engine/trace.h

struct DeviceInfo {
    uint32_t index = 0;        // for --device
    std::string name;          // the driver's name of the device
    std::array<uint8_t, 16> uuid{};  // the same whenever the device is listed
    std::string driver;        // "llvmpipe Mesa 25.0.7 (LLVM 15.0.6)"
    std::string type;          // discrete, integrated, virtual, cpu, other
    std::string api_version;   // "1.3.230"
    uint64_t memory_bytes = 0; // of the largest device-local heap
    uint64_t free_bytes =
        0;  // of them, what the system leaves to us now, where it says so; else all
    uint32_t queue_family = 0; // that we take
    // For copies that overlap what the other queue does: of a family that only copies, or another
    // one of the same family. None: there is none, or OLIVINE_COPY_QUEUE=0 says to leave it alone.
    struct CopyQueue {
        uint32_t family = 0, index = 0;
    };
    std::optional<CopyQueue> copy_queue;
    Capabilities capabilities;
    std::string unusable;      // why we cannot run on it; empty = usable
};

// Everything that the Vulkan loader shows. Empty when there is no driver.
// Throws no_device when the loader itself does not start.
std::vector<DeviceInfo> list_devices();

struct DeviceOptions {
    std::optional<uint32_t> index;  // none: the best usable one (discrete, integrated, virtual, cpu)
    uint64_t memory_budget = 0;     // bytes; 0 = what the device has
    RungSet disabled;               // besides the environment's OLIVINE_DISABLE
    Precision precision = Precision::f32;
    // Operations compute a row by the same sums, in the same order, whatever rows run beside it: bit-equal.
    // No rung above storage16.
    bool deterministic = false;
    // The queues have the lowest priority that the device offers, so that what draws the desktop
    // goes first. On a host's device that is the host's affair; software drivers compute at the
    // niceness of the thread that makes the device.
    bool background = false;
    // Core and synchronization validation; also OLIVINE_VALIDATION=1. OLIVINE_VALIDATION=gpu adds
    // GPU-assisted validation.
    bool validation = false;
    std::string cache_folder;       // of the pipeline cache; empty = none
    // Pipelines are compiled, without a cache, for engine/pipeline_statistics.h, and nothing can run:
    // buffers have no memory and a Recorder is never finished. So it works on drivers without a device
    // behind them, and widths cost nothing.
    bool compile_only = false;
    // Losses that surviving() makes good in so many seconds; who is told once the work can go on.
    uint32_t rebuilds = 2;
    double rebuild_seconds = 600;
    std::function<void()> rebuilt;
    // For programs that draw frames with the same GPU. before_slice is called before each slice of
    // work, and each piece of an upload; it may hold the thread still, for nothing is under way then,
    // and throw, which ends the work. beside runs a wait that needs no GPU, such as the compiler's.
    // Empty: slices are submitted one ahead, and waits are just that.
    std::function<void()> before_slice;
    std::function<void(const std::function<void()>& wait)> beside;
    // Shaders to be compiled now; null: of the environment's OLIVINE_SHADER_DIR, or those embedded.
    std::shared_ptr<ShaderFolder> shaders;
    // For tests, so that software drivers run what otherwise only GPUs do.
    uint64_t max_range_bytes = 0;   // lowers the capability of that name; 0 = the device's own
    bool as_gpu = false;            // wide workgroups, every available rung, and memory that the host
                                    // reaches by copies only
};

// What has been done so far; `bench` takes differences.
struct Counters {
    std::atomic<uint64_t> recordings{0};          // command buffers recorded
    std::atomic<uint64_t> dispatches_recorded{0};
    std::atomic<uint64_t> descriptor_updates{0};  // vkUpdateDescriptorSets writes
    std::atomic<uint64_t> allocations{0};         // device memory
    std::atomic<uint64_t> submissions{0};
    // Bytes that write(), read() (engine/buffer.h) and uploads have brought to the device and back;
    // also where its memory is the host's.
    std::atomic<uint64_t> bytes_written{0};
    std::atomic<uint64_t> bytes_read{0};
};

// Which purse a buffer is paid from.
enum class Arena : uint8_t { weights, kv, activations, staging };
constexpr uint32_t kArenas = 4;

class Device {
public:
    // Throws no_device (nothing suitable; says what was found), unsupported (the device asked for
    // lacks something, named), bad_input (no such index).
    explicit Device(const DeviceOptions& options = {});
    // Adopts a host's device; see engine/host_device.h. The host outlives us.
    Device(const HostDevice& host, const DeviceOptions& options);
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    const DeviceInfo& info() const;
    const Capabilities& capabilities() const { return info().capabilities; }
    bool has(Rung rung) const { return capabilities().enabled.has(rung); }
    bool deterministic() const;  // as DeviceOptions say
    // The enabled rungs that `work` may take, less those set aside for it. `work` is the name of an
    // operation, or of one and a class of its shapes: "linear", "linear q8_0 long".
    RungSet rungs(const std::string& work) const;
    // From now on `work`, and what is recorded for any class of it, does without the rung, or no more.
    void set_aside(const std::string& work, Rung rung, bool aside = true);

    // Null where only the embedded shaders run.
    ShaderFolder* shaders() const;

    Counters& counters();
    // Where spans go: of pipelines and plans that are made from now on, until it is taken away with
    // null. Plans hold it; the device's part of a span is known once somebody has waited for it. Costs a
    // timestamp an operation.
    void set_trace(std::shared_ptr<Trace> trace);
    const std::shared_ptr<Trace>& trace() const;
    uint64_t bytes_in(Arena arena) const;
    uint64_t bytes_now() const;
    uint64_t bytes_peak() const;
    uint64_t budget_bytes() const;  // what all our allocations together may take
    // What they may take from now on, at most what the device has. What is allocated already stays.
    void set_budget(uint64_t bytes);

    // Messages of the validation layers so far; 0 when they are off.
    uint64_t validation_messages() const;

    // Blocks until everything submitted has run. Throws device_lost.
    void wait_idle();

    // Runs `work`. Where it throws device_lost, the device and what is registered on it (engine/remade.h) are
    // made anew and `work` begins again, DeviceOptions::rebuilds times. Throws device_lost beyond, and for
    // a host's device; what `work` throws; what making anew throws, which the next call tries again. Within
    // another `work` it runs its own and no more.
    template <typename Work>
    auto surviving(const Work& work) -> decltype(work()) {
        if (surviving_)  // what the outer one has would be made anew under its feet
            return work();
        const Within within(surviving_);
        for (;;) {
            try {
                if (lost_)
                    rebuild();
                return work();
            } catch (const Error& error) {
                if (!survives(error.fault()))
                    throw;
            }
        }
    }

    // Writes the pipeline cache, if a folder was given and something is new. Never throws.
    void save_pipeline_cache() noexcept;

    struct Impl;  // engine/device_impl.h
    Impl& impl() { return *impl_; }
    const Impl& impl() const { return *impl_; }

private:
    friend class Resident;
    struct Within {
        explicit Within(bool& it) : flag(it) { flag = true; }
        ~Within() { flag = false; }
        bool& flag;
    };
    bool survives(Fault fault);
    void rebuild();

    std::unique_ptr<Impl> impl_;
    std::vector<Resident*> residents_;  // in the order they were made
    bool lost_ = false;                 // and not made anew yet
    bool surviving_ = false;
    std::vector<std::chrono::steady_clock::time_point> rebuilds_;
};

}  // namespace olivine
