#include "model/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cinttypes>
#include <cstring>
#include <limits>
#include <type_traits>

#include "engine/error.h"

namespace olivine {
namespace {

static_assert(std::endian::native == std::endian::little, "files are read without swapping bytes");

constexpr uint64_t kMaxHeaderBytes = uint64_t{64} << 20;
constexpr uint64_t kMaxKeys = 4096;
constexpr uint64_t kMaxTensors = 8192;
constexpr uint64_t kMaxStringBytes = uint64_t{1} << 20;
constexpr uint64_t kMaxNameBytes = 65535;  // of keys (the format's limit) and tensors
constexpr uint64_t kMaxArrayElements = uint64_t{1} << 20;  // Gemma 3's vocabulary has 2^18
constexpr uint64_t kMaxAllArrayElements = uint64_t{1} << 21;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;
constexpr uint32_t kMaxDims = 4;  // ggml's GGML_MAX_DIMS

// Numbers of value types: docs/gguf.md, gguf_metadata_value_type.
enum ValueType : uint32_t {
    kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64, kValueTypes
};

// Smallest number of bytes that one value takes in the file.
constexpr std::array<uint64_t, kValueTypes> kValueBytes{1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

// ggml's tensor types: number, name, weights and bytes of a block (ggml.h, ggml-common.h). Zero
// bytes: removed from the format, so there is no size to check.
struct GgmlType {
    uint32_t id;
    const char* name;
    uint32_t block_elements;
    uint32_t block_bytes;
    std::optional<DataType> type;
};

constexpr GgmlType kGgmlTypes[] = {
    {0, "F32", 1, 4, DataType::f32},
    {1, "F16", 1, 2, DataType::f16},
    {2, "Q4_0", 32, 18, DataType::q4_0},
    {3, "Q4_1", 32, 20, DataType::q4_1},
    {4, "Q4_2", 0, 0, {}},
    {5, "Q4_3", 0, 0, {}},
    {6, "Q5_0", 32, 22, DataType::q5_0},
    {7, "Q5_1", 32, 24, DataType::q5_1},
    {8, "Q8_0", 32, 34, DataType::q8_0},
    {9, "Q8_1", 32, 36, {}},
    {10, "Q2_K", 256, 84, DataType::q2_k},
    {11, "Q3_K", 256, 110, DataType::q3_k},
    {12, "Q4_K", 256, 144, DataType::q4_k},
    {13, "Q5_K", 256, 176, DataType::q5_k},
    {14, "Q6_K", 256, 210, DataType::q6_k},
    {15, "Q8_K", 256, 292, {}},
    {16, "IQ2_XXS", 256, 66, {}},
    {17, "IQ2_XS", 256, 74, {}},
    {18, "IQ3_XXS", 256, 98, {}},
    {19, "IQ1_S", 256, 50, {}},
    {20, "IQ4_NL", 32, 18, DataType::iq4_nl},
    {21, "IQ3_S", 256, 110, {}},
    {22, "IQ2_S", 256, 82, {}},
    {23, "IQ4_XS", 256, 136, DataType::iq4_xs},
    {24, "I8", 1, 1, {}},
    {25, "I16", 1, 2, {}},
    {26, "I32", 1, 4, {}},
    {27, "I64", 1, 8, {}},
    {28, "F64", 1, 8, {}},
    {29, "IQ1_M", 256, 56, {}},
    {30, "BF16", 1, 2, DataType::bf16},
    {31, "Q4_0_4_4", 0, 0, {}},
    {32, "Q4_0_4_8", 0, 0, {}},
    {33, "Q4_0_8_8", 0, 0, {}},
    {34, "TQ1_0", 256, 54, {}},
    {35, "TQ2_0", 256, 66, {}},
    {36, "IQ4_NL_4_4", 0, 0, {}},
    {37, "IQ4_NL_4_8", 0, 0, {}},
    {38, "IQ4_NL_8_8", 0, 0, {}},
    {39, "MXFP4", 32, 17, {}},
};

const GgmlType* find_ggml_type(uint32_t id) {
    return id < std::size(kGgmlTypes) ? &kGgmlTypes[id] : nullptr;
}

// Next multiple of `alignment` (a power of two); empty when that passes 2^64.
std::optional<uint64_t> align_up(uint64_t value, uint64_t alignment) {
    uint64_t sum = 0;
    if (__builtin_add_overflow(value, alignment - 1, &sum))
        return std::nullopt;
    return sum & ~(alignment - 1);
}

}  // namespace

std::string ggml_type_name(uint32_t type_id) {
    const GgmlType* type = find_ggml_type(type_id);
    return type ? type->name : "type " + std::to_string(type_id);
}

// Reads the header front to back through a small window, so that neither a header nor an array is
// held twice.
class GgufParser {
public:
    explicit GgufParser(Gguf& gguf)
        : gguf_(gguf), path_(printable_path(gguf.path())),
          limit_(std::min(gguf.file_.size(), kMaxHeaderBytes)) {}

