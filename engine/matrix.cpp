#include "engine/matrix.h"

#include <algorithm>
#include <cassert>

#include "engine/error.h"
#include "engine/trace.h"

namespace olivine {
namespace {

constexpr uint64_t kAlignment = 256;  // of the scale plane: every device's offset_alignment divides it
constexpr uint64_t kBatchBytes = 1u << 20;  // read from the file at a time

uint64_t aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

uint64_t piece_bytes(const RowLayout& layout, uint32_t rows) {
    return aligned(layout.quant_bytes() * rows) + layout.scale_bytes() * rows;
}

}  // namespace

Matrix::Matrix(Device& device, DataType type, uint32_t rows, uint32_t cols) : cols_(cols) {
    add_part(device, {type, rows});
}

Matrix::Matrix(Device& device, std::span<const MatrixPart> parts, uint32_t cols) : cols_(cols) {
    for (const MatrixPart& part : parts)
        add_part(device, part);
}

void Matrix::add_part(Device& device, const MatrixPart& part) {
    const RowLayout layout = row_layout(part.type, cols_);
    const uint32_t rows = part.rows;
    const Capabilities& caps = device.capabilities();
    const uint64_t most = std::min(caps.max_range_bytes, caps.max_buffer_bytes / 2);
    const uint64_t fit = most / std::max(layout.quant_bytes(), layout.scale_bytes());
    if (fit == 0)
        fail(Fault::unsupported, "A row of %u weights is longer than the device can bind.", cols_);
    const uint32_t pieces = static_cast<uint32_t>((rows + fit - 1) / fit);
    // Pieces of nearly equal size, in multiples of 32 rows for the tiles of the shaders.
    const uint32_t each = pieces == 1 ? rows
                                      : static_cast<uint32_t>(std::min<uint64_t>(
                                            fit / 32 * 32, ((rows + pieces - 1) / pieces + 31) / 32 * 32));
    if (each == 0)
        fail(Fault::unsupported, "32 rows of %u weights are longer than the device can bind.", cols_);
    for (uint32_t first = 0; first < rows; first += each) {
        MatrixPiece& piece = pieces_.emplace_back();
        piece.layout = layout;
        piece.first_row = rows_ + first;
        piece.rows = std::min(each, rows - first);
        storage_.push_back(
            std::make_unique<Buffer>(device, Arena::weights, piece_bytes(layout, piece.rows)));
        const Buffer& buffer = *storage_.back();
        const uint64_t quants = layout.quant_bytes() * piece.rows;
        piece.quants = buffer.slice(0, quants);
        piece.scales = layout.scale_words > 0
                           ? buffer.slice(aligned(quants), layout.scale_bytes() * piece.rows)
                           : piece.quants;
    }
    rows_ += rows;
}

uint64_t Matrix::device_bytes() const {
    uint64_t bytes = 0;
    for (const MatrixPiece& piece : pieces_)
        bytes += piece_bytes(piece.layout, piece.rows);
    return bytes;
}

void Matrix::pack_rows(
    Uploader& uploader, uint32_t first, uint32_t count,
    const std::function<const std::byte*(uint32_t row, DataType& type)>& row_at) {
    // A run of rows stays within one piece.
    while (count > 0) {
        const auto piece = std::find_if(pieces_.begin(), pieces_.end(), [&](const MatrixPiece& p) {
            return first - p.first_row < p.rows && first >= p.first_row;
        });
        const uint32_t local = first - piece->first_row;
        const uint32_t run = std::min(count, piece->rows - local);
        const RowLayout& layout = piece->layout;
        const uint64_t row_quants = layout.quant_bytes(), row_scales = layout.scale_bytes();
        std::vector<std::byte> scales(row_scales * run);
        const std::span<std::byte> quants = uploader.stage(
            {piece->quants.buffer, piece->quants.offset + local * row_quants, run * row_quants});
        for (uint32_t i = 0; i < run; ++i) {
            DataType from{};
            const std::byte* row = row_at(first + i, from);
            pack_row(layout, from, row, quants.data() + i * row_quants,
                     scales.data() + i * row_scales);
        }
        if (row_scales > 0) {
            const std::span<std::byte> to = uploader.stage(
                {piece->scales.buffer, piece->scales.offset + local * row_scales, scales.size()});
            std::copy(scales.begin(), scales.end(), to.begin());
        }
        first += run;
        count -= run;
    }
}

void Matrix::upload(Uploader& uploader, std::span<const RowSource> sources, RowOrder order) {
    const std::shared_ptr<Trace> trace = uploader.device().trace();
    const double begin = trace ? trace->now() : 0;
    upload_rows(uploader, sources, order);
    if (trace)
        trace->host(format_text("upload %u x %u %s", rows_, cols_, name(type())), begin);
}

void Matrix::upload_rows(Uploader& uploader, std::span<const RowSource> sources, RowOrder order) {
    const uint32_t cols = cols_;
    uint64_t widest = 1;
    for (const MatrixPiece& piece : pieces_)
        widest = std::max(widest, piece.layout.quant_bytes());
    for (const RowSource& source : sources)
        widest = std::max(widest, file_bytes(source.type, cols).value_or(0));
    const uint32_t batch =
        static_cast<uint32_t>(std::max<uint64_t>(1, kBatchBytes / widest));

    if (order == RowOrder::stacked) {
        std::vector<std::byte> rows;
        uint32_t begin = 0;
        for (const RowSource& source : sources) {
            const uint64_t row_bytes = file_bytes(source.type, cols).value();
            for (uint32_t done = 0; done < source.rows; done += batch) {
                const uint32_t count = std::min(batch, source.rows - done);
                rows.resize(row_bytes * count);
                source.read(done, count, rows);
                const uint32_t first = begin + done;
                pack_rows(uploader, first, count, [&](uint32_t row, DataType& type) {
                    type = source.type;
                    return rows.data() + (row - first) * row_bytes;
                });
            }
            begin += source.rows;
        }
        assert(begin == rows_);
        return;
    }

    const uint32_t ways = static_cast<uint32_t>(sources.size());
    std::vector<std::vector<std::byte>> rows(ways);
    const uint32_t each = std::max(1u, batch / ways);
    for (uint32_t done = 0; done < sources[0].rows; done += each) {
        const uint32_t count = std::min(each, sources[0].rows - done);
        for (uint32_t s = 0; s < ways; ++s) {
            assert(sources[s].rows == sources[0].rows);
            rows[s].resize(file_bytes(sources[s].type, cols).value() * count);
            sources[s].read(done, count, rows[s]);
        }
        pack_rows(uploader, done * ways, count * ways, [&](uint32_t row, DataType& type) {
            const uint32_t s = row % ways;
            type = sources[s].type;
            return rows[s].data() +
                   (row / ways - done) * file_bytes(sources[s].type, cols).value();
        });
    }
}

uint64_t Matrix::bytes(DataType type, uint32_t rows, uint32_t cols) {
    return piece_bytes(row_layout(type, cols), rows);
}

}  // namespace olivine
