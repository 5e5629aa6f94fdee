#include "engine/recorder.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstring>
#include <utility>

#include "engine/buffer_impl.h"
#include "engine/device_impl.h"
#include "engine/error.h"
#include "engine/pipeline_impl.h"
#include "engine/weight_group.h"

namespace olivine {
namespace {

constexpr uint32_t kSetsPerPool = 256;
constexpr VkPipelineStageFlags2 kStages = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT |
                                          VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT |
                                          VK_PIPELINE_STAGE_2_DRAW_INDIRECT_BIT;
constexpr VkAccessFlags2 kWrites =
    VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT;
constexpr VkAccessFlags2 kAll = kWrites | VK_ACCESS_2_SHADER_STORAGE_READ_BIT |
                                VK_ACCESS_2_TRANSFER_READ_BIT |
                                VK_ACCESS_2_INDIRECT_COMMAND_READ_BIT;

void record_barrier(VkCommandBuffer commands, VkPipelineStageFlags2 from_stages,
                    VkPipelineStageFlags2 to_stages, VkAccessFlags2 to_access) {
    VkMemoryBarrier2 memory{VK_STRUCTURE_TYPE_MEMORY_BARRIER_2};
    memory.srcStageMask = from_stages;
    memory.srcAccessMask = kWrites;
    memory.dstStageMask = to_stages;
    memory.dstAccessMask = to_access;
    VkDependencyInfo info{VK_STRUCTURE_TYPE_DEPENDENCY_INFO};
    info.memoryBarrierCount = 1;
    info.pMemoryBarriers = &memory;
    vkCmdPipelineBarrier2(commands, &info);
}

}  // namespace

Grid folded(uint32_t groups) {
    constexpr uint32_t kRow = 32768;
    return {std::min(groups, kRow), (groups + kRow - 1) / kRow, 1};
}

struct Plan::Impl {
    Device* device{};
    std::vector<VkCommandBuffer> slices;
    std::vector<const WeightGroup*> groups;  // what each needs, or null
    bool streams = false;                    // some need one
    std::vector<Handle<VkDescriptorPool, vkDestroyDescriptorPool>> pools;
    uint32_t sets_left = 0;
    Handle<VkQueryPool, vkDestroyQueryPool> queries;
    std::vector<std::shared_ptr<Pipeline::Impl>> pipelines;  // kept alive
    uint32_t dispatches = 0;
    uint32_t barriers = 0;
    uint64_t last_value = 0;

    // With a trace, a timestamp follows each operation.
    struct Mark {
        std::string name;
        uint64_t bytes;
        uint32_t slice;
    };
    std::vector<double> slice_seconds;  // of the last run
    std::string label;
    std::shared_ptr<Trace> trace;
    std::vector<Mark> marks;

    const WeightGroup* group_after(size_t slice) const;
    std::vector<double> ticks() const;  // in seconds from the first
    void tell(double waited_since) const;

