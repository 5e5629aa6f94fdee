// Compiled with hidden visibility: the definitions serve this program, and not the loader, whose own
// calls of the same names must reach itself.
#include "tests/faults/vulkan_faults.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <span>
#include <utility>

namespace olivine::test {
namespace {

struct State {
    std::mutex mutex;  // pipelines are made on several threads
    VulkanFault fault;
    VulkanReport report;
    std::multiset<std::pair<std::string, uint64_t>> live;  // function that made it, handle
    // What was submitted and not waited for, and what that uses.
    struct Submission {
        VkSemaphore semaphore;
        uint64_t value;
        std::set<uint64_t> uses;
    };
    std::vector<Submission> in_flight;
    std::map<uint64_t, std::set<uint64_t>> uses;  // of command buffers and descriptor sets
    VkInstance instance{};
    VkDevice device{};
    bool lost = false;
};

State& state() {
    static State one;
    return one;
}

// The loader's function.
template <typename Function>
Function real(const char* name) {
    void* found = dlsym(RTLD_NEXT, name);
    if (!found) {  // of an extension: the loader hands it out for an instance
        const auto get =
            reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(RTLD_NEXT, "vkGetInstanceProcAddr"));
        found = reinterpret_cast<void*>(get(state().instance, name));
    }
    if (!found) {
        std::fprintf(stderr, "%s is not there\n", name);
        std::abort();
    }
    return reinterpret_cast<Function>(found);
}

// What the call answers instead of being made, or VK_SUCCESS. `of_queue`: fails on a lost device.
VkResult injected(const char* name, bool of_queue) {
    State& all = state();
    const std::lock_guard lock(all.mutex);
    const uint32_t occurrence = ++all.report.calls[name];
    if (all.fault.function == name &&
        (all.fault.for_good ? occurrence >= all.fault.occurrence : occurrence == all.fault.occurrence)) {
        all.report.injected = true;
        if (all.fault.result == VK_ERROR_DEVICE_LOST && all.device) {
            // A lost device has stopped: nothing it ran touches memory any more.
            real<PFN_vkDeviceWaitIdle>("vkDeviceWaitIdle")(all.device);
            all.in_flight.clear();
            all.lost = true;
        }
        return all.fault.result;
    }
    return of_queue && all.lost ? VK_ERROR_DEVICE_LOST : VK_SUCCESS;
}

template <typename Handle>
uint64_t number(Handle handle) {
    return reinterpret_cast<uint64_t>(handle);
}

void made(const char* name, uint64_t handle) {
    State& all = state();
    const std::lock_guard lock(all.mutex);
    all.live.emplace(name, handle);
}

// `maker`: the function that makes such objects.
void gone(const char* maker, uint64_t handle) {
    State& all = state();
    const std::lock_guard lock(all.mutex);
    if (handle == 0)
        return;
    const auto found = all.live.find({maker, handle});
    if (found == all.live.end())
        all.report.misuse.push_back(std::string("destroys what is not there, of ") + maker);
    else
        all.live.erase(found);
    for (const State::Submission& submission : all.in_flight)
        if (submission.uses.count(handle))
            all.report.misuse.push_back(std::string("destroys while in use, of ") + maker);
}

// `user` is a command buffer or a descriptor set.
template <typename User, typename... Used>
void uses(User user, Used... used) {
    const std::lock_guard lock(state().mutex);
    (state().uses[number(user)].insert(number(used)), ...);
}

// The lock is held.
void finished(VkSemaphore semaphore, uint64_t value) {
    std::erase_if(state().in_flight, [&](const State::Submission& submission) {
        return submission.semaphore == semaphore && submission.value <= value;
    });
}

// Calls that only answer.
template <typename Function, typename... Arguments>
VkResult answer(const char* name, bool of_queue, Arguments... arguments) {
    if (const VkResult result = injected(name, of_queue))
        return result;
    return real<Function>(name)(arguments...);
}

// Calls that make `count` objects at `objects`.
template <typename Function, typename Object, typename... Arguments>
VkResult make(const char* name, uint32_t count, Object* objects, Arguments... arguments) {
    VkResult result = injected(name, false);
    if (result == VK_SUCCESS)
        result = real<Function>(name)(arguments...);
    for (uint32_t i = 0; i < count; ++i) {
        if (result == VK_SUCCESS)
            made(name, number(objects[i]));
        else
            objects[i] = reinterpret_cast<Object>(uint64_t{0xbad0bad0});
    }
    return result;
}

}  // namespace

