#include "engine/matrix.h"

#include <algorithm>
#include <array>
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

// Where the scales of a piece begin.
uint64_t scales_at(const RowLayout& layout, uint32_t rows) {
    return aligned(layout.quant_bytes() * grouped(rows));
}

uint64_t piece_bytes(const RowLayout& layout, uint32_t rows) {
    return scales_at(layout, rows) + layout.scale_bytes() * grouped(rows);
}

// Quants and scales of a piece; rows of plain types have no bytes in the second.
struct Plane {
    uint64_t at, row_bytes;
};
std::array<Plane, 2> planes(const RowLayout& layout, uint32_t rows) {
    return {{{0, layout.quant_bytes()}, {scales_at(layout, rows), layout.scale_bytes()}}};
}

}  // namespace

Matrix::Matrix(Device& device, DataType type, uint32_t rows, uint32_t cols) : cols_(cols) {
    add_part(device, {type, rows}, Home::device, UINT32_MAX, Contents::zero);
}

Matrix::Matrix(Device& device, std::span<const MatrixPart> parts, uint32_t cols, Home home,
               uint32_t most_rows, Contents contents)
    : cols_(cols) {
    for (const MatrixPart& part : parts)
        add_part(device, part, home, most_rows, contents);
}

void Matrix::add_part(Device& device, const MatrixPart& part, Home home, uint32_t most_rows,
                      Contents contents) {
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
    uint32_t each = pieces == 1
                        ? rows
                        : static_cast<uint32_t>(std::min<uint64_t>(
                              fit / 32 * 32, ((rows + pieces - 1) / pieces + 31) / 32 * 32));
    if (each == 0)
        fail(Fault::unsupported, "32 rows of %u weights are longer than the device can bind.", cols_);
    each = std::min(each, most_rows);
    for (uint32_t first = 0; first < rows; first += each) {
        MatrixPiece& piece = pieces_.emplace_back();
        piece.layout = layout;
        piece.first_row = rows_ + first;
        piece.rows = std::min(each, rows - first);
        Storage& storage = storage_.emplace_back();
        const uint64_t bytes = piece_bytes(layout, piece.rows);
        if (home == Home::host) {
            storage.image.resize(bytes);
            continue;
        }
        storage.buffer =
            std::make_unique<Buffer>(device, Arena::weights, bytes,
                                     home == Home::mapped ? HostAccess::mapped : HostAccess::none,
                                     contents);
        bind(pieces_.size() - 1, storage.buffer->slice());
    }
    rows_ += rows;
}

void Matrix::bind(size_t index, const Slice& at) {
    MatrixPiece& piece = pieces_[index];
    const RowLayout& layout = piece.layout;
    piece.quants = {at.buffer, at.offset, layout.quant_bytes() * grouped(piece.rows)};
    piece.scales = layout.scale_words > 0
                       ? Slice{at.buffer, at.offset + scales_at(layout, piece.rows),
                               layout.scale_bytes() * grouped(piece.rows)}
                       : piece.quants;
}

uint64_t Matrix::device_bytes() const {
    uint64_t bytes = 0;
    for (size_t i = 0; i < pieces_.size(); ++i)
        bytes += device_bytes(i);
    return bytes;
}

uint64_t Matrix::device_bytes(size_t piece) const {
    return piece_bytes(pieces_[piece].layout, pieces_[piece].rows);
}

void Matrix::make_images(Device& device) {
    for (size_t i = 0; i < pieces_.size(); ++i) {
        Storage& storage = storage_[i];
        if (!storage.image.empty())
            continue;
        std::vector<std::byte> image(device_bytes(i));
        read(device, storage.buffer->slice(0, image.size()), image);
        storage.image = std::move(image);
    }
}

void Matrix::leave_device() {
    for (size_t i = 0; i < pieces_.size(); ++i) {
        assert(!storage_[i].image.empty());
        storage_[i].buffer.reset();
        bind(i, {});
        pieces_[i].group = nullptr;
    }
}

void Matrix::enter_device(Uploader& uploader, size_t piece, bool keep_image) {
    Storage& storage = storage_[piece];
    auto buffer = std::make_unique<Buffer>(uploader.device(), Arena::weights, storage.image.size(),
                                           HostAccess::none, Contents::undefined);
    for (uint64_t done = 0; done < storage.image.size(); done += kBatchBytes) {
        const std::span<const std::byte> part =
            std::span(storage.image)
                .subspan(done, std::min(kBatchBytes, storage.image.size() - done));
        uploader.before_piece();
        std::memcpy(uploader.stage(buffer->slice(done, part.size())).data(), part.data(), part.size());
    }
    uploader.flush();
    storage.buffer = std::move(buffer);
    if (!keep_image)
        storage.image = {};
    pieces_[piece].group = nullptr;
    bind(piece, storage.buffer->slice());
}

