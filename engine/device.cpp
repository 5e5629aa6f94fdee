#include "engine/device.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "engine/device_impl.h"
#include "engine/error.h"
#include "engine/queue_infos.h"
#include "engine/remade.h"
#include "engine/shader_folder.h"
#include "engine/vma.h"

namespace olivine {
namespace {

RungSet disabled_rungs(const DeviceOptions& options) {
    const char* environment = std::getenv("OLIVINE_DISABLE");
    RungSet disabled = RungSet::parse(environment ? environment : "");
    for (uint32_t i = 0; i < kRungs; ++i)
        if (options.disabled.has(static_cast<Rung>(i)))
            disabled.set(static_cast<Rung>(i));
    return disabled;
}

bool wants_validation(const DeviceOptions& options) {
    const char* environment = std::getenv("OLIVINE_VALIDATION");
    return options.validation || (environment && environment[0] != '\0' && environment[0] != '0');
}

// Which device to take: the one asked for, or the best usable one.
uint32_t pick(const std::vector<DeviceInfo>& devices, const DeviceOptions& options) {
    if (devices.empty())
        fail(Fault::no_device,
             "No Vulkan driver is found (on Debian and Ubuntu the package mesa-vulkan-drivers brings a "
             "software one).");
    if (options.index) {
        if (*options.index >= devices.size())
            fail(Fault::bad_input, "There is no device %u (the devices are 0 to %zu).",
                 *options.index, devices.size() - 1);
        const DeviceInfo& device = devices[*options.index];
        if (!device.unusable.empty())
            fail(Fault::no_device, "Device %u, %s, cannot be used: %s.", device.index,
                 device.name.c_str(), device.unusable.c_str());
        return *options.index;
    }
    const std::vector<std::string> order = {"discrete", "integrated", "virtual", "cpu", "other"};
    for (const std::string& type : order)
        for (const DeviceInfo& device : devices)
            if (device.unusable.empty() && device.type == type)
                return device.index;
    std::string found;
    for (const DeviceInfo& device : devices)
        found += (found.empty() ? "" : "; ") + device.name + ": " + device.unusable;
    fail(Fault::no_device,
         "No suitable Vulkan device is found (%s). The package mesa-vulkan-drivers brings a software "
         "one.",
         found.c_str());
}

// Of those that the device has enabled, as the options say.
void choose_rungs(Device::Impl& impl) {
    RungSet& enabled = impl.info.capabilities.enabled;
    enabled = enabled.without(disabled_rungs(impl.options));
    if (impl.options.precision == Precision::f32 || impl.options.deterministic)
        enabled = enabled.up_to(Rung::storage16);
}

// Makes the instance, and finds the device of impl.info.index in it.
void open_physical(Device::Impl& impl) {
    impl.instance = create_instance(impl.options.validation, &impl, &impl.messenger);
    uint32_t count = 0;
    VK(vkEnumeratePhysicalDevices(impl.instance, &count, nullptr));
    std::vector<VkPhysicalDevice> physical(count);
    VK(vkEnumeratePhysicalDevices(impl.instance, &count, physical.data()));
    if (impl.info.index >= count)
        fail(Fault::no_device, "Device %u is gone.", impl.info.index);
    impl.physical = physical[impl.info.index];
}

void create_device(Device::Impl& impl) {
    impl.compute.family = impl.info.queue_family;
    const DeviceInfo::CopyQueue copies =
        impl.info.copy_queue.value_or(DeviceInfo::CopyQueue{impl.compute.family, 0});
    impl.copies.family = copies.family;
    GlobalPriorities priorities;
    if (impl.options.background)
        priorities = global_priorities(impl.physical);
    QueueInfos queues(impl.compute.family, copies, impl.options.background, priorities.families);

    const Capabilities& caps = impl.info.capabilities;
    const RungSet& rungs = caps.enabled;
    const bool matrices = rungs.has(Rung::coopmat) || rungs.has(Rung::coopmat_int8) ||
                          rungs.has(Rung::coopmat2);
    std::vector<const char*> extensions;
    void* next = nullptr;
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR statistics{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR};
    if (impl.options.compile_only) {
        extensions.push_back(VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
        statistics.pipelineExecutableInfo = VK_TRUE;
        next = &statistics;
    }
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV matrix2{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV, next};
    if (rungs.has(Rung::coopmat2)) {
        extensions.push_back(VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME);
        matrix2.cooperativeMatrixFlexibleDimensions = VK_TRUE;
        matrix2.cooperativeMatrixReductions = VK_TRUE;
        matrix2.cooperativeMatrixConversions = VK_TRUE;
        matrix2.cooperativeMatrixPerElementOperations = VK_TRUE;
        next = &matrix2;
    }
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR, next};
    if (matrices) {
        extensions.push_back(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
        matrix.cooperativeMatrix = VK_TRUE;
        next = &matrix;
    }
    VkPhysicalDeviceConditionalRenderingFeaturesEXT conditional{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_CONDITIONAL_RENDERING_FEATURES_EXT, next};
    if (caps.conditional) {
        extensions.push_back(VK_EXT_CONDITIONAL_RENDERING_EXTENSION_NAME);
        conditional.conditionalRendering = VK_TRUE;
        next = &conditional;
    }
    VkPhysicalDeviceGlobalPriorityQueryFeaturesKHR priority{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_GLOBAL_PRIORITY_QUERY_FEATURES_KHR, next};
    if (queues.low()) {
        extensions.insert(extensions.end(), priorities.extensions.begin(),
                          priorities.extensions.end());
        priority.globalPriorityQuery = VK_TRUE;
        next = &priority;
    }
    VkPhysicalDeviceVulkan13Features v13{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES, next};
    v13.shaderIntegerDotProduct = rungs.has(Rung::int_dot);
    v13.synchronization2 = VK_TRUE;
    v13.maintenance4 = rungs.has(Rung::coopmat2);  // its shaders state workgroup sizes as 1.3 does
    v13.subgroupSizeControl = caps.subgroup_size_pinned;
    v13.computeFullSubgroups = caps.subgroup_size_pinned;
    VkPhysicalDeviceVulkan12Features v12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, &v13};
    v12.timelineSemaphore = VK_TRUE;
    v12.bufferDeviceAddress = caps.addresses;
    v12.shaderFloat16 = rungs.has(Rung::fp16) || matrices;
    v12.shaderInt8 = rungs.has(Rung::coopmat_int8);
    v12.vulkanMemoryModel = matrices;
    v12.vulkanMemoryModelDeviceScope = matrices;  // attention's workgroups join what they have split
    VkPhysicalDeviceVulkan11Features v11{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, &v12};
    v11.storageBuffer16BitAccess = rungs.has(Rung::storage16);
    VkDeviceCreateInfo info{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, &v11};
    info.queueCreateInfoCount = static_cast<uint32_t>(queues.infos().size());
    info.pQueueCreateInfos = queues.infos().data();
    info.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
    info.ppEnabledExtensionNames = extensions.data();
    VkDevice device{};
    VkResult result = vkCreateDevice(impl.physical, &info, nullptr, &device);
    if (result == VK_ERROR_NOT_PERMITTED_KHR && queues.low()) {
        queues.ask_for_nothing();
        result = vkCreateDevice(impl.physical, &info, nullptr, &device);
    }
    check_result(result, "vkCreateDevice");
    impl.device = device;
    impl.owns_device = true;
    vkGetDeviceQueue(impl.device, impl.compute.family, 0, &impl.compute.queue);
    vkGetDeviceQueue(impl.device, impl.copies.family, copies.index, &impl.copies.queue);
}

// Of a submission that waits for a value of the queue's timeline, or signals it.
VkSemaphoreSubmitInfo at_value(const Queue& queue, uint64_t value) {
    VkSemaphoreSubmitInfo info{VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO};
    info.semaphore = queue.timeline.get();
    info.value = value;
    info.stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT;
    return info;
}

void start_queue(Device::Impl& impl, Queue& queue, VkCommandPoolCreateFlags flags) {
    VkSemaphoreTypeCreateInfo type{VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO};
    type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
    const VkSemaphoreCreateInfo semaphore{VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, &type, 0};
    VkSemaphore timeline{};
    VK(vkCreateSemaphore(impl.device, &semaphore, nullptr, &timeline));
    queue.timeline = {impl.device, timeline};

    VkCommandPoolCreateInfo pool{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    pool.flags = flags;
    pool.queueFamilyIndex = queue.family;
    VkCommandPool command_pool{};
    VK(vkCreateCommandPool(impl.device, &pool, nullptr, &command_pool));
    queue.command_pool = {impl.device, command_pool};
}

// Everything that both our own and an adopted device need on top of the VkDevice.
void complete(Device::Impl& impl) {
    impl.workers = std::make_unique<Workers>(
        std::clamp(std::thread::hardware_concurrency(), 1u, 8u));
    if (impl.options.compile_only) {
        impl.budget = UINT64_MAX;  // of memory that is only counted
        return;
    }
    if (impl.info.capabilities.conditional) {
        impl.begin_conditional = reinterpret_cast<PFN_vkCmdBeginConditionalRenderingEXT>(
            vkGetDeviceProcAddr(impl.device, "vkCmdBeginConditionalRenderingEXT"));
        impl.end_conditional = reinterpret_cast<PFN_vkCmdEndConditionalRenderingEXT>(
            vkGetDeviceProcAddr(impl.device, "vkCmdEndConditionalRenderingEXT"));
    }
    VmaVulkanFunctions functions{};
    functions.vkGetInstanceProcAddr = vkGetInstanceProcAddr;
    functions.vkGetDeviceProcAddr = vkGetDeviceProcAddr;
    VmaAllocatorCreateInfo allocator{};
    allocator.physicalDevice = impl.physical;
    allocator.device = impl.device;
    allocator.instance = impl.instance;
    allocator.pVulkanFunctions = &functions;
    allocator.vulkanApiVersion = VK_API_VERSION_1_3;
    // It takes memory in blocks and keeps an empty one, which is memory that nobody has. Buffers of half a
    // block and more have memory of their own.
    allocator.preferredLargeHeapBlockSize = uint64_t{32} << 20;
    if (impl.info.capabilities.addresses)
        allocator.flags = VMA_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT;
    VK(vmaCreateAllocator(&allocator, &impl.allocator));

    start_queue(impl, impl.compute, 0);
    start_queue(impl, impl.copies, VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT);
    impl.copies_needed = impl.copies_awaited = 0;

    impl.budget = impl.info.free_bytes;
    if (impl.options.memory_budget > 0)
        impl.budget = std::min(impl.budget, impl.options.memory_budget);
    if (!impl.options.shaders)
        impl.options.shaders = open_shader_folder("");
    load_pipeline_cache(impl);
}

}  // namespace

Workers::Workers(uint32_t threads) {
    try {
        while (threads_.size() < threads)
            threads_.emplace_back([this] { loop(); });
    } catch (const std::system_error& error) {
        // Those that started do; without any, nothing would ever compile.
        if (threads_.empty())
            fail(Fault::out_of_memory, "The system starts no thread: %s.", error.what());
    }
}

Workers::~Workers() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_)
        thread.join();
}

