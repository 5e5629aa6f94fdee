#include "engine/ops/residual_norm.h"

#include <cassert>

#include "shaders/params.h"

namespace olivine {

ResidualNorm::ResidualNorm(Device& device)
    : variants_(device, "residual_norm", 4, sizeof(shader::ResidualNormParams)) {}

void ResidualNorm::record(Recorder& recorder, const Activation& branch, const Slice& norms,
                          const Activation& stream, const Activation& dst, float eps) {
    assert(norms.bytes >= branch.cols * 8ull);
    assert(branch.rows == stream.rows && branch.rows == dst.rows);
    assert(branch.cols == stream.cols && branch.cols == dst.cols);
    const Pipeline& pipeline =
        variants_.get("residual_norm" + variants_.subgroup_suffix(), variants_.row_threads());
    const shader::ResidualNormParams params{.cols = branch.cols,
                                            .branch_stride = branch.stride,
                                            .stream_stride = stream.stride,
                                            .dst_stride = dst.stride,
                                            .eps = eps};
    recorder.dispatch(pipeline, {branch.slice, norms, stream.slice, dst.slice}, params,
                      {.x = branch.rows});
}

}  // namespace olivine
