// Writes an array of numpy's .npy format, version 1.0: float32, little-endian, [rows][cols].
#pragma once

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

namespace olivine {

// The rows come one after the other; the file appears under its name when all are there.
class NpyWriter {
public:
    // Throws bad_input when the file cannot be made.
    explicit NpyWriter(const std::string& path);
    ~NpyWriter();  // without finish(): leaves no file behind
    NpyWriter(const NpyWriter&) = delete;
    NpyWriter& operator=(const NpyWriter&) = delete;

    // Once, before the rows.
    void begin(uint64_t rows, uint64_t cols);
    // Whole rows. Throws bad_input when the disk is full.
    void write(std::span<const float> rows);
    void finish();

private:
    [[noreturn]] void give_up();

    std::string path_;
    std::string draft_;  // where it is written; path_ itself for a pipe or device
    std::FILE* file_ = nullptr;
    uint64_t left_ = 0;  // values to come
};

}  // namespace olivine
