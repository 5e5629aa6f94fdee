#include "engine/ops/embed.h"

#include <cassert>

#include "shaders/params.h"

namespace olivine {

Embed::Embed(Device& device) : variants_(device, "embed", 4, sizeof(shader::EmbedParams)) {}

void Embed::record(Recorder& recorder, const Matrix& table, const Slice& rows, const Activation& dst,
                   float scale) {
    assert(table.cols() == dst.cols);
    const Pipeline& pipeline = variants_.get("embed_" + type_suffix(table.type()),
                                             variants_.subgroup_threads());
    const RowLayout& layout = table.layout();
    for (const MatrixPiece& piece : table.pieces()) {
        const shader::EmbedParams params{.first_row = piece.first_row,
                                         .rows = piece.rows,
                                         .cols = layout.cols,
                                         .row_units = layout.units,
                                         .row_scales = layout.scale_words,
                                         .dst_stride = dst.stride,
                                         .scale = scale};
        recorder.dispatch(pipeline, {piece.quants, piece.scales, rows, dst.slice}, params,
                          {.x = dst.rows});
    }
}

}  // namespace olivine
