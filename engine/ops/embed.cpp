#include "engine/ops/embed.h"

#include <cassert>

#include "shaders/params.h"

namespace olivine {

Embed::Embed(Device& device) : variants_(device, "embed", 6, sizeof(shader::EmbedParams)) {}

void Embed::record(Recorder& recorder, const Matrix& table, const Slice& rows, const Activation& dst,
                   float scale, const Slice& weight, const Activation& normed, float eps) {
    assert(table.cols() == dst.cols && dst.rows == normed.rows && dst.cols == normed.cols);
    for (const MatrixPiece& piece : table.pieces()) {
        const RowLayout& layout = piece.layout;
        std::vector<uint32_t> constants;
        append_format(constants, layout);
        const Pipeline& pipeline =
            variants_.get("embed_" + shader_suffix(layout.type) + variants_.subgroup_suffix(),
                          variants_.row_threads(), constants);
        const shader::EmbedParams params{.first_row = piece.first_row,
                                         .rows = piece.rows,
                                         .cols = layout.cols,
                                         .row_units = layout.units,
                                         .row_scales = layout.scale_words,
                                         .dst_stride = dst.stride,
                                         .scale = scale,
                                         .normed_stride = normed.stride,
                                         .eps = eps};
        recorder.need(piece.group);
        recorder.dispatch(pipeline,
                          {piece.quants, piece.scales, rows, dst.slice, weight, normed.slice}, params,
                          {.x = dst.rows});
    }
}

}  // namespace olivine
