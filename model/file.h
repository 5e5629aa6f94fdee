// Read-only access to a file by offset, and text from files made safe for messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace olivine {

// A file that is read with pread and never mapped: a mapped file that somebody cuts while we use it
// kills the process with a signal, a short read is an error that we can report. Reads from several
// threads at once are fine. Movable, not copyable.
class File {
public:
    // Fails with bad_file when the path does not open or is not a regular file.
    static File open(const std::string& path);

    // A file that lives in memory, for tests and fuzzers; `path` only appears in messages.
    static File from_bytes(std::vector<std::byte> bytes, const std::string& path);

    File(File&& other) noexcept;
    File& operator=(File&& other) noexcept;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File();

    const std::string& path() const { return path_; }

    // Bytes, as of opening.
    uint64_t size() const { return size_; }

    // Fills `out` from `offset` (bytes from the start of the file). Fails with bad_file when the
    // file ends before that, also when it was cut after opening.
    void read(uint64_t offset, std::span<std::byte> out) const;

    // The whole file as text. Fails with bad_file when it is longer than `limit` bytes.
    std::string read_text(uint64_t limit) const;

private:
    File() = default;
    void close();

    std::string path_;
    uint64_t size_ = 0;
    int descriptor_ = -1;           // -1: the bytes are in memory_
    std::vector<std::byte> memory_;
};

// A file that appears whole or not at all: it is written beside `path` and takes its place in commit().
class FileWriter {
public:
    // Fails with bad_input, like everything here that the system refuses.
    explicit FileWriter(const std::string& path);
    ~FileWriter();  // without commit() nothing is left
    FileWriter(const FileWriter&) = delete;
    FileWriter& operator=(const FileWriter&) = delete;

    void write(std::span<const std::byte> bytes);
    // Over what has been written already.
    void write_at(uint64_t offset, std::span<const std::byte> bytes);
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
