// Test data that is the same everywhere. (The standard's distributions differ between libraries.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/data_type.h"
#include "engine/matrix.h"

namespace olivine::selftest {

// `count` values, uniform in [low, high).
std::vector<float> random_floats(size_t count, float low, float high, uint32_t seed);
std::vector<uint32_t> random_words(size_t count, uint32_t seed);

// A matrix as a file stores it, with the values that the format's definition gives.
struct FileRows {
    DataType type{};
    uint32_t rows = 0, cols = 0;
    std::vector<std::byte> bytes;
    std::vector<double> values;  // [rows][cols]

    uint64_t row_bytes() const { return bytes.size() / rows; }
};

// Any bits that the type can have, besides infinities and NaN: also quants of -128 and negative
// scales. Values are of about +-1. Quantised types want cols to be a multiple of 32.
FileRows random_rows(DataType type, uint32_t rows, uint32_t cols, uint32_t seed);

// Rows of several matrices in one.
FileRows stacked(const std::vector<FileRows>& parts);
FileRows interleaved(const std::vector<FileRows>& parts);

// What Matrix::upload reads `rows` from. `rows` must outlive it.
RowSource source_of(const FileRows& rows);
// A matrix of the same type that holds `rows`.
Matrix upload(Device& device, const FileRows& rows);

}  // namespace olivine::selftest