void watch_vulkan(const VulkanFault& fault) {
    State& all = state();
    const std::lock_guard lock(all.mutex);
    all.fault = fault;
    all.report = {};
    all.live.clear();
    all.uses.clear();
    all.in_flight.clear();
    all.lost = false;
}

VulkanReport go_on_watching(const VulkanFault& fault) {
    State& all = state();
    const std::lock_guard lock(all.mutex);
    all.fault = fault;
    return std::exchange(all.report, {});
}

VulkanReport take_vulkan_report() {
    State& all = state();
    const std::lock_guard lock(all.mutex);
    VulkanReport report = std::move(all.report);
    for (const auto& [maker, handle] : all.live)
        report.misuse.push_back("leaves over one of " + maker);
    all.report = {};
    all.fault = {};
    return report;
}

}  // namespace olivine::test

using namespace olivine::test;

extern "C" {

// ---- instance --------------------------------------------------------------------------------

VkResult vkCreateInstance(const VkInstanceCreateInfo* info, const VkAllocationCallbacks* allocator,
                          VkInstance* instance) {
    const VkResult result = make<PFN_vkCreateInstance>("vkCreateInstance", 1, instance, info,
                                                       allocator, instance);
    if (result == VK_SUCCESS)
        state().instance = *instance;
    return result;
}

void vkDestroyInstance(VkInstance instance, const VkAllocationCallbacks* allocator) {
    gone("vkCreateInstance", number(instance));
    real<PFN_vkDestroyInstance>("vkDestroyInstance")(instance, allocator);
}

VkResult vkEnumerateInstanceLayerProperties(uint32_t* count, VkLayerProperties* layers) {
    return answer<PFN_vkEnumerateInstanceLayerProperties>("vkEnumerateInstanceLayerProperties", false,
                                                          count, layers);
}

VkResult vkEnumeratePhysicalDevices(VkInstance instance, uint32_t* count,
                                    VkPhysicalDevice* devices) {
    return answer<PFN_vkEnumeratePhysicalDevices>("vkEnumeratePhysicalDevices", false, instance,
                                                  count, devices);
}

VkResult vkEnumerateDeviceExtensionProperties(VkPhysicalDevice physical, const char* layer,
                                              uint32_t* count, VkExtensionProperties* extensions) {
    return answer<PFN_vkEnumerateDeviceExtensionProperties>("vkEnumerateDeviceExtensionProperties",
                                                            false, physical, layer, count,
                                                            extensions);
}

static VkResult get_cooperative_matrix_properties(VkPhysicalDevice physical, uint32_t* count,
                                                  VkCooperativeMatrixPropertiesKHR* properties) {
    return answer<PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR>(
        "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR", false, physical, count, properties);
}

static VkResult get_flexible_dimensions(
    VkPhysicalDevice physical, uint32_t* count,
    VkCooperativeMatrixFlexibleDimensionsPropertiesNV* properties) {
    return answer<PFN_vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV>(
        "vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV", false, physical, count,
        properties);
}

static VkResult create_debug_utils_messenger(VkInstance instance,
                                             const VkDebugUtilsMessengerCreateInfoEXT* info,
                                             const VkAllocationCallbacks* allocator,
                                             VkDebugUtilsMessengerEXT* messenger) {
    return make<PFN_vkCreateDebugUtilsMessengerEXT>("vkCreateDebugUtilsMessengerEXT", 1, messenger,
                                                    instance, info, allocator, messenger);
}

static void destroy_debug_utils_messenger(VkInstance instance, VkDebugUtilsMessengerEXT messenger,
                                          const VkAllocationCallbacks* allocator) {
    gone("vkCreateDebugUtilsMessengerEXT", number(messenger));
    real<PFN_vkDestroyDebugUtilsMessengerEXT>("vkDestroyDebugUtilsMessengerEXT")(instance, messenger,
                                                                                 allocator);
}

// ---- device ----------------------------------------------------------------------------------

VkResult vkCreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo* info,
                        const VkAllocationCallbacks* allocator, VkDevice* device) {
    // What a queue asks for beyond the core is a priority, which the layers let pass without its extension.
    const auto asks = [](const VkDeviceQueueCreateInfo& queue) { return queue.pNext != nullptr; };
    const auto brings = [](const char* extension) { return std::strstr(extension, "_global_priority"); };
    if (std::ranges::any_of(std::span(info->pQueueCreateInfos, info->queueCreateInfoCount), asks) &&
        std::ranges::none_of(std::span(info->ppEnabledExtensionNames, info->enabledExtensionCount), brings)) {
        const std::lock_guard lock(state().mutex);
        state().report.misuse.push_back("a queue asks for a priority without the extension");
    }
    const VkResult result = make<PFN_vkCreateDevice>("vkCreateDevice", 1, device, physical, info,
                                                     allocator, device);
    if (result == VK_SUCCESS)
        state().device = *device;
    return result;
}

