#include "engine/matrix.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "engine/error.h"
#include "engine/trace.h"

namespace olivine {
namespace {

constexpr uint64_t kAlignment = 256;  // of the scale plane: every device's offset_alignment divides it
constexpr uint64_t kBatchBytes = 1u << 20;  // read from the file at a time
constexpr uint32_t kGroupRows = 8;  // that are interleaved, where rows are

uint64_t aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Rows of whole groups, whether interleaved or not, so that a matrix takes the same bytes everywhere.
uint64_t grouped(uint32_t rows) { return (uint64_t{rows} + kGroupRows - 1) / kGroupRows * kGroupRows; }

uint64_t piece_bytes(const RowLayout& layout, uint32_t rows) {
    return aligned(layout.quant_bytes() * grouped(rows)) + layout.scale_bytes() * grouped(rows);
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
    const Capabilities& caps = device.capabilities();
    RowLayout layout = row_layout(part.type, cols_);
    if (caps.software)
        layout.interleave = kGroupRows;
    const uint32_t rows = part.rows;
    const uint64_t most = std::min(caps.max_range_bytes, caps.max_buffer_bytes / 2);
    const uint64_t fit =
        most / std::max(layout.quant_bytes(), layout.scale_bytes()) / kGroupRows * kGroupRows;
    if (fit == 0)
        fail(Fault::unsupported, "%u rows of %u weights are longer than the device can bind.", kGroupRows,
             cols_);
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
        const uint64_t quants = layout.quant_bytes() * grouped(piece.rows);
        piece.quants = buffer.slice(0, quants);
        piece.scales = layout.scale_words > 0
                           ? buffer.slice(aligned(quants), layout.scale_bytes() * grouped(piece.rows))
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

// Packs rows in their order, in batches that end where a piece does.
class Matrix::Packer {
public:
    Packer(Uploader& uploader, const std::vector<MatrixPiece>& pieces)
        : uploader_(uploader), piece_(pieces.begin()), pieces_left_(pieces.size()) {
        begin_batch();
    }
    void add(DataType from, const std::byte* row) {
        const RowLayout& layout = piece_->layout;
        pack_row(layout, from, row, quants_.data() + filled_ * layout.quant_bytes(),
                 scales_.data() + filled_ * layout.scale_bytes());
        if (++filled_ == rows_)
            send();
    }

private:
    void begin_batch() {
        const RowLayout& layout = piece_->layout;
        const uint64_t fit = kBatchBytes / layout.quant_bytes() / kGroupRows * kGroupRows;
        rows_ = static_cast<uint32_t>(
            std::min<uint64_t>(std::max<uint64_t>(fit, kGroupRows), piece_->rows - begin_));
        filled_ = 0;
        quants_.assign(grouped(rows_) * layout.quant_bytes(), {});
        scales_.assign(grouped(rows_) * layout.scale_bytes(), {});
    }
    // The batch as it lies on the device.
    void send() {
        const RowLayout& layout = piece_->layout;
        stage(piece_->quants, quants_, layout.quant_bytes());
        if (layout.scale_words > 0)
            stage(piece_->scales, scales_, layout.scale_bytes());
        begin_ += rows_;
        if (begin_ == piece_->rows) {
            ++piece_;
            begin_ = 0;
            if (--pieces_left_ == 0)
                return;
        }
        begin_batch();
    }
    void stage(const Slice& plane, std::span<const std::byte> rows, uint64_t row_bytes) {
        const std::span<std::byte> to =
            uploader_.stage({plane.buffer, plane.offset + begin_ * row_bytes, rows.size()});
        const uint32_t n = piece_->layout.interleave;
        if (n == 1) {
            std::copy(rows.begin(), rows.end(), to.begin());
            return;
        }
        constexpr uint64_t kWord = 4;
        const uint64_t words = row_bytes / kWord;
        const std::byte* from = rows.data();
        for (uint64_t row = 0; row * row_bytes < rows.size(); ++row)
            for (uint64_t i = 0; i < words; ++i, from += kWord)
                std::memcpy(to.data() + ((row / n * words + i) * n + row % n) * kWord, from, kWord);
    }

    Uploader& uploader_;
    std::vector<MatrixPiece>::const_iterator piece_;
    size_t pieces_left_;
    uint32_t begin_ = 0;             // rows of the piece before the batch
    uint32_t rows_ = 0, filled_ = 0;  // of the batch
    std::vector<std::byte> quants_, scales_;
};

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

    Packer packer(uploader, pieces_);
    if (order == RowOrder::stacked) {
        std::vector<std::byte> rows;
        for (const RowSource& source : sources) {
            const uint64_t row_bytes = file_bytes(source.type, cols).value();
            for (uint32_t done = 0; done < source.rows; done += batch) {
                const uint32_t count = std::min(batch, source.rows - done);
                rows.resize(row_bytes * count);
                source.read(done, count, rows);
                for (uint32_t row = 0; row < count; ++row)
                    packer.add(source.type, rows.data() + row * row_bytes);
            }
        }
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
        for (uint32_t row = 0; row < count; ++row)
            for (uint32_t s = 0; s < ways; ++s)
                packer.add(sources[s].type,
                           rows[s].data() + row * file_bytes(sources[s].type, cols).value());
    }
}

uint64_t Matrix::bytes(DataType type, uint32_t rows, uint32_t cols) {
    return piece_bytes(row_layout(type, cols), rows);
}

}  // namespace olivine