void Matrix::lend(size_t piece, const Slice& at, const WeightGroup* group) {
    assert(!storage_[piece].buffer && at.bytes >= storage_[piece].image.size());
    bind(piece, at);
    pieces_[piece].group = group;
}

void Matrix::await(const WeightGroup* group) {
    for (MatrixPiece& piece : pieces_)
        piece.group = group;
}

void Matrix::copy_rows(const Matrix& from, uint32_t first) {
    for (size_t i = 0; i < pieces_.size(); ++i)
        for (size_t j = 0; j < from.pieces_.size(); ++j) {
            const MatrixPiece &to = pieces_[i], &source = from.pieces_[j];
            const uint32_t begin = std::max(to.first_row, first + source.first_row);
            const uint32_t end =
                std::min(to.first_row + to.rows, first + source.first_row + source.rows);
            if (begin >= end)
                continue;
            // Rows of whole groups are one run of bytes, interleaved or not.
            const uint32_t at = begin - to.first_row, source_at = begin - first - source.first_row;
            assert(at % kGroupRows == 0 && source_at % kGroupRows == 0);
            const auto into = planes(to.layout, to.rows),
                       out_of = planes(source.layout, source.rows);
            for (size_t p = 0; p < into.size(); ++p)
                std::memcpy(
                    storage_[i].image.data() + into[p].at + at * into[p].row_bytes,
                    from.storage_[j].image.data() + out_of[p].at + source_at * into[p].row_bytes,
                    grouped(end - begin) * into[p].row_bytes);
        }
}

void Matrix::gather(std::span<const uint32_t> rows, Matrix& to) const {
    const MatrixPiece& target = to.pieces_.front();
    assert(rows.size() <= target.rows && to.pieces_.size() == 1);
    constexpr uint64_t kWord = 4;
    const uint64_t n = target.layout.interleave;
    for (uint64_t row = 0; row < rows.size(); ++row) {
        const auto piece =
            std::ranges::upper_bound(pieces_, rows[row], {}, &MatrixPiece::first_row) - 1;
        const std::byte* image =
            storage_[static_cast<size_t>(piece - pieces_.begin())].image.data();
        const uint64_t source = rows[row] - piece->first_row;
        const auto into = planes(target.layout, target.rows),
                   out_of = planes(piece->layout, piece->rows);
        for (size_t p = 0; p < into.size(); ++p) {
            const uint64_t words = into[p].row_bytes / kWord;
            std::byte* out = to.storage_.front().buffer->mapped() + into[p].at;
            for (uint64_t i = 0; i < words; ++i)
                std::memcpy(
                    out + ((row / n * words + i) * n + row % n) * kWord,
                    image + out_of[p].at + ((source / n * words + i) * n + source % n) * kWord,
                    kWord);
        }
    }
}

// Packs rows in their order, in batches that end where a piece does.
class Matrix::Packer {
public:
    Packer(Uploader& uploader, Matrix& matrix)
        : uploader_(uploader),
          piece_(matrix.pieces_.begin()),
          storage_(matrix.storage_.begin()),
          pieces_left_(matrix.pieces_.size()) {
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
        stage(0, quants_, layout.quant_bytes());
        if (layout.scale_words > 0)
            stage(scales_at(layout, piece_->rows), scales_, layout.scale_bytes());
        begin_ += rows_;
        if (begin_ == piece_->rows) {
            ++piece_;
            ++storage_;
            begin_ = 0;
            if (--pieces_left_ == 0)
                return;
        }
        begin_batch();
    }
    // To a plane that begins `plane` bytes into the piece.
    void stage(uint64_t plane, std::span<const std::byte> rows, uint64_t row_bytes) {
        uploader_.before_piece();
        const uint64_t at = plane + begin_ * row_bytes;
        const std::span<std::byte> to =
            storage_->buffer ? uploader_.stage(storage_->buffer->slice(at, rows.size()))
                             : std::span(storage_->image).subspan(at, rows.size());
        const uint32_t n = piece_->layout.interleave;
        if (n == 1) {
            std::memcpy(to.data(), rows.data(), rows.size());
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
    std::vector<Storage>::iterator storage_;
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

    Packer packer(uploader, *this);
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
