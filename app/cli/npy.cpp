#include "app/cli/npy.h"

#include <bit>
#include <cassert>
#include <cerrno>
#include <filesystem>

#include "app/platform.h"
#include "engine/error.h"

namespace olivine {

static_assert(std::endian::native == std::endian::little);

NpyWriter::NpyWriter(const std::string& path) : path_(path), draft_(path) {
    std::error_code error;
    const std::filesystem::file_status there = std::filesystem::status(path, error);
    if (std::filesystem::is_directory(there))
        fail(Fault::bad_input, "%s cannot be written: it is a folder.", path.c_str());
    // A pipe or a device is written as it is: renaming would replace it by a file.
    if (!std::filesystem::exists(there) || std::filesystem::is_regular_file(there))
        draft_ += format_text(".%d", platform::process_id());
    errno = 0;
    file_ = std::fopen(draft_.c_str(), "wb");
    if (!file_)
        give_up();
}

void NpyWriter::begin(uint64_t rows, uint64_t cols) {
    left_ = rows * cols;
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                         std::to_string(rows) + ", " + std::to_string(cols) + "), }";
    constexpr size_t kPreamble = 10;  // magic, version, length of the header
    header.append(63 - (kPreamble + header.size()) % 64, ' ');
    header += '\n';  // the whole is a multiple of 64 bytes now
    const unsigned char preamble[kPreamble] = {0x93,
                                               'N',
                                               'U',
                                               'M',
                                               'P',
                                               'Y',
                                               1,
                                               0,
                                               static_cast<unsigned char>(header.size() & 255),
                                               static_cast<unsigned char>(header.size() >> 8)};
    errno = 0;
    if (std::fwrite(preamble, 1, kPreamble, file_) != kPreamble ||
        std::fwrite(header.data(), 1, header.size(), file_) != header.size())
        give_up();
}

NpyWriter::~NpyWriter() {
    if (!file_)
        return;
    std::fclose(file_);
    if (draft_ != path_)
        std::remove(draft_.c_str());
}

void NpyWriter::write(std::span<const float> rows) {
    assert(rows.size() <= left_);
    errno = 0;
    if (std::fwrite(rows.data(), sizeof(float), rows.size(), file_) != rows.size())
        give_up();
    left_ -= rows.size();
}

void NpyWriter::finish() {
    assert(left_ == 0);
    errno = 0;
    if (std::fflush(file_) != 0)
        give_up();
    std::FILE* const file = file_;
    file_ = nullptr;
    const bool closed = std::fclose(file) == 0;
    if (draft_ == path_ && closed)
        return;
    if (!closed || std::rename(draft_.c_str(), path_.c_str()) != 0) {
        const int number = errno;
        if (draft_ != path_)
            std::remove(draft_.c_str());
        errno = number;
        give_up();
    }
}

void NpyWriter::give_up() {
    fail(Fault::bad_input, "%s cannot be written: %s.", path_.c_str(),
         platform::system_error(errno).c_str());
}

}  // namespace olivine
