#include "engine/selftest/guarded.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace olivine::selftest {

Guarded::Guarded(Device& device, uint64_t bytes)
    : device_(device),
      bytes_(bytes),
      buffer_(device, Arena::activations, (bytes + 2 * kCanaryBytes + 15) / 16 * 16) {
    poison();
}

void Guarded::poison() {
    const std::vector<uint32_t> poison(buffer_.bytes() / 4, kPoison);
    olivine::write(device_, buffer_.slice(), std::as_bytes(std::span(poison)));
}

void Guarded::write_bytes(std::span<const std::byte> values) {
    assert(values.size() <= bytes_);
    olivine::write(device_, slice(), values);
}

void Guarded::read_bytes(std::span<std::byte> values) const {
    olivine::read(device_, slice(), values);
}

bool Guarded::intact() const {
    std::vector<uint32_t> words(buffer_.bytes() / 4);
    olivine::read(device_, buffer_.slice(), std::as_writable_bytes(std::span(words)));
    const auto first = words.begin() + kCanaryBytes / 4;
    const auto is_poison = [](uint32_t word) { return word == kPoison; };
    return std::all_of(words.begin(), first, is_poison) &&
           std::all_of(first + static_cast<ptrdiff_t>(bytes_ / 4), words.end(), is_poison);
}

GuardedRows::GuardedRows(Device& device, uint32_t rows, uint32_t cols, uint32_t spare)
    : rows_(rows),
      cols_(cols),
      stride_(Activation::stride_of(cols) + spare),
      memory_(device, uint64_t{rows} * stride_ * 4) {}

bool GuardedRows::intact() const {
    const std::vector<uint32_t> words = memory_.read<uint32_t>();
    for (uint32_t r = 0; r < rows_; ++r)
        for (uint32_t c = cols_; c < stride_; ++c)
            if (words[size_t{r} * stride_ + c] != kPoison)
                return false;
    return memory_.intact();
}

void GuardedRows::write(const std::vector<float>& values) {
    assert(values.size() == size_t{rows_} * cols_);
    std::vector<float> padded(size_t{rows_} * stride_, std::bit_cast<float>(kPoison));
    for (uint32_t r = 0; r < rows_; ++r)
        std::copy_n(values.begin() + size_t{r} * cols_, cols_,
                    padded.begin() + size_t{r} * stride_);
    memory_.write(padded);
}

std::vector<float> GuardedRows::read() const {
    const std::vector<float> padded = memory_.read<float>();
    std::vector<float> values;
    for (uint32_t r = 0; r < rows_; ++r)
        values.insert(values.end(), padded.begin() + size_t{r} * stride_,
                      padded.begin() + size_t{r} * stride_ + cols_);
    return values;
}

}  // namespace olivine::selftest
