#include "engine/ops/rms_norm.h"

#include <cassert>

#include "shaders/params.h"

namespace olivine {

RmsNorm::RmsNorm(Device& device) : variants_(device, "rms_norm", 3, sizeof(shader::RmsNormParams)) {}

void RmsNorm::record(Recorder& recorder, const Activation& src, const Slice& weight,
                     const Activation& dst, float eps) {
    assert(src.rows == dst.rows && src.cols == dst.cols && weight.bytes >= src.cols * 4ull);
    const Pipeline& pipeline =
        variants_.get("rms_norm" + variants_.subgroup_suffix(), variants_.row_threads());
    const shader::RmsNormParams params{
        .cols = src.cols, .src_stride = src.stride, .dst_stride = dst.stride, .eps = eps};
    recorder.dispatch(pipeline, {src.slice, weight, dst.slice}, params, {.x = src.rows});
}

}  // namespace olivine