void vkDestroyDevice(VkDevice device, const VkAllocationCallbacks* allocator) {
    gone("vkCreateDevice", number(device));
    {
        const std::lock_guard lock(state().mutex);
        for (const auto& [maker, handle] : state().live)
            if (maker != "vkCreateInstance" && maker != "vkCreateDebugUtilsMessengerEXT")
                state().report.misuse.push_back("outlives its device: one of " + maker);
        state().device = VK_NULL_HANDLE;
        state().lost = false;
        state().in_flight.clear();
    }
    real<PFN_vkDestroyDevice>("vkDestroyDevice")(device, allocator);
}

VkResult vkDeviceWaitIdle(VkDevice device) {
    const VkResult result = answer<PFN_vkDeviceWaitIdle>("vkDeviceWaitIdle", true, device);
    const std::lock_guard lock(state().mutex);
    if (result == VK_SUCCESS)
        state().in_flight.clear();
    return result;
}

VkResult vkQueueWaitIdle(VkQueue queue) {
    const VkResult result = answer<PFN_vkQueueWaitIdle>("vkQueueWaitIdle", true, queue);
    const std::lock_guard lock(state().mutex);
    if (result == VK_SUCCESS)
        state().in_flight.clear();
    return result;
}

VkResult vkQueueSubmit2(VkQueue queue, uint32_t count, const VkSubmitInfo2* submits, VkFence fence) {
    if (const VkResult result = injected("vkQueueSubmit2", true))
        return result;
    // Held over the call: a loss on another thread waits for the queue.
    const std::lock_guard lock(state().mutex);
    const VkResult result =
        real<PFN_vkQueueSubmit2>("vkQueueSubmit2")(queue, count, submits, fence);
    for (uint32_t i = 0; result == VK_SUCCESS && i < count; ++i)
        for (uint32_t k = 0; k < submits[i].signalSemaphoreInfoCount; ++k) {
            const VkSemaphoreSubmitInfo& signal = submits[i].pSignalSemaphoreInfos[k];
            State::Submission submission{signal.semaphore, signal.value, {}};
            for (uint32_t c = 0; c < submits[i].commandBufferInfoCount; ++c) {
                const uint64_t buffer = number(submits[i].pCommandBufferInfos[c].commandBuffer);
                submission.uses.insert(buffer);
                submission.uses.merge(std::set(state().uses[buffer]));
            }
            state().in_flight.push_back(std::move(submission));
        }
    return result;
}

VkResult vkWaitSemaphores(VkDevice device, const VkSemaphoreWaitInfo* info, uint64_t timeout) {
    const VkResult result =
        answer<PFN_vkWaitSemaphores>("vkWaitSemaphores", true, device, info, timeout);
    const std::lock_guard lock(state().mutex);
    for (uint32_t i = 0; result == VK_SUCCESS && i < info->semaphoreCount; ++i)
        finished(info->pSemaphores[i], info->pValues[i]);
    return result;
}

