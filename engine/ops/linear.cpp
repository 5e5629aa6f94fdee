#include "engine/ops/linear.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "shaders/params.h"

namespace olivine {
namespace {

// Rows of the weight that one workgroup walks together, so that an activation is loaded once for
// all of them. Even, because GeGLU pairs rows.
constexpr uint32_t kVectorRows = 4;

// A workgroup's tile in matmul: lanes_tokens x tokens_each by lanes_rows x rows_each.
struct Tile {
    uint32_t lanes_tokens, lanes_rows, rows_each, tokens_each;
    uint32_t threads() const { return lanes_tokens * lanes_rows; }
    uint32_t rows() const { return lanes_rows * rows_each; }
    uint32_t tokens() const { return lanes_tokens * tokens_each; }
};

// Software drivers: one subgroup along the tokens, so that weights are uniform loads and no barrier
// is a real one. GPUs: 64 x 64 by 256 threads, 8 KiB of shared memory.
Tile tile_for(const Device& device) {
    if (device.capabilities().software)
        return {device.subgroup_threads(), 1, 8, 4};
    if (device.capabilities().max_threads < 256)
        return {8, 8, 4, 4};
    return {16, 16, 4, 4};
}

}  // namespace

Linear::Linear(Device& device) : variants_(device, 4, sizeof(shader::LinearParams)) {}

void Linear::record(Recorder& recorder, const Matrix& weight, const Activation& x,
                    const Activation& y, Epilogue epilogue, float softcap) {
    const bool geglu = epilogue == Epilogue::geglu;
    assert(x.cols == weight.cols() && x.rows == y.rows);
    assert(y.cols == (geglu ? weight.rows() / 2 : weight.rows()));
    Device& device = variants_.device();
    const RowLayout& layout = weight.layout();
    const bool vector = x.rows <= kMaxVectorTokens;
    const uint32_t whole = layout.cols % 16 == 0;
    const std::string suffix = "_" + type_suffix(weight.type()) + (geglu ? "_geglu" : "") +
                               subgroup_suffix(device);
    const Tile tile = tile_for(device);
    const Pipeline& pipeline =
        vector ? variants_.get("matvec" + suffix, device.subgroup_threads(),
                               {kVectorRows, std::bit_ceil(x.rows), whole})
               : variants_.get("matmul" + suffix, tile.threads(),
                               {tile.lanes_tokens, tile.lanes_rows, whole, tile.rows_each,
                                tile.tokens_each});
    for (const MatrixPiece& piece : weight.pieces()) {
        const shader::LinearParams params{.rows = piece.rows,
                                          .cols = layout.cols,
                                          .row_units = layout.units,
                                          .row_scales = layout.scale_words,
                                          .tokens = x.rows,
                                          .x_stride = x.stride / 4,
                                          .y_stride = y.stride,
                                          .y_first = geglu ? piece.first_row / 2 : piece.first_row,
                                          .softcap = softcap};
        const Grid grid = vector ? folded((piece.rows + kVectorRows - 1) / kVectorRows)
                                 : Grid{.x = (piece.rows + tile.rows() - 1) / tile.rows(),
                                        .y = (x.rows + tile.tokens() - 1) / tile.tokens()};
        recorder.dispatch(pipeline, {piece.quants, piece.scales, x.slice, y.slice}, params, grid);
    }
}

}  // namespace olivine