void Workers::add(std::function<void()> job) {
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
}

void Workers::loop() {
    for (;;) {
        std::function<void()> job;
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
            if (jobs_.empty())
                return;
            job = std::move(jobs_.front());
            jobs_.pop_front();
        }
        job();
    }
}

void Device::Impl::close() {
    workers.reset();
    if (device && !owns_device)
        settle();
    if (device && owns_device && compute.last_value + copies.last_value > 0)
        vkDeviceWaitIdle(device);  // a lost device answers at once; there is nobody to tell
    pipeline_cache = {};
    for (Queue* queue : {&compute, &copies}) {
        queue->command_pool = {};
        queue->timeline = {};
    }
    if (allocator)
        vmaDestroyAllocator(std::exchange(allocator, {}));
    if (!owns_device && device)
        return;
    if (device)
        vkDestroyDevice(std::exchange(device, {}), nullptr);
    for (Queue* queue : {&compute, &copies})
        queue->last_value = queue->reached = 0;
    if (messenger) {
        const auto destroy = reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(
            vkGetInstanceProcAddr(instance, "vkDestroyDebugUtilsMessengerEXT"));
        destroy(instance, std::exchange(messenger, {}), nullptr);
    }
    if (instance)
        vkDestroyInstance(std::exchange(instance, {}), nullptr);
}

