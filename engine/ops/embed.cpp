#include "engine/ops/embed.h"

#include <cassert>

#include "shaders/params.h"

namespace olivine {

Embed::Embed(Device& device)
    : variants_(device, "embed", 4, sizeof(shader::EmbedParams)),
      norm_variants_(device, "embed", 6, sizeof(shader::EmbedParams)) {}

void Embed::record(Recorder& recorder, const Matrix& table, const Slice& rows, const Activation& dst,
                   float scale) {
    record(recorder, table, rows, dst, scale, {}, {}, 0);
}

void Embed::record(Recorder& recorder, const Matrix& table, const Slice& rows, const Activation& dst,
                   float scale, const Slice& weight, const Activation& normed, float eps) {
    assert(table.cols() == dst.cols);
    for (const MatrixPiece& piece : table.pieces()) {
        const RowLayout& layout = piece.layout;
        std::vector<uint32_t> constants;
        append_format(constants, layout);
        const shader::EmbedParams params{.first_row = piece.first_row,
                                         .rows = piece.rows,
                                         .cols = layout.cols,
                                         .row_units = layout.units,
                                         .row_scales = layout.scale_words,
                                         .dst_stride = dst.stride,
                                         .scale = scale,
                                         .normed_stride = normed.stride,
                                         .eps = eps};
        const std::string suffix = shader_suffix(layout.type);
        if (normed.rows == 0)
            recorder.dispatch(
                variants_.get("embed_" + suffix, variants_.subgroup_threads(), constants),
                {piece.quants, piece.scales, rows, dst.slice}, params, {.x = dst.rows});
        else
            recorder.dispatch(
                norm_variants_.get("embed_norm_" + suffix + norm_variants_.subgroup_suffix(),
                                   norm_variants_.row_threads(), constants),
                {piece.quants, piece.scales, rows, dst.slice, weight, normed.slice}, params,
                {.x = dst.rows});
    }
}

}  // namespace olivine
