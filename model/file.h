// Files by offset, wherever their bytes are, and text from files made safe for messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace olivine {

// Bytes that are read by offset, never mapped: a mapped file that somebody cuts while we use it kills
// the process with a signal, a short read is an error that we can report. Reads from several threads
// at once are fine where what a File is made from allows them. Copies read the same bytes.
class File {
public:
    // Fills `out` from `offset`, all of it within the file; false: that cannot be done.
    using Read = std::function<bool(uint64_t offset, std::span<std::byte> out)>;

    // Any bytes. `path` only appears in messages.
    File(std::string path, uint64_t size, Read read);
    // A regular file on disk, read with pread. Fails with bad_file when the path does not open or is
    // something else.
    static File open(const std::string& path);
    static File from_bytes(std::vector<std::byte> bytes, const std::string& path);

    const std::string& path() const { return path_; }

    // Bytes, as of opening.
    uint64_t size() const { return size_; }

    // Fills `out` from `offset` (bytes from the start of the file). Fails with bad_file when the
    // file ends before that, also when it was cut after opening, and when it cannot be read.
    void read(uint64_t offset, std::span<std::byte> out) const;

    // The whole file as text. Fails with bad_file when it is longer than `limit` bytes.
    std::string read_text(uint64_t limit) const;

private:
    std::string path_;
    uint64_t size_;
    Read read_;
};

// Where bytes go, one after another.
class ByteSink {
public:
    virtual ~ByteSink() = default;
    virtual void write(std::span<const std::byte> bytes) = 0;
    // Over what has been written already.
    virtual void write_at(uint64_t offset, std::span<const std::byte> bytes) = 0;
};

class MemoryWriter : public ByteSink {
public:
    void write(std::span<const std::byte> bytes) override;
    void write_at(uint64_t offset, std::span<const std::byte> bytes) override;
    std::vector<std::byte> take() && { return std::move(bytes_); }

private:
    std::vector<std::byte> bytes_;
};

// A file that appears whole or not at all: it is written beside `path` and takes its place in commit().
class FileWriter : public ByteSink {
public:
    // Fails with bad_input, like everything here that the system refuses.
    explicit FileWriter(const std::string& path);
    ~FileWriter() override;  // without commit() nothing is left
    FileWriter(const FileWriter&) = delete;
    FileWriter& operator=(const FileWriter&) = delete;

    void write(std::span<const std::byte> bytes) override;
    void write_at(uint64_t offset, std::span<const std::byte> bytes) override;
    // On disk, not only with the system, when this returns.
    void commit();

private:
    [[noreturn]] void refuse() const;

    std::string path_, draft_;
    int descriptor_ = -1;
    uint64_t size_ = 0;
};

// Names from files as they may stand in a message: controls that a terminal could act on and what
// is not UTF-8 become '?', names longer than `longest` bytes are cut and end in "...".
std::string printable(std::string_view text, size_t longest = 128);

// The same for paths, which are longer.
inline std::string printable_path(std::string_view path) {
    return printable(path, 1024);
}

// The last part of a path: "b" of "a/b" and of "a/b/".
std::string last_part(const std::string& path);

// "[512, 120]": a shape as messages show it, outermost dimension first.
std::string shape_text(std::span<const uint64_t> shape);

}  // namespace olivine