    ~Impl() {
        Device::Impl& owner = device->impl();
        try {
            owner.wait(last_value);
        } catch (const Error&) {
            // A lost device runs nothing any more, so freeing is safe; the loss was or will be
            // reported where its result matters.
        }
        if (!slices.empty())
            vkFreeCommandBuffers(owner.device, owner.compute.command_pool.get(),
                                 static_cast<uint32_t>(slices.size()), slices.data());
    }
};

Plan::Plan() = default;
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

// The next that a slice behind this one needs, around the end of the plan, as it may be run again.
// Null: none.
const WeightGroup* Plan::Impl::group_after(size_t slice) const {
    for (size_t i = 1; streams && i < groups.size(); ++i)
        if (const WeightGroup* group = groups[(slice + i) % groups.size()];
            group && group != groups[slice])
            return group;
    return nullptr;
}

// Timestamps of the last submission: of its begin, after each mark, of its end. Empty without.
std::vector<double> Plan::Impl::ticks() const {
    if (!queries.get())
        return {};
    std::vector<uint64_t> raw(marks.size() + 2);
    const VkResult result = vkGetQueryPoolResults(
        device->impl().device, queries.get(), 0, static_cast<uint32_t>(raw.size()),
        raw.size() * sizeof raw[0], raw.data(), sizeof raw[0], VK_QUERY_RESULT_64_BIT);
    if (result != VK_SUCCESS)
        return {};
    const Capabilities& caps = device->capabilities();
    const uint64_t counting = UINT64_MAX >> (64 - caps.timestamp_bits);  // they wrap around
    std::vector<double> seconds;
    for (const uint64_t tick : raw)
        seconds.push_back(static_cast<double>((tick - raw[0]) & counting) *
                          static_cast<double>(caps.timestamp_ns) * 1e-9);
    return seconds;
}

// Tells the trace of the submission that has just been waited for. The two clocks meet at its end.
void Plan::Impl::tell(double waited_since) const {
    trace->host("wait for " + label, waited_since);
    const std::vector<double> at = ticks();
    if (at.empty())
        return;
    const double start = trace->now() - at.back();
    for (size_t i = 0, first = 0; i < marks.size(); ++i) {
        trace->add({.track = Span::Track::dispatch,
                    .name = marks[i].name,
                    .begin = start + at[i],
                    .seconds = at[i + 1] - at[i],
                    .bytes = marks[i].bytes});
        if (i + 1 < marks.size() && marks[i + 1].slice == marks[i].slice)
            continue;
        trace->add({.track = Span::Track::slice,
                    .name = label,
                    .begin = start + at[first],
                    .seconds = at[i + 1] - at[first]});
        first = i + 1;
    }
}

uint64_t Plan::submit(uint32_t times) {
    assert(!impl_->streams);
    impl_->device->impl().before_slice();
    const std::shared_ptr<Trace>& trace = impl_->trace;
    const double begin = trace ? trace->now() : 0;
    impl_->last_value = impl_->device->impl().submit(impl_->slices, times);
    if (trace)
        trace->host("submit " + impl_->label, begin);
    return impl_->last_value;
}

void Plan::run(const std::function<bool()>& cancelled) {
    Device::Impl& device = impl_->device->impl();
    const bool one_by_one = bool(device.options.before_slice);
    const double begin = impl_->trace ? impl_->trace->now() : 0;
    using Clock = std::chrono::steady_clock;
    struct Flight {
        uint64_t value = 0;  // 0: none
        Clock::time_point submitted;
    };
    Flight flight;
    Clock::time_point done = Clock::now();
    bool copied = false;  // since the one in flight was submitted
    impl_->slice_seconds.clear();
    const auto bring = [&](auto call) {
        try {
            return call();
        } catch (...) {
            device.wait(impl_->last_value);
            throw;
        }
    };
    const auto land = [&](const Flight& which) {
        const bool over = copied && device.has_passed(which.value);
        device.wait(which.value);
        const Clock::time_point now = Clock::now(), began = std::max(done, which.submitted);
        impl_->slice_seconds.push_back(over ? 0
                                            : std::chrono::duration<double>(now - began).count());
        done = now;
    };
    for (size_t i = 0; i < impl_->slices.size(); ++i) {
        const WeightGroup* group = impl_->groups[i];
        if (group && bring([&] { return group->source->fetch(*group); }))
            copied = true;
        if (one_by_one) {
            if (flight.value)
                land(std::exchange(flight, {}));
            device.before_slice();
        }
        if (cancelled && cancelled()) {
            device.wait(impl_->last_value);
            fail(Fault::cancelled, "The work is stopped on request.");
        }
        Flight next{.submitted = Clock::now()};
        next.value = device.submit({impl_->slices[i]}, 1, group ? group->copy : 0);
        impl_->last_value = next.value;
        if (group)
            group->source->used(*group, next.value);
        if (flight.value)
            land(flight);
        flight = next;
        const WeightGroup* coming = impl_->group_after(i);
        copied = coming && bring([&] { return coming->source->prefetch(*coming, group); });
    }
    land(flight);
    if (impl_->trace)
        impl_->tell(begin);
}

void Plan::wait(uint64_t value) {
    const double begin = impl_->trace ? impl_->trace->now() : 0;
    impl_->device->impl().wait(value);
    if (impl_->trace && value == impl_->last_value)
        impl_->tell(begin);
}

uint32_t Plan::dispatches() const { return impl_->dispatches; }
uint32_t Plan::barriers() const { return impl_->barriers; }
uint32_t Plan::slices() const { return static_cast<uint32_t>(impl_->slices.size()); }

std::span<const double> Plan::slice_seconds() const { return impl_->slice_seconds; }

double Plan::gpu_seconds() const {
    const std::vector<double> ticks = impl_->ticks();
    return ticks.empty() ? 0 : ticks.back();
}

namespace {

// Writes the command buffers of one plan.
class Writer {
public:
    Writer(Device& device, Plan::Impl& plan, size_t operations) : device_(device), plan_(plan) {
        const VkDevice handle = device.impl().device;
        if (device.capabilities().timestamp_bits > 0) {
            VkQueryPoolCreateInfo info{VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO};
            info.queryType = VK_QUERY_TYPE_TIMESTAMP;
            info.queryCount = static_cast<uint32_t>(plan.trace ? operations : 0) + 2;
            VkQueryPool pool{};
            VK(vkCreateQueryPool(handle, &info, nullptr, &pool));
            plan_.queries = {handle, pool};
        }
        begin_slice(nullptr);
        if (plan_.queries.get()) {
            vkCmdResetQueryPool(commands(), plan_.queries.get(), 0,
                                static_cast<uint32_t>(plan.trace ? operations : 0) + 2);
            timestamp();
        }
        // Whatever was submitted before may have written what this plan reads.
        barrier();
    }

