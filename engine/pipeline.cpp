#include "engine/pipeline.h"

#include "engine/error.h"
#include "engine/pipeline_impl.h"

namespace olivine {
namespace {

void check_interface(const PipelineSpec& spec, const ShaderInterface& interface) {
    if (interface.bindings.size() != spec.buffers)
        fail(Fault::internal, "Shader %s has %zu bindings, its op states %u.", spec.name,
             interface.bindings.size(), spec.buffers);
    if (interface.push_bytes != spec.push_bytes)
        fail(Fault::internal, "Shader %s takes %u bytes of push constants, its op states %u.",
             spec.name, interface.push_bytes, spec.push_bytes);
}

void create_layouts(Device& device, const PipelineSpec& spec, Pipeline::Impl& impl) {
    const VkDevice handle = device.impl().device;
    std::vector<VkDescriptorSetLayoutBinding> bindings(spec.buffers);
    for (uint32_t i = 0; i < spec.buffers; ++i)
        bindings[i] = {i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
    VkDescriptorSetLayoutCreateInfo set_info{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO};
    set_info.bindingCount = spec.buffers;
    set_info.pBindings = bindings.data();
    VkDescriptorSetLayout set_layout{};
    VK(vkCreateDescriptorSetLayout(handle, &set_info, nullptr, &set_layout));
    impl.set_layout = {handle, set_layout};

    const VkPushConstantRange push{VK_SHADER_STAGE_COMPUTE_BIT, 0,
                                   spec.push_bytes + impl.interface.address_bytes};
    VkPipelineLayoutCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
    info.setLayoutCount = 1;
    info.pSetLayouts = &set_layout;
    info.pushConstantRangeCount = push.size > 0 ? 1 : 0;
    info.pPushConstantRanges = &push;
    VkPipelineLayout layout{};
    VK(vkCreatePipelineLayout(handle, &info, nullptr, &layout));
    impl.layout = {handle, layout};
}

void compile(Device& device, std::span<const uint32_t> spirv, uint32_t threads,
             const std::vector<uint32_t>& constants, Pipeline::Impl& impl) {
    const bool statistics = device.impl().options.compile_only;
    const Capabilities& caps = device.capabilities();
    const VkDevice handle = device.impl().device;
    VkShaderModuleCreateInfo module_info{VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
    module_info.codeSize = spirv.size() * 4;
    module_info.pCode = spirv.data();
    VkShaderModule module_handle{};
    VK(vkCreateShaderModule(handle, &module_info, nullptr, &module_handle));
    const Handle<VkShaderModule, vkDestroyShaderModule> module(handle, module_handle);

    // Full subgroups of a known size, where the workgroup is made of them.
    const bool pinned = caps.subgroup_size_pinned && threads % caps.subgroup_size == 0 &&
                        threads / caps.subgroup_size <= caps.max_subgroups;
    std::vector<uint32_t> values = {threads, pinned && threads == caps.subgroup_size ? 1u : 0u};
    values.insert(values.end(), constants.begin(), constants.end());
    std::vector<VkSpecializationMapEntry> entries;
    for (uint32_t i = 0; i < values.size(); ++i)
        entries.push_back({i, i * 4, 4});
    VkSpecializationInfo specialization{static_cast<uint32_t>(entries.size()), entries.data(),
                                        values.size() * 4, values.data()};

    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size{
        VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO};
    size.requiredSubgroupSize = caps.subgroup_size;
    VkComputePipelineCreateInfo info{VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO};
    info.flags = statistics ? VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0;
    info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
    info.stage.pNext = pinned ? &size : nullptr;
    info.stage.flags = pinned ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0;
    info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
    info.stage.module = module.get();
    info.stage.pName = "main";
    info.stage.pSpecializationInfo = &specialization;
    info.layout = impl.layout.get();
    VkPipeline pipeline{};
    VK(vkCreateComputePipelines(handle, device.impl().pipeline_cache.get(), 1, &info, nullptr,
                                &pipeline));
    impl.pipeline = {handle, pipeline};
    if (statistics)
        capture_statistics(device.impl(), pipeline,
                           {.shader = impl.name, .threads = threads, .constants = constants});
}

}  // namespace

Pipeline::Pipeline(Device& device, const PipelineSpec& spec) : impl_(std::make_shared<Impl>()) {
    impl_->name = spec.name;
    impl_->spirv = spec.spirv;
    impl_->constants = spec.constants;
    impl_->interface = reflect(spec.spirv);
    impl_->buffers = spec.buffers;
    impl_->push_bytes = spec.push_bytes;
    impl_->threads = spec.threads;
    check_interface(spec, impl_->interface);
    create_layouts(device, spec, *impl_);

    // The job holds a plain pointer: ~Impl waits for it.
    const auto done = std::make_shared<std::promise<void>>();
    impl_->compiled = done->get_future().share();
    if (device.impl().options.compile_only) {
        const std::lock_guard lock(device.impl().statistics_mutex);
        device.impl().compiling.push_back(impl_->compiled);
    }
    device.impl().workers->add([&device, spirv = spec.spirv, threads = spec.threads,
                                constants = spec.constants, impl = impl_.get(), done,
                                trace = device.trace()] {
        const double begin = trace ? trace->now() : 0;
        try {
            compile(device, spirv, threads, constants, *impl);
            if (trace)
                trace->host("compile " + impl->name, begin);
            done->set_value();
        } catch (...) {
            impl->failed = true;
            done->set_exception(std::current_exception());  // rethrown by whoever records it
        }
    });
}

bool Pipeline::failed() const { return impl_->failed; }

}  // namespace olivine