VkResult vkGetSemaphoreCounterValue(VkDevice device, VkSemaphore semaphore, uint64_t* value) {
    const VkResult result = answer<PFN_vkGetSemaphoreCounterValue>("vkGetSemaphoreCounterValue",
                                                                   true, device, semaphore, value);
    const std::lock_guard lock(state().mutex);
    if (result == VK_SUCCESS)
        finished(semaphore, *value);
    return result;
}

VkResult vkGetQueryPoolResults(VkDevice device, VkQueryPool pool, uint32_t first, uint32_t count,
                               size_t bytes, void* data, VkDeviceSize stride,
                               VkQueryResultFlags flags) {
    return answer<PFN_vkGetQueryPoolResults>("vkGetQueryPoolResults", true, device, pool, first,
                                             count, bytes, data, stride, flags);
}

// ---- memory ----------------------------------------------------------------------------------

VkResult vkAllocateMemory(VkDevice device, const VkMemoryAllocateInfo* info,
                          const VkAllocationCallbacks* allocator, VkDeviceMemory* memory) {
    return make<PFN_vkAllocateMemory>("vkAllocateMemory", 1, memory, device, info, allocator, memory);
}

void vkFreeMemory(VkDevice device, VkDeviceMemory memory, const VkAllocationCallbacks* allocator) {
    gone("vkAllocateMemory", number(memory));
    real<PFN_vkFreeMemory>("vkFreeMemory")(device, memory, allocator);
}

VkResult vkMapMemory(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize bytes,
                     VkMemoryMapFlags flags, void** data) {
    return answer<PFN_vkMapMemory>("vkMapMemory", false, device, memory, offset, bytes, flags, data);
}

VkResult vkFlushMappedMemoryRanges(VkDevice device, uint32_t count,
                                   const VkMappedMemoryRange* ranges) {
    return answer<PFN_vkFlushMappedMemoryRanges>("vkFlushMappedMemoryRanges", false, device, count,
                                                 ranges);
}

VkResult vkInvalidateMappedMemoryRanges(VkDevice device, uint32_t count,
                                        const VkMappedMemoryRange* ranges) {
    return answer<PFN_vkInvalidateMappedMemoryRanges>("vkInvalidateMappedMemoryRanges", false, device,
                                                      count, ranges);
}

VkResult vkBindBufferMemory(VkDevice device, VkBuffer buffer, VkDeviceMemory memory,
                            VkDeviceSize offset) {
    return answer<PFN_vkBindBufferMemory>("vkBindBufferMemory", false, device, buffer, memory,
                                          offset);
}

VkResult vkBindBufferMemory2(VkDevice device, uint32_t count, const VkBindBufferMemoryInfo* infos) {
    return answer<PFN_vkBindBufferMemory2>("vkBindBufferMemory2", false, device, count, infos);
}

VkResult vkCreateBuffer(VkDevice device, const VkBufferCreateInfo* info,
                        const VkAllocationCallbacks* allocator, VkBuffer* buffer) {
    return make<PFN_vkCreateBuffer>("vkCreateBuffer", 1, buffer, device, info, allocator, buffer);
}

void vkDestroyBuffer(VkDevice device, VkBuffer buffer, const VkAllocationCallbacks* allocator) {
    gone("vkCreateBuffer", number(buffer));
    real<PFN_vkDestroyBuffer>("vkDestroyBuffer")(device, buffer, allocator);
}

// ---- pipelines -------------------------------------------------------------------------------

VkResult vkCreateDescriptorSetLayout(VkDevice device, const VkDescriptorSetLayoutCreateInfo* info,
                                     const VkAllocationCallbacks* allocator,
                                     VkDescriptorSetLayout* layout) {
    return make<PFN_vkCreateDescriptorSetLayout>("vkCreateDescriptorSetLayout", 1, layout, device,
                                                 info, allocator, layout);
}

void vkDestroyDescriptorSetLayout(VkDevice device, VkDescriptorSetLayout layout,
                                  const VkAllocationCallbacks* allocator) {
    gone("vkCreateDescriptorSetLayout", number(layout));
    real<PFN_vkDestroyDescriptorSetLayout>("vkDestroyDescriptorSetLayout")(device, layout, allocator);
}