uint64_t Device::Impl::submit(const std::vector<VkCommandBuffer>& buffers, uint32_t times,
                              uint64_t copy) {
    std::vector<VkCommandBufferSubmitInfo> infos;
    for (uint32_t time = 0; time < times; ++time)
        for (VkCommandBuffer buffer : buffers)
            infos.push_back({VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO, nullptr, buffer, 0});
    const std::lock_guard order(submit_mutex);
    copy = std::max(copy, copies_needed);
    const uint64_t value =
        submit(compute, infos, at_value(copies, copy > copies_awaited ? copy : 0));
    copies_awaited = std::max(copies_awaited, copy);  // by all that is submitted behind it, too
    return value;
}

uint64_t Device::Impl::submit_copy(VkCommandBuffer buffer, uint64_t after) {
    const VkCommandBufferSubmitInfo copy{VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO, nullptr, buffer, 0};
    const std::lock_guard order(submit_mutex);
    return submit(copies, {&copy, 1}, at_value(compute, after > compute.reached ? after : 0));
}

// wait_for: unless its value is 0.
uint64_t Device::Impl::submit(Queue& queue, std::span<const VkCommandBufferSubmitInfo> buffers,
                              const VkSemaphoreSubmitInfo& wait_for) {
    const VkSemaphoreSubmitInfo signal = at_value(queue, queue.last_value + 1);
    VkSubmitInfo2 submission{VK_STRUCTURE_TYPE_SUBMIT_INFO_2};
    submission.waitSemaphoreInfoCount = wait_for.value > 0;
    submission.pWaitSemaphoreInfos = &wait_for;
    submission.commandBufferInfoCount = static_cast<uint32_t>(buffers.size());
    submission.pCommandBufferInfos = buffers.data();
    submission.signalSemaphoreInfoCount = 1;
    submission.pSignalSemaphoreInfos = &signal;
    if (lock)
        lock();
    const VkResult result = vkQueueSubmit2(queue.queue, 1, &submission, VK_NULL_HANDLE);
    if (result < 0)
        wait_for_queues();  // for what was submitted before
    if (unlock)
        unlock();
    check_submission(result, "vkQueueSubmit2");
    ++counters.submissions;
    return ++queue.last_value;
}

