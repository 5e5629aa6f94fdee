#include "engine/ops/pool.h"

#include <cassert>

#include "shaders/params.h"

namespace olivine {

Pool::Pool(Device& device) : variants_(device, "pool", 2, sizeof(shader::PoolParams)) {}

void Pool::record(Recorder& recorder, const Activation& src, uint32_t cell, uint32_t out_side,
                  const Activation& dst) {
    assert(src.cols == dst.cols && src.rows == dst.rows * cell * cell);
    assert(dst.rows % (out_side * out_side) == 0);
    const Pipeline& pipeline = variants_.get("pool", variants_.row_threads());
    const shader::PoolParams params{.cols = src.cols,
                                    .cell = cell,
                                    .out_side = out_side,
                                    .src_stride = src.stride,
                                    .dst_stride = dst.stride};
    recorder.dispatch(pipeline, {src.slice, dst.slice}, params, {.x = dst.rows});
}

}  // namespace olivine