    // One use of a range by the operation about to be written.
    void access(const Slice& slice, bool read, bool write) {
        if (read)
            now_.push_back({slice.buffer, slice.offset, slice.offset + slice.bytes, false});
        if (write)
            now_.push_back({slice.buffer, slice.offset, slice.offset + slice.bytes, true});
    }

    // Puts a barrier before the operation if one of its ranges asks for it.
    void order() {
        const auto conflicts = [&](const Access& now) {
            return std::any_of(since_barrier_.begin(), since_barrier_.end(), [&](const Access& then) {
                return then.buffer == now.buffer && then.begin < now.end && now.begin < then.end &&
                       (then.write || now.write);
            });
        };
        if (std::any_of(now_.begin(), now_.end(), conflicts)) {
            barrier();
            since_barrier_.clear();
            ++plan_.barriers;
        }
        since_barrier_.insert(since_barrier_.end(), now_.begin(), now_.end());
        now_.clear();
    }

    VkDescriptorSet descriptor_set(const Pipeline::Impl& pipeline, std::span<const Slice> buffers) {
        const VkDevice handle = device_.impl().device;
        if (plan_.sets_left == 0) {
            const VkDescriptorPoolSize size{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, kSetsPerPool * 8};
            VkDescriptorPoolCreateInfo info{VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO};
            info.maxSets = kSetsPerPool;
            info.poolSizeCount = 1;
            info.pPoolSizes = &size;
            VkDescriptorPool pool{};
            VK(vkCreateDescriptorPool(handle, &info, nullptr, &pool));
            plan_.pools.emplace_back(handle, pool);
            plan_.sets_left = kSetsPerPool;
        }
        const VkDescriptorSetLayout layout = pipeline.set_layout.get();
        VkDescriptorSetAllocateInfo allocate{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO};
        allocate.descriptorPool = plan_.pools.back().get();
        allocate.descriptorSetCount = 1;
        allocate.pSetLayouts = &layout;
        VkDescriptorSet set{};
        VK(vkAllocateDescriptorSets(handle, &allocate, &set));
        --plan_.sets_left;

        std::array<VkDescriptorBufferInfo, 8> infos{};
        std::array<VkWriteDescriptorSet, 8> writes{};
        uint32_t count = 0;
        for (uint32_t i = 0; i < buffers.size(); ++i) {
            const ShaderBinding& binding = pipeline.interface.bindings[i];
            if (!binding.used || binding.by_address)
                continue;
            infos[count] = {buffers[i].buffer->impl().buffer, buffers[i].offset, buffers[i].bytes};
            writes[count] = {VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET};
            writes[count].dstSet = set;
            writes[count].dstBinding = i;
            writes[count].descriptorCount = 1;
            writes[count].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
            writes[count].pBufferInfo = &infos[count];
            ++count;
        }
        vkUpdateDescriptorSets(handle, count, writes.data(), 0, nullptr);
        device_.counters().descriptor_updates += count;
        return set;
    }