void Device::Impl::wait_for_queues() {
    for (const Queue* queue : {&compute, &copies})
        vkQueueWaitIdle(queue->queue);  // a lost device answers at once
}

void Device::Impl::check_submission(VkResult result, const char* call) {
    constexpr uint64_t kFirst = 8;
    if (result == VK_ERROR_DEVICE_LOST) {
        const std::lock_guard order(memory_mutex);
        if (counters.submissions - allocated_at < kFirst && bytes_now > budget / 10 * 9)
            fail(Fault::device_lost,
                 "The driver lost the device in %s, soon after it gave out memory: memory "
                 "over-committed "
                 "(%" PRIu64 " bytes of a budget of %" PRIu64 " are in use).",
                 call, bytes_now, budget);
    }
    check_result(result, call);
}

void Device::Impl::wait(Queue& queue, uint64_t value) {
    if (value <= queue.reached)
        return;
    constexpr uint64_t kSecond = 1'000'000'000;
    const VkSemaphore semaphore = queue.timeline.get();
    VkSemaphoreWaitInfo wait_for{VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO};
    wait_for.semaphoreCount = 1;
    wait_for.pSemaphores = &semaphore;
    wait_for.pValues = &value;
    VkResult result = VK_TIMEOUT;
    while (result == VK_TIMEOUT)
        result = vkWaitSemaphores(device, &wait_for, kSecond);
    if (result < 0)
        drain();
    check_submission(result, "vkWaitSemaphores");
    for (uint64_t seen = queue.reached;
         seen < value && !queue.reached.compare_exchange_weak(seen, value);) {
    }
}

