#pragma once

#include <future>

#include "engine/device_impl.h"
#include "engine/pipeline.h"
#include "engine/spirv.h"

namespace olivine {

struct Pipeline::Impl {
    std::string name;
    std::span<const uint32_t> spirv;
    std::vector<uint32_t> constants;
    ShaderInterface interface;
    uint32_t buffers = 0;
    uint32_t push_bytes = 0;
    uint32_t threads = 0;
    Handle<VkDescriptorSetLayout, vkDestroyDescriptorSetLayout> set_layout;
    Handle<VkPipelineLayout, vkDestroyPipelineLayout> layout;
    Handle<VkPipeline, vkDestroyPipeline> pipeline;
    std::shared_future<void> compiled;
    std::atomic<bool> failed{false};

    ~Impl() {
        if (compiled.valid())
            compiled.wait();
    }
};

}  // namespace olivine