    void parse() {
        read_preamble();
        for (uint64_t i = 0; i < keys_; ++i)
            read_pair();
        gguf_.tensors_.reserve(tensors_);
        std::vector<uint64_t> offsets;  // relative to the data section, as in the file
        for (uint64_t i = 0; i < tensors_; ++i)
            offsets.push_back(read_tensor());
        place_tensors(offsets);
    }

private:
    // --- bytes

    // Fails unless `bytes` more of them are inside the file and the header's limit.
    void need(uint64_t bytes, const char* what) {
        if (bytes <= limit_ - position_)
            return;
        if (limit_ < gguf_.file_.size())
            fail(Fault::bad_file,
                 "%s: %s at byte %" PRIu64 " goes past the header's limit (%" PRIu64 " bytes).",
                 path_.c_str(), what, position_, limit_);
        fail(Fault::bad_file, "%s: %s at byte %" PRIu64 " needs %" PRIu64
             " bytes, the file ends at byte %" PRIu64 ".",
             path_.c_str(), what, position_, bytes, gguf_.file_.size());
    }

    void take(std::span<std::byte> out, const char* what) {
        need(out.size(), what);
        while (!out.empty()) {
            if (position_ < window_begin_ || position_ >= window_begin_ + window_.size()) {
                constexpr uint64_t kWindowBytes = 1 << 16;
                window_begin_ = position_;
                window_.resize(std::min(kWindowBytes, limit_ - position_));
                gguf_.file_.read(window_begin_, window_);
            }
            const uint64_t skip = position_ - window_begin_;
            const size_t count = std::min<uint64_t>(out.size(), window_.size() - skip);
            std::memcpy(out.data(), window_.data() + skip, count);
            out = out.subspan(count);
            position_ += count;
        }
    }

    template <typename T>
    T take(const char* what) {
        T value;
        take(std::as_writable_bytes(std::span(&value, 1)), what);
        return value;
    }

    std::string take_string(uint64_t limit, const char* what) {
        const auto length = take<uint64_t>(what);
        if (length > limit)
            fail(Fault::bad_file,
                 "%s: %s at byte %" PRIu64 " has %" PRIu64 " bytes (at most %" PRIu64 ").",
                 path_.c_str(), what, position_ - 8, length, limit);
        need(length, what);
        std::string text(length, '\0');
        take(std::as_writable_bytes(std::span(text)), what);
        return text;
    }

    // --- header

    void read_preamble() {
        std::array<char, 4> magic{};
        take(std::as_writable_bytes(std::span(magic)), "the magic number");
        if (std::string_view(magic.data(), 4) != "GGUF")
            fail(Fault::bad_file, "%s: the file does not start with GGUF.", path_.c_str());
        gguf_.version_ = take<uint32_t>("the version");
        if ((gguf_.version_ & 0xFFFF) == 0 && gguf_.version_ != 0)
            fail(Fault::unsupported, "%s: this GGUF file is big endian (supported: little endian).",
                 path_.c_str());
        if (gguf_.version_ != 2 && gguf_.version_ != 3)
            fail(Fault::unsupported, "%s: the GGUF version is %" PRIu32 " (supported: 2, 3).",
                 path_.c_str(), gguf_.version_);
        tensors_ = take<uint64_t>("the number of tensors");
        if (tensors_ > kMaxTensors)
            fail(Fault::bad_file,
                 "%s: the header counts %" PRIu64 " tensors (at most %" PRIu64 ").", path_.c_str(),
                 tensors_, kMaxTensors);
        keys_ = take<uint64_t>("the number of keys");
        if (keys_ > kMaxKeys)
            fail(Fault::bad_file, "%s: the header counts %" PRIu64 " keys (at most %" PRIu64 ").",
                 path_.c_str(), keys_, kMaxKeys);
    }

    void read_pair() {
        const uint64_t start = position_;
        key_ = take_string(kMaxNameBytes, "a key");
        what_ = "the value of key '" + printable(key_) + "'";
        const auto type = take_type();
        Gguf::Value value = type == kArray ? take_array() : take_scalar(type);
        if (!gguf_.values_.emplace(key_, std::move(value)).second)
            fail(Fault::bad_file, "%s: key '%s' at byte %" PRIu64 " stands there twice.",
                 path_.c_str(), printable(key_).c_str(), start);
    }