bool Device::Impl::has_passed(uint64_t value) {
    uint64_t now = 0;
    const VkResult result = vkGetSemaphoreCounterValue(device, compute.timeline.get(), &now);
    if (result < 0)
        drain();
    check_submission(result, "vkGetSemaphoreCounterValue");
    return now >= value;
}

void Device::Impl::before_slice() {
    if (!options.before_slice)
        return;
    wait(compute.last_value);
    wait_for_copy(copies.last_value);
    options.before_slice();
}

void Device::Impl::settle() noexcept {
    uint64_t value = 0, copy = 0;
    {
        const std::lock_guard order(submit_mutex);
        value = compute.last_value;
        copy = copies.last_value;
    }
    try {
        wait(compute, value);
        wait(copies, copy);
    } catch (const Error&) {
        // The error was or will be reported where the result matters.
    }
}

void Device::Impl::drain() {
    const std::lock_guard order(submit_mutex);
    if (lock)
        lock();
    wait_for_queues();
    if (unlock)
        unlock();
}

Device::Device(const DeviceOptions& options) : impl_(std::make_unique<Impl>()) {
    impl_->options = options;
    impl_->options.validation = wants_validation(options);
    const std::vector<DeviceInfo> devices = list_devices();
    const uint32_t index = pick(devices, options);
    impl_->info = devices[index];
    open_physical(*impl_);
    if (impl_->info.memory_bytes == 0 && !options.compile_only)
        fail(Fault::no_device, "Device %u, %s, has no memory: it can only compile.", index,
             impl_->info.name.c_str());
    Capabilities& caps = impl_->info.capabilities;
    if (options.max_range_bytes > 0)
        caps.max_range_bytes = std::min(caps.max_range_bytes, options.max_range_bytes);
    if (options.as_gpu) {
        caps.software = caps.shared_memory = caps.addresses = false;
        caps.enabled = caps.available;
    }
    choose_rungs(*impl_);
    create_device(*impl_);
    complete(*impl_);
}

Device::Device(const HostDevice& host, const DeviceOptions& options)
    : impl_(std::make_unique<Impl>()) {
    impl_->options = options;
    impl_->instance = host.instance;
    impl_->physical = host.physical_device;
    impl_->device = host.device;
    for (Queue* queue : {&impl_->compute, &impl_->copies}) {
        queue->family = host.queue_family;
        queue->queue = host.queue;
    }
    impl_->lock = host.lock;
    impl_->unlock = host.unlock;
    impl_->allocate = host.allocate;
    impl_->free = host.free;
    if (!host.allocate != !host.free)
        fail(Fault::bad_input, "The host gives one of allocate and free; they are given together.");
    fill_info(host.physical_device, host.instance, 0, impl_->info);
    if (!impl_->info.unusable.empty())
        fail(Fault::unsupported, "The host's device, %s, cannot be used: %s.",
             impl_->info.name.c_str(), impl_->info.unusable.c_str());
    restrict_to_host(host, impl_->info);
    choose_rungs(*impl_);
    complete(*impl_);
}

Device::~Device() { save_pipeline_cache(); }

