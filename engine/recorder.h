// Records operations once; the resulting Plan is submitted as often as wanted.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/buffer.h"
#include "engine/device.h"
#include "engine/pipeline.h"

namespace olivine {

struct WeightGroup;  // engine/weight_group.h

struct Grid {
    uint32_t x = 1, y = 1, z = 1;  // workgroups
};

// Workgroups in a row of up to 32768, then further rows: drivers promise only 65535 a dimension.
// Shaders read the index as y * gl_NumWorkGroups.x + x.
Grid folded(uint32_t groups);

// What one dispatch runs on, for those who want to look at it or repeat it elsewhere.
struct Dispatch {
    std::string shader;                  // the variant's name
    std::span<const uint32_t> spirv;
    uint32_t threads = 0;                // specialization constant 0
    std::vector<uint32_t> constants;     // from id 2 on
    std::vector<Slice> buffers;          // a buffer is null where the shader has no such binding
    std::vector<uint32_t> params;        // push constants
    Grid grid;
    Slice indirect;                      // of the grid, instead
};

// Command buffers that stay recorded, with the descriptor sets they use. Buffers and pipelines that
// were recorded must outlive it. Moves, never copies.
class Plan {
public:
    Plan();
    Plan(Plan&&) noexcept;
    Plan& operator=(Plan&&) noexcept;
    ~Plan();  // waits for its own last submission

    explicit operator bool() const { return impl_ != nullptr; }

    // Submits every slice in one submission, and all of them `times` over. Returns the timeline
    // value to wait for. Host cost: one vkQueueSubmit2, no allocation on the device, no recording.
    // Not for a plan that needs weight groups.
    uint64_t submit(uint32_t times = 1);
    // Submits slice by slice and waits for the end; between slices, at most one ahead of the
    // device (none with DeviceOptions::before_slice), asks `cancelled` and throws `cancelled` when it
    // answers yes. A slice that needs a
    // weight group is submitted when the group is in its place; while it runs, the next group of
    // the plan is brought, at the end the first one for the next run. Throws what bringing it
    // throws, too; then nothing of the plan runs any more.
    void run(const std::function<bool()>& cancelled = {});
    // Waits for a value that submit() returned. Throws device_lost.
    void wait(uint64_t value);

    uint32_t dispatches() const;
    uint32_t barriers() const;
    uint32_t slices() const;
    // Of the last run(): what each slice took, by the host's clock, or 0 where it had ended while
    // weights were still being copied for the next. Empty before the first.
    std::span<const double> slice_seconds() const;
    // Device time of the last finished submission, 0 without timestamps.
    double gpu_seconds() const;

    struct Impl;

private:
    friend class Recorder;
    std::unique_ptr<Impl> impl_;
};

// Takes operations in order and, in finish(), turns them into command buffers. Until then nothing
// waits for a pipeline's compilation, so that all the pipelines of a plan compile side by side.
//
// Derives the barriers: one before an operation that reads what a recorded one has written, or writes
// what one has read or written, since the last barrier. What an operation reads and writes comes
// from its SPIR-V (readonly, writeonly).
class Recorder {
public:
    Recorder(Device& device, std::string label);
    ~Recorder();
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    // Buffers are bound at 0, 1, ... in order; an empty Slice is allowed where the shader has no such
    // binding. Params is a struct of shaders/params.h.
    template <typename Params>
    void dispatch(const Pipeline& pipeline, std::span<const Slice> buffers, const Params& params, Grid grid) {
        dispatch(pipeline, buffers, &params, sizeof params, grid, nullptr);
    }
    template <typename Params>
    void dispatch(const Pipeline& pipeline, std::initializer_list<Slice> buffers,
                  const Params& params, Grid grid) {
        dispatch(pipeline, std::span(buffers.begin(), buffers.size()), params, grid);
    }
    // The grid comes from three words at `grid` when the plan runs.
    template <typename Params>
    void dispatch_indirect(const Pipeline& pipeline, std::initializer_list<Slice> buffers,
                           const Params& params, const Slice& grid) {
        dispatch(pipeline, std::span(buffers.begin(), buffers.size()), &params, sizeof params, {},
                 &grid);
    }
    // What dispatches() told of, with this pipeline made from its SPIR-V and constants.
    void repeat(const Pipeline& pipeline, const Dispatch& what);
    void copy(const Slice& from, const Slice& to);  // from.bytes bytes, a multiple of 4
    void fill(const Slice& to, uint32_t word);
    // Ends a slice: what follows may be submitted later.
    void cut();
    // Dispatches that follow read weights of this group, up to the next need(). Begins a slice
    // where it is another one than before. Null, for weights that are always there, changes
    // nothing.
    void need(const WeightGroup* group);
    // Dispatches that follow are left out where the word is 0, up to only_if({}), before which nothing may
    // write it. Copies and fills run anyway; on devices without Capabilities::conditional, so do dispatches.
    void only_if(const Slice& word);

    // The dispatches so far; copies, fills and cuts are not among them.
    std::vector<Dispatch> dispatches() const;

    // May be called once. Throws what a pipeline's compilation threw, out_of_memory, device_lost.
    Plan finish();

    Device& device() { return device_; }

private:
    struct Command {
        enum Kind : uint8_t { dispatch, dispatch_indirect, copy, fill, cut, only_if } kind;
        std::shared_ptr<Pipeline::Impl> pipeline;
        std::array<Slice, 8> slices;  // of the shader; copy: from, to; fill: to; only_if: the word
        uint32_t buffers = 0;
        Slice indirect;
        std::array<std::byte, 128> params{};  // push constants; fill: the word
        uint32_t params_bytes = 0;
        Grid grid;
        const WeightGroup* group = nullptr;  // cut: what the slice after it needs
    };
    void dispatch(const Pipeline& pipeline, std::span<const Slice> buffers, const void* params,
                  size_t bytes, Grid grid, const Slice* indirect);

    Device& device_;
    std::string label_;
    std::vector<Command> commands_;
    const WeightGroup* group_ = nullptr;  // of the last need()
};

}  // namespace olivine