    uint32_t take_type() {
        const auto type = take<uint32_t>(what_.c_str());
        if (type >= kValueTypes)
            fail(Fault::bad_file, "%s: %s has type number %" PRIu32 " (at most %d).", path_.c_str(),
                 what_.c_str(), type, kValueTypes - 1);
        return type;
    }

    bool take_bool() {
        const auto byte = take<uint8_t>(what_.c_str());
        if (byte > 1)
            fail(Fault::bad_file, "%s: %s at byte %" PRIu64 " is %u, a bool is 0 or 1.",
                 path_.c_str(), what_.c_str(), position_ - 1, byte);
        return byte == 1;
    }

    Gguf::Value take_scalar(uint32_t type) {
        const char* what = what_.c_str();
        switch (type) {
        case kU8: return uint64_t{take<uint8_t>(what)};
        case kU16: return uint64_t{take<uint16_t>(what)};
        case kU32: return uint64_t{take<uint32_t>(what)};
        case kU64: return take<uint64_t>(what);
        case kI8: return int64_t{take<int8_t>(what)};
        case kI16: return int64_t{take<int16_t>(what)};
        case kI32: return int64_t{take<int32_t>(what)};
        case kI64: return take<int64_t>(what);
        case kF32: return double{take<float>(what)};
        case kF64: return take<double>(what);
        case kBool: return take_bool();
        default: return take_string(kMaxStringBytes, what);
        }
    }

    template <typename T>
    std::vector<int64_t> take_ints(uint64_t count) {
        std::vector<int64_t> values;
        values.reserve(count);
        for (uint64_t i = 0; i < count; ++i) {
            const T value = take<T>(what_.c_str());
            if (std::is_same_v<T, uint64_t> &&
                static_cast<uint64_t>(value) > uint64_t{std::numeric_limits<int64_t>::max()})
                fail(Fault::bad_file, "%s: %s has an element of 2^63 or more.", path_.c_str(),
                     what_.c_str());
            values.push_back(static_cast<int64_t>(value));
        }
        return values;
    }

    Gguf::Value take_array() {
        const uint32_t type = take_type();
        const auto count = take<uint64_t>(what_.c_str());
        if (type == kArray)
            fail(Fault::unsupported, "%s: key '%s' is an array of arrays (supported: arrays of "
                 "numbers, bools and strings).", path_.c_str(), printable(key_).c_str());
        if (count > kMaxArrayElements || array_elements_ + count > kMaxAllArrayElements)
            fail(Fault::bad_file,
                 "%s: key '%s' is an array of %" PRIu64 " elements (at most %" PRIu64
                 " in one and %" PRIu64 " in all arrays).",
                 path_.c_str(), printable(key_).c_str(), count, kMaxArrayElements,
                 kMaxAllArrayElements);
        array_elements_ += count;
        need(count * kValueBytes[type], what_.c_str());  // no overflow: count <= 2^20
        switch (type) {
        case kU8: return take_ints<uint8_t>(count);
        case kU16: return take_ints<uint16_t>(count);
        case kU32: return take_ints<uint32_t>(count);
        case kU64: return take_ints<uint64_t>(count);
        case kI8: return take_ints<int8_t>(count);
        case kI16: return take_ints<int16_t>(count);
        case kI32: return take_ints<int32_t>(count);
        case kI64: return take_ints<int64_t>(count);
        case kF32: {
            std::vector<float> values(count);
            take(std::as_writable_bytes(std::span(values)), what_.c_str());
            return values;
        }
        case kF64: {
            std::vector<double> values(count);
            take(std::as_writable_bytes(std::span(values)), what_.c_str());
            return values;
        }
        case kBool: {
            std::vector<bool> values(count);
            for (uint64_t i = 0; i < count; ++i)
                values[i] = take_bool();
            return values;
        }
        default: {
            std::vector<std::string> values(count);
            for (std::string& value : values)
                value = take_string(kMaxStringBytes, what_.c_str());
            return values;
        }
        }
    }

    // --- tensors

