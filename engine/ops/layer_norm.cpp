#include "engine/ops/layer_norm.h"

#include <cassert>

#include "shaders/params.h"

namespace olivine {

LayerNorm::LayerNorm(Device& device) : variants_(device, "layer_norm", 4, sizeof(shader::LayerNormParams)) {}

void LayerNorm::record(Recorder& recorder, const Activation& src, const Slice& weight,
                       const Slice& bias, const Activation& dst, float eps) {
    assert(src.rows == dst.rows && src.cols == dst.cols && weight.bytes >= src.cols * 4ull &&
           bias.bytes >= src.cols * 4ull);
    const Pipeline& pipeline =
        variants_.get("layer_norm" + variants_.subgroup_suffix(), variants_.row_threads());
    const shader::LayerNormParams params{
        .cols = src.cols, .src_stride = src.stride, .dst_stride = dst.stride, .eps = eps};
    recorder.dispatch(pipeline, {src.slice, weight, bias, dst.slice}, params, {.x = src.rows});
}

}  // namespace olivine
