#include "engine/ops/resize.h"

#include "shaders/params.h"

namespace olivine {

Resize::Resize(Device& device) : variants_(device, "resize", 4, sizeof(shader::ResizeParams)) {}

void Resize::record_rows(Recorder& recorder, const Slice& src, uint32_t width, uint32_t lines,
                         const FilterSlices& filter, const Slice& dst, bool begins_with_blue) {
    const uint32_t threads = variants_.subgroup_threads();
    const Pipeline& pipeline =
        begins_with_blue ? variants_.get("resize", threads, {0, 1}) : variants_.get("resize", threads, {0});
    const shader::ResizeParams params{.out_size = filter.out,
                                      .lines = lines,
                                      .taps = filter.taps,
                                      .src_step = 1,
                                      .src_line = width,
                                      .dst_first = 0};
    recorder.dispatch(pipeline, {src, filter.first, filter.weights, dst}, params,
                      {.x = (filter.out + threads - 1) / threads, .y = lines});
}

void Resize::record_columns(Recorder& recorder, const Slice& src, uint32_t width,
                            const FilterSlices& filter, const std::array<float, 3>& scale,
                            const std::array<float, 3>& offset, const Slice& dst,
                            uint32_t dst_first) {
    const uint32_t threads = variants_.subgroup_threads();
    const Pipeline& pipeline = variants_.get("resize", threads, {1});
    const shader::ResizeParams params{.out_size = filter.out,
                                      .lines = width,
                                      .taps = filter.taps,
                                      .src_step = width,
                                      .src_line = 1,
                                      .dst_first = dst_first,
                                      .red_scale = scale[0],
                                      .green_scale = scale[1],
                                      .blue_scale = scale[2],
                                      .red_offset = offset[0],
                                      .green_offset = offset[1],
                                      .blue_offset = offset[2]};
    recorder.dispatch(pipeline, {src, filter.first, filter.weights, dst}, params,
                      {.x = (width + threads - 1) / threads, .y = filter.out});
}

}  // namespace olivine