    // Appends a tensor without its place; returns its offset in the data section.
    uint64_t read_tensor() {
        Gguf::Tensor tensor{};
        tensor.name = take_string(kMaxNameBytes, "a tensor's name");
        const std::string shown = printable(tensor.name);
        const std::string what = "tensor '" + shown + "'";
        const auto dims = take<uint32_t>(what.c_str());
        if (dims < 1 || dims > kMaxDims)
            fail(Fault::bad_file, "%s: tensor '%s' has %" PRIu32 " dimensions (1 to %" PRIu32 ").",
                 path_.c_str(), shown.c_str(), dims, kMaxDims);
        tensor.shape.resize(dims);
        for (uint32_t i = dims; i-- > 0;)
            tensor.shape[i] = take<uint64_t>(what.c_str());
        tensor.type_id = take<uint32_t>(what.c_str());
        const auto offset = take<uint64_t>(what.c_str());
        set_size(tensor, shown);
        if (!gguf_.tensor_index_.emplace(tensor.name, gguf_.tensors_.size()).second)
            fail(Fault::bad_file, "%s: tensor '%s' stands there twice.", path_.c_str(),
                 shown.c_str());
        gguf_.tensors_.push_back(std::move(tensor));
        return offset;
    }

    // Type and bytes from type_id and shape.
    void set_size(Gguf::Tensor& tensor, const std::string& shown) {
        const GgmlType* type = find_ggml_type(tensor.type_id);
        if (!type || type->block_bytes == 0)
            fail(Fault::unsupported, "%s: tensor '%s' has %s (supported: F32, F16, BF16, Q8_0, "
                 "Q4_0).", path_.c_str(), shown.c_str(),
                 (type ? std::string("type ") + type->name : ggml_type_name(tensor.type_id))
                     .c_str());
        tensor.type = type->type;
        const std::string shape = shape_text(tensor.shape);
        uint64_t elements = 1;
        for (const uint64_t size : tensor.shape) {
            if (size == 0)
                fail(Fault::bad_file, "%s: tensor '%s' has a dimension of 0 (shape %s).",
                     path_.c_str(), shown.c_str(), shape.c_str());
            if (__builtin_mul_overflow(elements, size, &elements))
                fail(Fault::bad_file, "%s: the size of tensor '%s' (shape %s) overflows 64 bits.",
                     path_.c_str(), shown.c_str(), shape.c_str());
        }
        if (tensor.shape.back() % type->block_elements != 0)
            fail(Fault::bad_file, "%s: tensor '%s' has rows of %" PRIu64
                 " weights, %s needs a multiple of %" PRIu32 ".",
                 path_.c_str(), shown.c_str(), tensor.shape.back(), type->name,
                 type->block_elements);
        if (__builtin_mul_overflow(elements / type->block_elements, uint64_t{type->block_bytes},
                                   &tensor.bytes))
            fail(Fault::bad_file, "%s: the size of tensor '%s' (shape %s) overflows 64 bits.",
                 path_.c_str(), shown.c_str(), shape.c_str());
    }

    uint64_t alignment() const {
        const auto alignment = gguf_.find_uint("general.alignment");
        if (!alignment)
            return 32;  // GGUF_DEFAULT_ALIGNMENT
        if (!std::has_single_bit(*alignment) || *alignment > kMaxAlignment)
            fail(Fault::bad_file, "%s: key 'general.alignment' is %" PRIu64
                 " (a power of two, at most %" PRIu64 ").",
                 path_.c_str(), *alignment, kMaxAlignment);
        return *alignment;
    }

    // Tensors follow each other in file order, each padded to the alignment.
    void place_tensors(const std::vector<uint64_t>& offsets) {
        const uint64_t align = alignment();
        const uint64_t file_bytes = gguf_.file_.size();
        const uint64_t data = align_up(position_, align).value();  // position_ <= 64 MiB
        uint64_t expected = 0;
        for (size_t i = 0; i < offsets.size(); ++i) {
            Gguf::Tensor& tensor = gguf_.tensors_[i];
            const std::string shown = printable(tensor.name);
            if (offsets[i] != expected)
                fail(Fault::bad_file, "%s: tensor '%s' starts at offset %" PRIu64
                     " of the data section, %" PRIu64 " is expected.",
                     path_.c_str(), shown.c_str(), offsets[i], expected);
            if (data > file_bytes || expected > file_bytes - data ||
                tensor.bytes > file_bytes - data - expected)
                fail(Fault::bad_file, "%s: tensor '%s' takes %" PRIu64 " bytes from byte %" PRIu64
                     ", the file ends at byte %" PRIu64 ".",
                     path_.c_str(), shown.c_str(), tensor.bytes, data + expected, file_bytes);
            tensor.offset = data + expected;
            // expected + bytes <= file size here, so only the padding could wrap.
            const auto next = align_up(expected + tensor.bytes, align);
            if (!next)
                fail(Fault::bad_file, "%s: the padding after tensor '%s' overflows 64 bits.",
                     path_.c_str(), shown.c_str());
            expected = *next;
        }
    }