const DeviceInfo& Device::info() const { return impl_->info; }
bool Device::deterministic() const { return impl_->options.deterministic; }

RungSet Device::rungs(const std::string& work) const {
    RungSet set = capabilities().enabled;
    for (const auto& [name, aside] : impl_->aside)
        if (work == name || work.compare(0, name.size() + 1, name + " ") == 0)
            set = set.without(aside);
    return set;
}

void Device::set_aside(const std::string& work, Rung rung, bool aside) {
    impl_->aside[work].set(rung, aside);
}

ShaderFolder* Device::shaders() const { return impl_->options.shaders.get(); }

Counters& Device::counters() { return impl_->counters; }

void Device::set_trace(std::shared_ptr<Trace> trace) { impl_->trace = std::move(trace); }
const std::shared_ptr<Trace>& Device::trace() const { return impl_->trace; }

uint64_t Device::bytes_in(Arena arena) const {
    return impl_->arena_bytes[static_cast<size_t>(arena)];
}
uint64_t Device::bytes_now() const { return impl_->bytes_now; }
uint64_t Device::bytes_peak() const { return impl_->bytes_peak; }
uint64_t Device::budget_bytes() const { return impl_->budget; }
void Device::set_budget(uint64_t bytes) {
    const std::lock_guard lock(impl_->memory_mutex);
    impl_->budget = std::min(bytes, impl_->info.free_bytes);
    impl_->options.memory_budget = bytes;  // also when the device is made anew
}
uint64_t Device::validation_messages() const { return impl_->messages; }

void Device::wait_idle() {
    impl_->wait(impl_->compute.last_value);
    impl_->wait_for_copy(impl_->copies.last_value);
}

bool Device::survives(Fault fault) {
    if (fault != Fault::device_lost)
        return false;
    lost_ = true;
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> span(impl_->options.rebuild_seconds);
    std::erase_if(rebuilds_, [&](const auto& each) { return now - each > span; });
    return impl_->owns_device && rebuilds_.size() < impl_->options.rebuilds;
}

// The same device, wherever it is listed now, with the same options.
void Device::rebuild() {
    if (!impl_->owns_device)
        fail(Fault::device_lost, "The host's device was lost.");
    if (!survives(Fault::device_lost))
        fail(Fault::device_lost, "The device was lost, which is made good %u times in %.0f s.",
             impl_->options.rebuilds, impl_->options.rebuild_seconds);
    rebuilds_.push_back(std::chrono::steady_clock::now());
    for (auto resident = residents_.rbegin(); resident != residents_.rend(); ++resident)
        (*resident)->drop();
    if (impl_->bytes_now > 0)
        fail(Fault::device_lost,
             "The device was lost, and %" PRIu64 " bytes on it belong to what cannot be made anew.",
             impl_->bytes_now);
    impl_->close();
    const DeviceInfo& before = impl_->info;
    std::vector<DeviceInfo> devices = list_devices();
    std::erase_if(devices, [&](const DeviceInfo& each) {
        return each.uuid != before.uuid || each.name != before.name || each.driver != before.driver;
    });
    if (devices.empty())
        fail(Fault::device_lost, "The device was lost, and %s is not there any more.", before.name.c_str());
    // Of several that cannot be told apart, the one at the same place.
    const auto same = std::find_if(devices.begin(), devices.end(),
                                   [&](const DeviceInfo& each) { return each.index == before.index; });
    impl_->info.index = same == devices.end() ? devices.front().index : same->index;
    open_physical(*impl_);
    create_device(*impl_);
    complete(*impl_);
    // Making one may hold this thread (before_slice) while the program takes another away.
    for (Resident* resident : std::vector<Resident*>(residents_))
        if (std::ranges::find(residents_, resident) != residents_.end())
            resident->make();
    lost_ = false;
    if (impl_->options.rebuilt)
        impl_->options.rebuilt();
}

void Device::save_pipeline_cache() noexcept { store_pipeline_cache(*impl_); }

}  // namespace olivine