    // After each operation.
    void mark(const std::string& name, uint64_t bytes) {
        if (!plan_.trace || !plan_.queries.get())
            return;
        timestamp();
        plan_.marks.push_back({name, bytes, static_cast<uint32_t>(plan_.slices.size())});
    }

    void cut(const WeightGroup* group) {
        end_slice();
        begin_slice(group);
        // A plan that was submitted between the slices may use the scratch of the same operations.
        barrier();
        since_barrier_.clear();
        ++plan_.barriers;
        begin_condition();
    }

    void only_if(const Slice& word) {
        if (!device_.capabilities().conditional)
            return;
        end_condition();
        condition_ = word;
        if (!word.buffer)
            return;
        conditional_ = true;
        barrier();  // once more, for the stage that reads the word
        since_barrier_.clear();
        begin_condition();
    }

    void end() {
        if (plan_.queries.get())
            timestamp();
        // The host reads results from mapped memory once the timeline has passed.
        record_barrier(commands(), stages(), VK_PIPELINE_STAGE_2_HOST_BIT, VK_ACCESS_2_HOST_READ_BIT);
        end_slice();
    }

    VkCommandBuffer commands() const { return plan_.slices.back(); }

private:
    struct Access {
        const Buffer* buffer;
        uint64_t begin, end;
        bool write;
    };

    void timestamp() {
        vkCmdWriteTimestamp2(commands(), VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, plan_.queries.get(),
                             queries_++);
    }

    VkPipelineStageFlags2 stages() const {
        return conditional_ ? kStages | VK_PIPELINE_STAGE_2_CONDITIONAL_RENDERING_BIT_EXT : kStages;
    }

    void barrier() {
        record_barrier(commands(), stages(), stages(),
                       conditional_ ? kAll | VK_ACCESS_2_CONDITIONAL_RENDERING_READ_BIT_EXT : kAll);
    }

    void begin_condition() {
        if (!condition_.buffer)
            return;
        VkConditionalRenderingBeginInfoEXT info{VK_STRUCTURE_TYPE_CONDITIONAL_RENDERING_BEGIN_INFO_EXT};
        info.buffer = condition_.buffer->impl().buffer;
        info.offset = condition_.offset;
        since_barrier_.push_back({condition_.buffer, condition_.offset, condition_.offset + 4, false});
        device_.impl().begin_conditional(commands(), &info);
    }

    void end_condition() {
        if (condition_.buffer)
            device_.impl().end_conditional(commands());
    }

