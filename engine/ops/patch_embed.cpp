#include "engine/ops/patch_embed.h"

#include <cassert>

#include "shaders/params.h"

namespace olivine {
namespace {

constexpr uint32_t kRowsEach = 4;  // as in the shader

}  // namespace

PatchEmbed::PatchEmbed(Device& device) : variants_(device, "patch_embed", 6, sizeof(shader::PatchEmbedParams)) {}

void PatchEmbed::record(Recorder& recorder, const Matrix& kernel, const Slice& pixels,
                        const Slice& bias, const Slice& positions, const PatchGrid& grid,
                        const Activation& dst) {
    assert(kernel.cols() == 3 * grid.patch_size * grid.patch_size && kernel.rows() == dst.cols);
    assert(dst.rows % grid.patches() == 0);
    const uint32_t threads = variants_.subgroup_threads();
    const RowLayout& layout = kernel.pieces().front().layout;
    std::vector<uint32_t> constants;
    append_format(constants, layout);
    const Pipeline& pipeline =
        variants_.get("patch_embed_" + type_suffix(layout.type), threads, constants);
    for (const MatrixPiece& piece : kernel.pieces()) {
        const shader::PatchEmbedParams params{.rows = piece.rows,
                                              .cols = layout.cols,
                                              .row_units = layout.units,
                                              .row_scales = layout.scale_words,
                                              .first_row = piece.first_row,
                                              .pictures = dst.rows / grid.patches(),
                                              .patches_per_side = grid.per_side(),
                                              .patch_size = grid.patch_size,
                                              .side = grid.side,
                                              .dst_cols = dst.cols,
                                              .dst_stride = dst.stride};
        recorder.dispatch(pipeline,
                          {piece.quants, piece.scales, pixels, bias, positions, dst.slice}, params,
                          {.x = (piece.rows + kRowsEach - 1) / kRowsEach,
                           .y = (dst.rows + threads - 1) / threads});
    }
}

}  // namespace olivine
