// Compute pipelines: embedded SPIR-V plus specialization constants.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/device.h"

namespace olivine {

struct PipelineSpec {
    const char* name;                 // for messages: shader and variant
    std::span<const uint32_t> spirv;  // stays valid as long as the device
    uint32_t buffers;                 // bindings 0 to buffers - 1
    uint32_t push_bytes;
    uint32_t threads;                 // specialization constant 0, the workgroup's x size
    std::vector<uint32_t> constants;  // specialization constants from id 2 on; id 1 is ours
};

// Compiled on a worker thread from the moment of construction, so that all pipelines of a model
// compile at once while its weights load. Copies share one object.
class Pipeline {
public:
    Pipeline() = default;
    // Checks the SPIR-V against the spec at once (throws internal on a difference in bindings or
    // push bytes); errors of the compiler surface when the pipeline is first recorded.
    Pipeline(Device& device, const PipelineSpec& spec);

    explicit operator bool() const { return impl_ != nullptr; }
    // Its compilation has thrown: only another Pipeline can be recorded.
    bool failed() const;
    struct Impl;  // engine/pipeline_impl.h
    const std::shared_ptr<Impl>& impl() const { return impl_; }

private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace olivine
