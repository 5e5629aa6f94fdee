// A weight matrix on the device, packed, in pieces that a shader can bind.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/buffer.h"
#include "engine/pack.h"
#include "engine/upload.h"

namespace olivine {

struct WeightGroup;  // engine/weight_group.h

struct MatrixPiece {
    RowLayout layout;
    uint32_t first_row = 0;
    uint32_t rows = 0;
    Slice quants;
    Slice scales;  // the quants again for plain types, whose shaders do not bind it
    const WeightGroup* group =
        nullptr;  // whose turn it must be for them to hold this piece; null: always
};

// Where a matrix is kept.
enum class Home : uint8_t {
    device,
    mapped,  // on the device, in memory that the host writes too
    host,    // packed in host memory: an image of each piece, which a WeightStream brings to the
             // device
};

// Neighbouring rows of one type.
struct MatrixPart {
    DataType type = DataType::f32;
    uint32_t rows = 0;
};

// Rows of a file's tensor.
struct RowSource {
    DataType type = DataType::f32;
    uint32_t rows = 0;
    // Reads rows [first, first + count) in the file's format into `out`.
    std::function<void(uint32_t first, uint32_t count, std::span<std::byte> out)> read;
};

enum class RowOrder : uint8_t {
    stacked,      // all rows of the first source, then all of the second, ...
    interleaved,  // row 0 of each source, row 1 of each, ...
};

// [rows][cols]. Split by rows so that no piece exceeds the device's range or allocation limit, nor has
// rows of two types.
class Matrix {
public:
    Matrix() = default;
    // Allocates. contents: undefined only for those who upload() the whole. most_rows: of a piece, a
    // multiple of 64. Throws out_of_memory.
    Matrix(Device& device, std::span<const MatrixPart> parts, uint32_t cols, Home home = Home::device,
           uint32_t most_rows = UINT32_MAX, Contents contents = Contents::zero);
    Matrix(Device& device, DataType type, uint32_t rows, uint32_t cols);

    // Fills the matrix from sources whose rows add up to rows(). Throws what `read` throws.
    void upload(Uploader& uploader, std::span<const RowSource> sources, RowOrder order);

    uint32_t rows() const { return rows_; }
    uint32_t cols() const { return cols_; }
    const std::vector<MatrixPiece>& pieces() const { return pieces_; }
    // Of its first row, and of all others where it was made of one type.
    DataType type() const { return pieces_.front().layout.type; }
    uint64_t device_bytes() const;
    uint64_t device_bytes(size_t piece) const;

    // A piece as it lies on the device, in host memory; empty where there is only the device's.
    std::span<const std::byte> image(size_t piece) const { return storage_[piece].image; }
    // Makes every piece's image, where it is missing; the device keeps its own until
    // leave_device(). Throws out_of_memory (of staging), device_lost.
    void make_images(Device& device);
    void leave_device();
    // Copies a piece from its image to memory of its own, and lets go of the image unless it is to
    // be kept.
    void enter_device(Uploader& uploader, size_t piece, bool keep_image);
    // A piece with an image is read from `at` while it is the turn of `group`.
    void lend(size_t piece, const Slice& at, const WeightGroup* group);
    // Nothing reads the matrix before `group` is there; null: from now on it is always there.
    void await(const WeightGroup* group);
    // Rows [first, first + from.rows()) become those of `from`: image to image, of one type.
    // `first` is a multiple of 8.
    void copy_rows(const Matrix& from, uint32_t first);
    // Row i of `to`, which is Home::mapped, becomes rows[i] of this, whose pieces have images.
    void gather(std::span<const uint32_t> rows, Matrix& to) const;

    // Device bytes that a matrix takes in one piece, padding included.
    static uint64_t bytes(DataType type, uint32_t rows, uint32_t cols);

private:
    class Packer;
    // Either, or both.
    struct Storage {
        std::unique_ptr<Buffer> buffer;
        std::vector<std::byte> image;
    };
    void upload_rows(Uploader& uploader, std::span<const RowSource> sources, RowOrder order);
    void add_part(Device& device, const MatrixPart& part, Home home, uint32_t most_rows,
                  Contents contents);
    void bind(size_t piece, const Slice& at);

    uint32_t rows_ = 0, cols_ = 0;
    std::vector<Storage> storage_;  // of pieces_
    std::vector<MatrixPiece> pieces_;
};

}  // namespace olivine