VkResult vkCreatePipelineLayout(VkDevice device, const VkPipelineLayoutCreateInfo* info,
                                const VkAllocationCallbacks* allocator, VkPipelineLayout* layout) {
    return make<PFN_vkCreatePipelineLayout>("vkCreatePipelineLayout", 1, layout, device, info,
                                            allocator, layout);
}

void vkDestroyPipelineLayout(VkDevice device, VkPipelineLayout layout,
                             const VkAllocationCallbacks* allocator) {
    gone("vkCreatePipelineLayout", number(layout));
    real<PFN_vkDestroyPipelineLayout>("vkDestroyPipelineLayout")(device, layout, allocator);
}

VkResult vkCreateShaderModule(VkDevice device, const VkShaderModuleCreateInfo* info,
                              const VkAllocationCallbacks* allocator, VkShaderModule* module) {
    return make<PFN_vkCreateShaderModule>("vkCreateShaderModule", 1, module, device, info, allocator,
                                          module);
}

void vkDestroyShaderModule(VkDevice device, VkShaderModule module,
                           const VkAllocationCallbacks* allocator) {
    gone("vkCreateShaderModule", number(module));
    real<PFN_vkDestroyShaderModule>("vkDestroyShaderModule")(device, module, allocator);
}

VkResult vkCreateComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                  const VkComputePipelineCreateInfo* infos,
                                  const VkAllocationCallbacks* allocator, VkPipeline* pipelines) {
    return make<PFN_vkCreateComputePipelines>("vkCreateComputePipelines", count, pipelines, device,
                                              cache, count, infos, allocator, pipelines);
}

void vkDestroyPipeline(VkDevice device, VkPipeline pipeline, const VkAllocationCallbacks* allocator) {
    gone("vkCreateComputePipelines", number(pipeline));
    real<PFN_vkDestroyPipeline>("vkDestroyPipeline")(device, pipeline, allocator);
}

VkResult vkCreatePipelineCache(VkDevice device, const VkPipelineCacheCreateInfo* info,
                               const VkAllocationCallbacks* allocator, VkPipelineCache* cache) {
    return make<PFN_vkCreatePipelineCache>("vkCreatePipelineCache", 1, cache, device, info, allocator,
                                           cache);
}

void vkDestroyPipelineCache(VkDevice device, VkPipelineCache cache,
                            const VkAllocationCallbacks* allocator) {
    gone("vkCreatePipelineCache", number(cache));
    real<PFN_vkDestroyPipelineCache>("vkDestroyPipelineCache")(device, cache, allocator);
}

VkResult vkGetPipelineCacheData(VkDevice device, VkPipelineCache cache, size_t* bytes, void* data) {
    return answer<PFN_vkGetPipelineCacheData>("vkGetPipelineCacheData", false, device, cache, bytes,
                                              data);
}

// ---- recording -------------------------------------------------------------------------------

VkResult vkCreateSemaphore(VkDevice device, const VkSemaphoreCreateInfo* info,
                           const VkAllocationCallbacks* allocator, VkSemaphore* semaphore) {
    return make<PFN_vkCreateSemaphore>("vkCreateSemaphore", 1, semaphore, device, info, allocator,
                                       semaphore);
}

void vkDestroySemaphore(VkDevice device, VkSemaphore semaphore,
                        const VkAllocationCallbacks* allocator) {
    gone("vkCreateSemaphore", number(semaphore));
    real<PFN_vkDestroySemaphore>("vkDestroySemaphore")(device, semaphore, allocator);
}

VkResult vkCreateQueryPool(VkDevice device, const VkQueryPoolCreateInfo* info,
                           const VkAllocationCallbacks* allocator, VkQueryPool* pool) {
    return make<PFN_vkCreateQueryPool>("vkCreateQueryPool", 1, pool, device, info, allocator, pool);
}

void vkDestroyQueryPool(VkDevice device, VkQueryPool pool, const VkAllocationCallbacks* allocator) {
    gone("vkCreateQueryPool", number(pool));
    real<PFN_vkDestroyQueryPool>("vkDestroyQueryPool")(device, pool, allocator);
}

