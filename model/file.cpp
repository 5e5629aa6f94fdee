#include "model/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "engine/error.h"

namespace olivine {

namespace {

// Of an open file; closed with it.
class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() { ::close(number_); }
    int get() const { return number_; }

private:
    int number_;
};

}  // namespace

File::File(std::string path, uint64_t size, Read read)
    : path_(std::move(path)), size_(size), read_(std::move(read)) {}

// Here and in FileWriter model/ assumes POSIX.
File File::open(const std::string& path) {
    // O_NONBLOCK: opening a pipe must fail below rather than wait for a writer.
    const int number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (number < 0)
        fail(Fault::bad_file, "%s: the file does not open (%s).", printable_path(path).c_str(),
             std::strerror(errno));
    const auto descriptor = std::make_shared<const Descriptor>(number);
    struct stat status {};
    if (::fstat(number, &status) != 0 || !S_ISREG(status.st_mode))
        fail(Fault::bad_file, "%s: this is not a regular file.", printable_path(path).c_str());
    const auto size = static_cast<uint64_t>(status.st_size);
    return File(path, size, [=](uint64_t offset, std::span<std::byte> out) {
        size_t done = 0;
        while (done < out.size()) {
            const ssize_t got = ::pread(descriptor->get(), out.data() + done, out.size() - done,
                                        static_cast<off_t>(offset + done));
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0)
                fail(Fault::bad_file, "%s: reading at offset %" PRIu64 " fails (%s).",
                     printable_path(path).c_str(), offset + done, std::strerror(errno));
            if (got == 0)
                fail(Fault::bad_file,
                     "%s: the file now ends at byte %" PRIu64 ", it had %" PRIu64
                     " bytes when it was opened.",
                     printable_path(path).c_str(), offset + done, size);
            done += static_cast<size_t>(got);
        }
        return true;
    });
}

File File::from_bytes(std::vector<std::byte> bytes, const std::string& path) {
    const auto kept = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
    return File(path, kept->size(), [kept](uint64_t offset, std::span<std::byte> out) {
        std::memcpy(out.data(), kept->data() + offset, out.size());
        return true;
    });
}

void File::read(uint64_t offset, std::span<std::byte> out) const {
    if (offset > size_ || out.size() > size_ - offset)
        fail(Fault::bad_file,
             "%s: the file ends at byte %" PRIu64 ", %zu bytes at offset %" PRIu64
             " are expected.",
             printable_path(path_).c_str(), size_, out.size(), offset);
    if (!out.empty() && !read_(offset, out))
        fail(Fault::bad_file, "%s: %zu bytes at offset %" PRIu64 " cannot be read.",
             printable_path(path_).c_str(), out.size(), offset);
}

std::string File::read_text(uint64_t limit) const {
    if (size_ > limit)
        fail(Fault::bad_file, "%s: the file has %" PRIu64 " bytes (at most %" PRIu64 ").",
             printable_path(path_).c_str(), size_, limit);
    std::string text(size_, '\0');
    read(0, std::as_writable_bytes(std::span(text)));
    return text;
}

void MemoryWriter::write(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void MemoryWriter::write_at(uint64_t offset, std::span<const std::byte> bytes) {
    assert(offset <= bytes_.size() && bytes.size() <= bytes_.size() - offset);
    std::ranges::copy(bytes, bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
}

FileWriter::FileWriter(const std::string& path)
    : path_(path), draft_(path + ".new." + std::to_string(::getpid())) {
    descriptor_ = ::open(draft_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor_ < 0)
        refuse();
}

FileWriter::~FileWriter() {
    if (descriptor_ < 0)
        return;
    ::close(descriptor_);
    ::unlink(draft_.c_str());
}

void FileWriter::refuse() const {
    fail(Fault::bad_input, "%s: the file cannot be written (%s).", printable_path(path_).c_str(),
         std::strerror(errno));
}

void FileWriter::write(std::span<const std::byte> bytes) {
    write_at(size_, bytes);
    size_ += bytes.size();
}

void FileWriter::write_at(uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t put = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            refuse();
        bytes = bytes.subspan(static_cast<size_t>(put));
        offset += static_cast<uint64_t>(put);
    }
}

void FileWriter::commit() {
    if (::fsync(descriptor_) != 0 || ::rename(draft_.c_str(), path_.c_str()) != 0)
        refuse();
    ::close(descriptor_);
    descriptor_ = -1;
}

namespace {

// Bytes of the UTF-8 character at the start of `text` (not empty) that is safe to print; 0 for
// anything else.
size_t printable_character(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    if (byte(0) < 0x80)
        return byte(0) >= 0x20 && byte(0) != 0x7F ? 1 : 0;
    const size_t length = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
    if (byte(0) < 0xC2 || byte(0) > 0xF4 || length > text.size())
        return 0;
    uint32_t code = byte(0) & (0xFF >> (length + 1));
    for (size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (byte(i) & 0x3F);
    }
    const uint32_t smallest = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
    const bool invalid = code < smallest || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000);
    // C1 controls, and the marks that reorder or hide text (U+200B-200F, 2028-202E, 2060-206F).
    const bool acts = code < 0xA0 || (code >= 0x200B && code <= 0x200F) ||
                      (code >= 0x2028 && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F);
    return invalid || acts ? 0 : length;
}

}  // namespace

std::string printable(std::string_view text, size_t longest) {
    std::string result;
    while (!text.empty()) {
        const size_t length = printable_character(text);
        if (result.size() + std::max<size_t>(length, 1) > longest)
            return result + "...";
        if (length == 0)
            result += '?';
        else
            result += text.substr(0, length);
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return result;
}

std::string last_part(const std::string& path) {
    std::filesystem::path parts = std::filesystem::path(path).lexically_normal();
    if (!parts.has_filename())  // "folder/"
        parts = parts.parent_path();
    return parts.filename().string();
}

std::string shape_text(std::span<const uint64_t> shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); ++i)
        text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

}  // namespace olivine
