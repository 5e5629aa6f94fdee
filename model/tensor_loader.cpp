#include "model/tensor_loader.h"

#include <cassert>
#include <cmath>
#include <cstring>
#include <utility>

#include "engine/error.h"

namespace olivine {
namespace {

constexpr uint64_t kAlignment = 256;  // of slices in an arena; every device's divides it

}  // namespace

uint64_t VectorArena::bytes_of(uint64_t floats) {
    return (floats * 4 + kAlignment - 1) / kAlignment * kAlignment;
}

Slice VectorArena::put(const std::vector<float>& values) {
    const Slice slice = buffer_.slice(used_, values.size() * sizeof(float));
    write(device_, slice, std::as_bytes(std::span(values)));
    used_ += bytes_of(values.size());
    assert(used_ <= buffer_.bytes());
    return slice;
}

TensorLoader::TensorLoader(Device& device, const Checkpoint& checkpoint, Progress progress,
                           uint64_t total_bytes)
    : device_(device),
      checkpoint_(checkpoint),
      progress_(std::move(progress)),
      uploader_(device),
      total_(total_bytes) {}

RowSource TensorLoader::source(const TensorInfo& tensor) {
    RowSource rows;
    rows.type = tensor.type;
    rows.rows = static_cast<uint32_t>(tensor.shape[0]);
    const uint64_t row_bytes = tensor.bytes / tensor.shape[0];
    rows.read = [this, &tensor, row_bytes](uint32_t first, uint32_t, std::span<std::byte> out) {
        checkpoint_.read(tensor, first * row_bytes, out);
        report(out.size());
    };
    return rows;
}

Matrix TensorLoader::room(std::span<const TensorInfo* const> tensors,
                          std::span<const MatrixPart> parts) {
    uint64_t cols = 1;
    for (const uint64_t size : std::span(tensors.front()->shape).subspan(1))
        cols *= size;
    return Matrix(device_, parts, static_cast<uint32_t>(cols), home_, most_rows_,
                  Contents::undefined);
}

Matrix TensorLoader::room(std::span<const TensorInfo* const> tensors, DataType type) {
    MatrixPart all{type, 0};
    for (const TensorInfo* tensor : tensors)
        all.rows += static_cast<uint32_t>(tensor->shape[0]);
    return room(tensors, std::span(&all, 1));
}

void TensorLoader::fill(Matrix& matrix, std::span<const TensorInfo* const> tensors, RowOrder order) {
    std::vector<RowSource> sources;
    for (const TensorInfo* tensor : tensors)
        sources.push_back(source(*tensor));
    matrix.upload(uploader_, sources, order);
}

Matrix TensorLoader::matrix(std::initializer_list<const TensorInfo*> tensors, DataType type) {
    Matrix result = room(tensors, type);
    fill(result, tensors, RowOrder::stacked);
    return result;
}

Matrix TensorLoader::transposed(const TensorInfo& tensor) {
    const auto rows = static_cast<uint32_t>(tensor.shape[0]);
    const auto cols = static_cast<uint32_t>(tensor.shape[1]);
    std::vector<std::byte> stored(tensor.bytes);
    checkpoint_.read(tensor, 0, stored);
    report(stored.size());
    DataType type = tensor.type;
    if (block_elements(type) != 1) {
        std::vector<std::byte> values(uint64_t{rows} * cols * 4);
        for (uint32_t r = 0; r < rows; ++r)
            unpack_row(type, stored.data() + tensor.bytes / rows * r,
                       {reinterpret_cast<float*>(values.data()) + uint64_t{r} * cols, cols});
        stored = std::move(values);
        type = DataType::f32;
    }
    const uint64_t size = stored.size() / (uint64_t{rows} * cols);  // of an element
    RowSource columns;
    columns.type = type;
    columns.rows = cols;
    columns.read = [&](uint32_t first, uint32_t count, std::span<std::byte> out) {
        for (uint64_t c = 0; c < count; ++c)
            for (uint64_t r = 0; r < rows; ++r)
                std::memcpy(&out[(c * rows + r) * size], &stored[(r * cols + first + c) * size],
                            size);
    };
    Matrix result(device_, type, cols, rows);
    result.upload(uploader_, std::span(&columns, 1), RowOrder::stacked);
    return result;
}

std::vector<float> TensorLoader::vector(const TensorInfo& tensor) {
    uint64_t count = 1;
    for (const uint64_t size : tensor.shape)
        count *= size;
    std::vector<std::byte> bytes(tensor.bytes);
    checkpoint_.read(tensor, 0, bytes);
    report(bytes.size());
    std::vector<float> values(count);
    unpack_row(tensor.type, bytes.data(), values);
    for (const float value : values)
        if (!std::isfinite(value))
            fail(Fault::bad_file, "%s: tensor '%s' holds a value that is not finite.",
                 checkpoint_.path().c_str(), tensor.name.c_str());
    return values;
}

std::vector<float> TensorLoader::norm(const TensorInfo& tensor) {
    std::vector<float> values = vector(tensor);
    // Shaders add the one; GGUF files have it in the weight already.
    if (checkpoint_.norm_weights_include_one())
        for (float& value : values)
            value -= 1.0f;
    return values;
}

void TensorLoader::report(uint64_t bytes) {
    done_ += bytes;
    if (progress_ && !progress_(done_, total_))
        fail(Fault::cancelled, "Loading %s is stopped on request.", checkpoint_.path().c_str());
}

}  // namespace olivine