VkResult vkCreateCommandPool(VkDevice device, const VkCommandPoolCreateInfo* info,
                             const VkAllocationCallbacks* allocator, VkCommandPool* pool) {
    return make<PFN_vkCreateCommandPool>("vkCreateCommandPool", 1, pool, device, info, allocator,
                                         pool);
}

void vkDestroyCommandPool(VkDevice device, VkCommandPool pool,
                          const VkAllocationCallbacks* allocator) {
    gone("vkCreateCommandPool", number(pool));
    real<PFN_vkDestroyCommandPool>("vkDestroyCommandPool")(device, pool, allocator);
}

VkResult vkAllocateCommandBuffers(VkDevice device, const VkCommandBufferAllocateInfo* info,
                                  VkCommandBuffer* buffers) {
    return make<PFN_vkAllocateCommandBuffers>("vkAllocateCommandBuffers", info->commandBufferCount,
                                              buffers, device, info, buffers);
}

void vkFreeCommandBuffers(VkDevice device, VkCommandPool pool, uint32_t count,
                          const VkCommandBuffer* buffers) {
    for (uint32_t i = 0; i < count; ++i)
        gone("vkAllocateCommandBuffers", number(buffers[i]));
    real<PFN_vkFreeCommandBuffers>("vkFreeCommandBuffers")(device, pool, count, buffers);
}

VkResult vkBeginCommandBuffer(VkCommandBuffer commands, const VkCommandBufferBeginInfo* info) {
    {
        const std::lock_guard lock(state().mutex);
        state().uses.erase(number(commands));
    }
    return answer<PFN_vkBeginCommandBuffer>("vkBeginCommandBuffer", false, commands, info);
}

VkResult vkEndCommandBuffer(VkCommandBuffer commands) {
    return answer<PFN_vkEndCommandBuffer>("vkEndCommandBuffer", false, commands);
}

VkResult vkCreateDescriptorPool(VkDevice device, const VkDescriptorPoolCreateInfo* info,
                                const VkAllocationCallbacks* allocator, VkDescriptorPool* pool) {
    return make<PFN_vkCreateDescriptorPool>("vkCreateDescriptorPool", 1, pool, device, info,
                                            allocator, pool);
}

void vkDestroyDescriptorPool(VkDevice device, VkDescriptorPool pool,
                             const VkAllocationCallbacks* allocator) {
    gone("vkCreateDescriptorPool", number(pool));
    real<PFN_vkDestroyDescriptorPool>("vkDestroyDescriptorPool")(device, pool, allocator);
}

// Sets go with their pool, so they are not counted as objects.
VkResult vkAllocateDescriptorSets(VkDevice device, const VkDescriptorSetAllocateInfo* info,
                                  VkDescriptorSet* sets) {
    const VkResult result = answer<PFN_vkAllocateDescriptorSets>("vkAllocateDescriptorSets", false,
                                                                 device, info, sets);
    for (uint32_t i = 0; result == VK_SUCCESS && i < info->descriptorSetCount; ++i) {
        const std::lock_guard lock(state().mutex);
        state().uses[number(sets[i])] = {number(info->descriptorPool)};
    }
    return result;
}

// ---- what command buffers use ------------------------------------------------------------------

void vkUpdateDescriptorSets(VkDevice device, uint32_t count, const VkWriteDescriptorSet* writes,
                            uint32_t copies, const VkCopyDescriptorSet* copied) {
    for (uint32_t i = 0; i < count; ++i)
        for (uint32_t k = 0; k < writes[i].descriptorCount; ++k)
            uses(writes[i].dstSet, writes[i].pBufferInfo[k].buffer);
    real<PFN_vkUpdateDescriptorSets>("vkUpdateDescriptorSets")(device, count, writes, copies, copied);
}

void vkCmdBindDescriptorSets(VkCommandBuffer commands, VkPipelineBindPoint point,
                             VkPipelineLayout layout, uint32_t first, uint32_t count,
                             const VkDescriptorSet* sets, uint32_t offsets,
                             const uint32_t* dynamic_offsets) {
    for (uint32_t i = 0; i < count; ++i) {
        const std::lock_guard lock(state().mutex);
        state().uses[number(commands)].merge(std::set(state().uses[number(sets[i])]));
    }
    real<PFN_vkCmdBindDescriptorSets>("vkCmdBindDescriptorSets")(
        commands, point, layout, first, count, sets, offsets, dynamic_offsets);
}