    void begin_slice(const WeightGroup* group) {
        VkCommandBufferAllocateInfo allocate{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
        allocate.commandPool = device_.impl().compute.command_pool.get();
        allocate.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
        allocate.commandBufferCount = 1;
        VkCommandBuffer buffer{};
        VK(vkAllocateCommandBuffers(device_.impl().device, &allocate, &buffer));
        plan_.slices.push_back(buffer);
        plan_.groups.push_back(group);
        plan_.streams |= group != nullptr;
        VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
        begin.flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT;  // chained without waiting
        VK(vkBeginCommandBuffer(buffer, &begin));
    }

    void end_slice() {
        end_condition();
        VK(vkEndCommandBuffer(commands()));
        ++device_.counters().recordings;
    }

    Device& device_;
    Plan::Impl& plan_;
    std::vector<Access> now_, since_barrier_;
    Slice condition_;           // of only_if, now
    bool conditional_ = false;  // there has been one
    uint32_t queries_ = 0;
};

}  // namespace

Recorder::Recorder(Device& device, std::string label) : device_(device), label_(std::move(label)) {}
Recorder::~Recorder() = default;

void Recorder::dispatch(const Pipeline& pipeline, std::span<const Slice> buffers,
                        const void* params, size_t bytes, Grid grid, const Slice* indirect) {
    assert(buffers.size() == pipeline.impl()->buffers && bytes == pipeline.impl()->push_bytes);
    Command command{};
    command.kind = indirect ? Command::dispatch_indirect : Command::dispatch;
    command.pipeline = pipeline.impl();
    std::copy(buffers.begin(), buffers.end(), command.slices.begin());
    command.buffers = static_cast<uint32_t>(buffers.size());
    if (indirect)
        command.indirect = *indirect;
    std::memcpy(command.params.data(), params, bytes);
    command.params_bytes = static_cast<uint32_t>(bytes);
    command.grid = grid;
    commands_.push_back(std::move(command));
}

void Recorder::repeat(const Pipeline& pipeline, const Dispatch& what) {
    dispatch(pipeline, what.buffers, what.params.data(), what.params.size() * 4, what.grid,
             what.indirect.buffer ? &what.indirect : nullptr);
}

void Recorder::copy(const Slice& from, const Slice& to) {
    assert(from.bytes <= to.bytes);
    Command command{};
    command.kind = Command::copy;
    command.slices[0] = from;
    command.slices[1] = {to.buffer, to.offset, from.bytes};
    commands_.push_back(std::move(command));
}

void Recorder::fill(const Slice& to, uint32_t word) {
    Command command{};
    command.kind = Command::fill;
    command.slices[0] = to;
    std::memcpy(command.params.data(), &word, sizeof word);
    commands_.push_back(std::move(command));
}

void Recorder::cut() {
    Command command{};
    command.kind = Command::cut;
    command.group = group_;
    commands_.push_back(std::move(command));
}

void Recorder::need(const WeightGroup* group) {
    if (!group || group == group_)
        return;
    group_ = group;
    if (commands_.empty() || commands_.back().kind != Command::cut)
        cut();
    commands_.back().group = group;
}

void Recorder::only_if(const Slice& word) {
    Command command{};
    command.kind = Command::only_if;
    command.slices[0] = word;
    commands_.push_back(std::move(command));
}

std::vector<Dispatch> Recorder::dispatches() const {
    std::vector<Dispatch> list;
    for (const Command& command : commands_) {
        if (command.kind != Command::dispatch && command.kind != Command::dispatch_indirect)
            continue;
        const Pipeline::Impl& pipeline = *command.pipeline;
        Dispatch& one = list.emplace_back();
        one.shader = pipeline.name;
        one.spirv = pipeline.spirv;
        one.threads = pipeline.threads;
        one.constants = pipeline.constants;
        for (uint32_t i = 0; i < command.buffers; ++i)
            one.buffers.push_back(pipeline.interface.bindings[i].used ? command.slices[i] : Slice{});
        one.params.resize(command.params_bytes / 4);
        std::memcpy(one.params.data(), command.params.data(), command.params_bytes);
        one.grid = command.grid;
        one.indirect = command.indirect;
    }
    return list;
}

Plan Recorder::finish() {
    Plan plan;
    plan.impl_ = std::make_unique<Plan::Impl>();
    plan.impl_->device = &device_;
    Plan::Impl& impl = *plan.impl_;
    impl.label = label_;
    impl.trace = device_.trace();
    const auto operations = std::count_if(commands_.begin(), commands_.end(), [](const Command& c) {
        return c.kind != Command::cut && c.kind != Command::only_if;
    });
    Writer writer(device_, impl, static_cast<size_t>(operations));

    for (const Command& command : commands_) {
        const std::array<Slice, 8>& slices = command.slices;
        switch (command.kind) {
        case Command::cut: writer.cut(command.group); break;
        case Command::only_if: writer.only_if(slices[0]); break;
        case Command::copy: {
            writer.access(slices[0], true, false);
            writer.access(slices[1], false, true);
            writer.order();
            const VkBufferCopy region{slices[0].offset, slices[1].offset, slices[0].bytes};
            vkCmdCopyBuffer(writer.commands(), slices[0].buffer->impl().buffer,
                            slices[1].buffer->impl().buffer, 1, &region);
            writer.mark("copy", slices[0].bytes * 2);
            break;
        }
        case Command::fill: {
            writer.access(slices[0], false, true);
            writer.order();
            uint32_t word = 0;
            std::memcpy(&word, command.params.data(), sizeof word);
            vkCmdFillBuffer(writer.commands(), slices[0].buffer->impl().buffer, slices[0].offset,
                            slices[0].bytes, word);
            writer.mark("fill", slices[0].bytes);
            break;
        }
        case Command::dispatch:
        case Command::dispatch_indirect: {
            Pipeline::Impl& pipeline = *command.pipeline;
            const auto& beside = device_.impl().options.beside;
            if (beside && pipeline.compiled.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
                beside([&] { pipeline.compiled.wait(); });
            pipeline.compiled.get();
            uint64_t bytes = 0;
            std::array<std::byte, 128> push = command.params;
            uint32_t push_bytes = command.params_bytes;
            for (uint32_t i = 0; i < command.buffers; ++i) {
                const ShaderBinding& binding = pipeline.interface.bindings[i];
                if (!binding.used)
                    continue;
                assert(slices[i].buffer &&
                       slices[i].offset + slices[i].bytes <= slices[i].buffer->bytes());
                assert(slices[i].offset % device_.capabilities().offset_alignment == 0);
                assert(slices[i].bytes <= device_.capabilities().max_range_bytes);
                writer.access(slices[i], binding.reads, binding.writes);
                bytes += slices[i].bytes;
                if (binding.by_address) {
                    assert(push_bytes + sizeof(VkDeviceAddress) <= push.size());
                    const VkDeviceAddress address = slices[i].buffer->impl().address + slices[i].offset;
                    std::memcpy(push.data() + push_bytes, &address, sizeof address);
                    push_bytes += sizeof address;
                }
            }
            const bool indirect = command.kind == Command::dispatch_indirect;
            if (indirect)
                writer.access(command.indirect, true, false);
            writer.order();
            const VkDescriptorSet set =
                writer.descriptor_set(pipeline, {slices.data(), command.buffers});
            const VkCommandBuffer commands = writer.commands();
            vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.pipeline.get());
            vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.layout.get(),
                                    0, 1, &set, 0, nullptr);
            if (push_bytes > 0)
                vkCmdPushConstants(commands, pipeline.layout.get(), VK_SHADER_STAGE_COMPUTE_BIT, 0,
                                   push_bytes, push.data());
            if (indirect)
                vkCmdDispatchIndirect(commands, command.indirect.buffer->impl().buffer,
                                      command.indirect.offset);
            else
                vkCmdDispatch(commands, command.grid.x, command.grid.y, command.grid.z);
            writer.mark(pipeline.name, bytes);
            impl.pipelines.push_back(command.pipeline);
            ++impl.dispatches;
            ++device_.counters().dispatches_recorded;
            break;
        }
        }
    }
    writer.end();
    return plan;
}

}  // namespace olivine
