// Tensors of a checkpoint into packed device memory.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "engine/matrix.h"
#include "model/callbacks.h"
#include "model/checkpoint.h"

namespace olivine {

// f32 vectors in one buffer on the device, from front to back.
class VectorArena {
public:
    VectorArena(Device& device, uint64_t bytes)
        : device_(device), buffer_(device, Arena::weights, bytes) {}
    // Throws device_lost, out_of_memory. The slice names buffer(), which must stay where it is.
    Slice put(const std::vector<float>& values);
    // What a vector of this many floats takes.
    static uint64_t bytes_of(uint64_t floats);
    const Buffer& buffer() const { return buffer_; }

private:
    Device& device_;
    Buffer buffer_;
    uint64_t used_ = 0;
};

class TensorLoader {
public:
    // total_bytes: what progress is told as the whole.
    TensorLoader(Device& device, const Checkpoint& checkpoint, Progress progress,
                 uint64_t total_bytes);

    // Where the matrices that follow are kept, and the most rows of a piece: see Matrix.
    void keep_in(Home home, uint32_t most_rows = UINT32_MAX) {
        home_ = home;
        most_rows_ = most_rows;
    }
    // Room for tensors of the same width, in parts whose rows add up. A tensor of more than two
    // dimensions is a matrix of [first dimension][all others].
    Matrix room(std::span<const TensorInfo* const> tensors, std::span<const MatrixPart> parts);
    Matrix room(std::span<const TensorInfo* const> tensors, DataType type);
    // Reads them into it.
    void fill(Matrix& matrix, std::span<const TensorInfo* const> tensors, RowOrder order);
    // Both, of one type, row upon row.
    Matrix matrix(std::initializer_list<const TensorInfo*> tensors, DataType type);
    // A matrix stored as [in, out]. Plain types keep their type, quantised ones become F32.
    Matrix transposed(const TensorInfo& tensor);
    // The values, and less one each where the file adds it to norms. Throws bad_file when one is
    // not finite.
    std::vector<float> vector(const TensorInfo& tensor);
    std::vector<float> norm(const TensorInfo& tensor);

    // Bytes read, as progress is told them; and where they begin again after a failure.
    uint64_t done() const { return done_; }
    void set_done(uint64_t bytes) { done_ = bytes; }
    // Returns when everything has arrived on the device.
    void flush() { uploader_.flush(); }
    Uploader& uploader() { return uploader_; }

private:
    RowSource source(const TensorInfo& tensor);
    void report(uint64_t bytes);

    Device& device_;
    const Checkpoint& checkpoint_;
    Progress progress_;
    Uploader uploader_;
    Home home_ = Home::device;
    uint32_t most_rows_ = UINT32_MAX;
    uint64_t total_ = 0, done_ = 0;
};

}  // namespace olivine