void vkCmdBindPipeline(VkCommandBuffer commands, VkPipelineBindPoint point, VkPipeline pipeline) {
    uses(commands, pipeline);
    real<PFN_vkCmdBindPipeline>("vkCmdBindPipeline")(commands, point, pipeline);
}

void vkCmdDispatchIndirect(VkCommandBuffer commands, VkBuffer buffer, VkDeviceSize offset) {
    uses(commands, buffer);
    real<PFN_vkCmdDispatchIndirect>("vkCmdDispatchIndirect")(commands, buffer, offset);
}

void vkCmdCopyBuffer(VkCommandBuffer commands, VkBuffer from, VkBuffer to, uint32_t count,
                     const VkBufferCopy* regions) {
    uses(commands, from, to);
    real<PFN_vkCmdCopyBuffer>("vkCmdCopyBuffer")(commands, from, to, count, regions);
}

void vkCmdFillBuffer(VkCommandBuffer commands, VkBuffer buffer, VkDeviceSize offset,
                     VkDeviceSize bytes, uint32_t word) {
    uses(commands, buffer);
    real<PFN_vkCmdFillBuffer>("vkCmdFillBuffer")(commands, buffer, offset, bytes, word);
}

void vkCmdWriteTimestamp2(VkCommandBuffer commands, VkPipelineStageFlags2 stage, VkQueryPool pool,
                          uint32_t query) {
    uses(commands, pool);
    real<PFN_vkCmdWriteTimestamp2>("vkCmdWriteTimestamp2")(commands, stage, pool, query);
}

// ---- look-ups --------------------------------------------------------------------------------

// Ours where there is one, else null.
static PFN_vkVoidFunction ours(const char* name) {
    struct Entry {
        const char* name;
        PFN_vkVoidFunction function;
    };
    const auto entry = [](const char* of, auto* function) {
        return Entry{of, reinterpret_cast<PFN_vkVoidFunction>(function)};
    };
    static const Entry entries[] = {
        entry("vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR", get_cooperative_matrix_properties),
        entry("vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV",
              get_flexible_dimensions),
        entry("vkCreateDebugUtilsMessengerEXT", create_debug_utils_messenger),
        entry("vkDestroyDebugUtilsMessengerEXT", destroy_debug_utils_messenger),
        // What the memory allocator asks for.
        entry("vkGetDeviceProcAddr", vkGetDeviceProcAddr),
        entry("vkAllocateMemory", vkAllocateMemory),
        entry("vkFreeMemory", vkFreeMemory),
        entry("vkMapMemory", vkMapMemory),
        entry("vkFlushMappedMemoryRanges", vkFlushMappedMemoryRanges),
        entry("vkInvalidateMappedMemoryRanges", vkInvalidateMappedMemoryRanges),
        entry("vkBindBufferMemory", vkBindBufferMemory),
        entry("vkBindBufferMemory2", vkBindBufferMemory2),
        entry("vkCreateBuffer", vkCreateBuffer),
        entry("vkDestroyBuffer", vkDestroyBuffer),
    };
    for (const Entry& one : entries)
        if (std::strcmp(one.name, name) == 0)
            return one.function;
    return nullptr;
}

PFN_vkVoidFunction vkGetInstanceProcAddr(VkInstance instance, const char* name) {
    const auto theirs = real<PFN_vkGetInstanceProcAddr>("vkGetInstanceProcAddr")(instance, name);
    const PFN_vkVoidFunction own = ours(name);
    return theirs && own ? own : theirs;
}

PFN_vkVoidFunction vkGetDeviceProcAddr(VkDevice device, const char* name) {
    const auto theirs = real<PFN_vkGetDeviceProcAddr>("vkGetDeviceProcAddr")(device, name);
    const PFN_vkVoidFunction own = ours(name);
    return theirs && own ? own : theirs;
}

}  // extern "C"
