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

struct MatrixPiece {
    RowLayout layout;
    uint32_t first_row = 0;
    uint32_t rows = 0;
    Slice quants;
    Slice scales;  // the quants again for plain types, whose shaders do not bind it
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
    // Allocates. Throws out_of_memory.
    Matrix(Device& device, std::span<const MatrixPart> parts, uint32_t cols);
    Matrix(Device& device, DataType type, uint32_t rows, uint32_t cols);

    // Fills the matrix from sources whose rows add up to rows(). Throws what `read` throws.
    void upload(Uploader& uploader, std::span<const RowSource> sources, RowOrder order);

    uint32_t rows() const { return rows_; }
    uint32_t cols() const { return cols_; }
    const std::vector<MatrixPiece>& pieces() const { return pieces_; }
    // Of its first row, and of all others where it was made of one type.
    DataType type() const { return pieces_.front().layout.type; }
    uint64_t device_bytes() const;

    // Device bytes that a matrix takes in one piece, padding included.
    static uint64_t bytes(DataType type, uint32_t rows, uint32_t cols);

private:
    class Packer;
    void upload_rows(Uploader& uploader, std::span<const RowSource> sources, RowOrder order);
    void add_part(Device& device, const MatrixPart& part);

    uint32_t rows_ = 0, cols_ = 0;
    std::vector<std::unique_ptr<Buffer>> storage_;
    std::vector<MatrixPiece> pieces_;
};

}  // namespace olivine