    Gguf& gguf_;
    std::string path_;  // printable
    uint64_t limit_;
    uint64_t position_ = 0;
    std::vector<std::byte> window_;
    uint64_t window_begin_ = 0;
    uint64_t tensors_ = 0;
    uint64_t keys_ = 0;
    uint64_t array_elements_ = 0;
    std::string key_;   // of the pair being read
    std::string what_;  // the same for messages
};

Gguf Gguf::open(const std::string& path) {
    return parse(File::open(path));
}

Gguf Gguf::parse(File file) {
    Gguf gguf(std::move(file));
    GgufParser(gguf).parse();
    return gguf;
}

// --- metadata

const Gguf::Value* Gguf::find(std::string_view key) const {
    const auto it = values_.find(key);
    return it == values_.end() ? nullptr : &it->second;
}

void Gguf::missing(std::string_view key) const {
    fail(Fault::bad_file, "%s: key '%s' is missing.", printable_path(path()).c_str(),
         printable(key).c_str());
}

void Gguf::wrong_type(std::string_view key, const Value& value, const char* wanted) const {
    // In the order of Value.
    constexpr std::array kHeld{"an unsigned integer", "a signed integer", "a float", "a bool",
                               "a string", "an array of strings", "an array of f32",
                               "an array of f64", "an array of integers", "an array of bools"};
    static_assert(kHeld.size() == std::variant_size_v<Value>);
    fail(Fault::bad_file, "%s: key '%s' is %s (expected: %s).", printable_path(path()).c_str(),
         printable(key).c_str(), kHeld[value.index()], wanted);
}

template <typename T>
const T* Gguf::find_as(std::string_view key, const char* wanted) const {
    const Value* value = find(key);
    if (!value)
        return nullptr;
    const T* held = std::get_if<T>(value);
    if (!held)
        wrong_type(key, *value, wanted);
    return held;
}

bool Gguf::has(std::string_view key) const {
    return find(key) != nullptr;
}

std::optional<uint64_t> Gguf::find_uint(std::string_view key) const {
    const Value* value = find(key);
    if (!value)
        return std::nullopt;
    if (const auto* number = std::get_if<int64_t>(value)) {
        if (*number < 0)
            fail(Fault::bad_file, "%s: key '%s' is %" PRId64 " (at least 0).",
                 printable_path(path()).c_str(), printable(key).c_str(), *number);
        return static_cast<uint64_t>(*number);
    }
    return *find_as<uint64_t>(key, "an integer");
}

std::optional<double> Gguf::find_float(std::string_view key) const {
    const auto* value = find_as<double>(key, "a float");
    return value ? std::optional(*value) : std::nullopt;
}

std::optional<bool> Gguf::find_bool(std::string_view key) const {
    const auto* value = find_as<bool>(key, "a bool");
    return value ? std::optional(*value) : std::nullopt;
}

const std::string* Gguf::find_string(std::string_view key) const {
    return find_as<std::string>(key, "a string");
}

uint64_t Gguf::get_uint(std::string_view key) const {
    const auto value = find_uint(key);
    return value ? *value : (missing(key), 0);
}

double Gguf::get_float(std::string_view key) const {
    const auto value = find_float(key);
    return value ? *value : (missing(key), 0);
}

const std::string& Gguf::get_string(std::string_view key) const {
    const std::string* value = find_string(key);
    if (!value)
        missing(key);
    return *value;
}

const std::vector<std::string>* Gguf::strings(std::string_view key) const {
    return find_as<std::vector<std::string>>(key, "an array of strings");
}

const std::vector<float>* Gguf::floats(std::string_view key) const {
    return find_as<std::vector<float>>(key, "an array of f32");
}

const std::vector<int64_t>* Gguf::ints(std::string_view key) const {
    return find_as<std::vector<int64_t>>(key, "an array of integers");
}

const std::vector<bool>* Gguf::bools(std::string_view key) const {
    return find_as<std::vector<bool>>(key, "an array of bools");
}

bool Gguf::holds_bools(std::string_view key) const {
    const Value* value = find(key);
    return value && std::holds_alternative<std::vector<bool>>(*value);
}

const Gguf::Tensor* Gguf::find_tensor(std::string_view name) const {
    const auto it = tensor_index_.find(name);
    return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
}

}  // namespace olivine
