#include "model/safetensors.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <functional>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "engine/error.h"

namespace olivine {
namespace {

constexpr uint64_t kMaxHeaderBytes = uint64_t{16} << 20;
constexpr size_t kMaxTensors = 8192;
constexpr size_t kMaxDims = 8;

struct ElementType {
    const char* name;
    uint32_t bits;
    std::optional<DataType> type;
};

// The format's types (safetensors/src/tensor.rs, enum Dtype).
constexpr ElementType kElementTypes[] = {
    {"F32", 32, DataType::f32},
    {"F16", 16, DataType::f16},
    {"BF16", 16, DataType::bf16},
    {"BOOL", 8, {}}, {"U8", 8, {}}, {"I8", 8, {}}, {"U16", 16, {}}, {"I16", 16, {}},
    {"U32", 32, {}}, {"I32", 32, {}}, {"U64", 64, {}}, {"I64", 64, {}}, {"F64", 64, {}},
    {"C64", 64, {}}, {"F8_E4M3", 8, {}}, {"F8_E5M2", 8, {}}, {"F8_E8M0", 8, {}},
    {"F6_E2M3", 6, {}}, {"F6_E3M2", 6, {}}, {"F4", 4, {}},
};

const ElementType* find_element_type(std::string_view name) {
    for (const ElementType& type : kElementTypes)
        if (name == type.name)
            return &type;
    return nullptr;
}

// One entry of the header as it stands there; offsets count from the data section.
struct Entry {
    std::string name;
    std::optional<std::string> type_name;
    std::optional<std::vector<uint64_t>> shape;
    std::optional<std::vector<uint64_t>> range;  // begin, end
};

// Takes the header event by event. A tree of the whole header would take many times its bytes, and
// would silently drop one of two entries with the same name.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
public:
    explicit HeaderReader(const std::string& path) : path_(path) {}

    std::vector<Entry> entries;

    bool start_object(size_t) override {
        switch (place_) {
        case Place::start: place_ = Place::names; return true;
        case Place::entry: place_ = Place::fields; return true;
        case Place::metadata: place_ = Place::metadata_fields; return true;
        default: return unexpected("an object");
        }
    }

    bool key(std::string& text) override {
        switch (place_) {
        case Place::names:
            if (text == "__metadata__") {
                place_ = Place::metadata;
                return true;
            }
            if (entries.size() == kMaxTensors)
                fail(Fault::bad_file, "%s: the header has more than %zu tensors.", path_.c_str(),
                     kMaxTensors);
            entries.push_back({.name = text, .type_name = {}, .shape = {}, .range = {}});
            place_ = Place::entry;
            return true;
        case Place::fields:
            if (text == "dtype" && !entry().type_name)
                place_ = Place::type_name;
            else if (text == "shape" && !entry().shape)
                place_ = Place::shape;
            else if (text == "data_offsets" && !entry().range)
                place_ = Place::range;
            else
                fail(Fault::bad_file,
                     "%s: tensor '%s' has a field '%s' (expected: dtype, shape and data_offsets, "
                     "once each).",
                     path_.c_str(), shown().c_str(), printable(text).c_str());
            return true;
        default: return true;  // metadata_fields: not used
        }
    }

    bool string(std::string& text) override {
        if (place_ == Place::metadata_fields)
            return true;
        if (place_ != Place::type_name)
            return unexpected("a string");
        entry().type_name = text;
        place_ = Place::fields;
        return true;
    }

    bool start_array(size_t) override {
        if (place_ == Place::shape) {
            entry().shape.emplace();
            place_ = Place::shape_numbers;
        } else if (place_ == Place::range) {
            entry().range.emplace();
            place_ = Place::range_numbers;
        } else {
            return unexpected("an array");
        }
        return true;
    }

    bool number_unsigned(uint64_t number) override {
        if (place_ == Place::shape_numbers) {
            if (entry().shape->size() == kMaxDims)
                fail(Fault::bad_file, "%s: tensor '%s' has more than %zu dimensions.",
                     path_.c_str(), shown().c_str(), kMaxDims);
            entry().shape->push_back(number);
        } else if (place_ == Place::range_numbers) {
            if (entry().range->size() == 2)
                fail(Fault::bad_file, "%s: tensor '%s' has more than two data_offsets.",
                     path_.c_str(), shown().c_str());
            entry().range->push_back(number);
        } else {
            return unexpected("a number");
        }
        return true;
    }

    bool end_array() override {
        place_ = Place::fields;
        return true;
    }

    bool end_object() override {
        if (place_ == Place::fields) {
            if (!entry().type_name || !entry().shape || !entry().range ||
                entry().range->size() != 2)
                fail(Fault::bad_file,
                     "%s: tensor '%s' has no dtype, no shape or not two data_offsets.",
                     path_.c_str(), shown().c_str());
            place_ = Place::names;
        } else {
            place_ = place_ == Place::metadata_fields ? Place::names : Place::end;
        }
        return true;
    }

    bool null() override { return unexpected("null"); }
    bool boolean(bool) override { return unexpected("a boolean"); }
    bool number_integer(int64_t) override { return unexpected("a negative number"); }
    bool number_float(double, const std::string&) override {
        return unexpected("a number that is no 64-bit integer");
    }
    bool binary(binary_t&) override { return unexpected("binary data"); }

    bool parse_error(size_t position, const std::string&,
                     const nlohmann::json::exception&) override {
        fail(Fault::bad_file, "%s: the header is not valid JSON at byte %zu%s.", path_.c_str(),
             8 + position, after().c_str());
    }

private:
    enum class Place {
        start, names, metadata, metadata_fields, entry, fields, type_name, shape, shape_numbers,
        range, range_numbers, end
    };

    Entry& entry() { return entries.back(); }
    std::string shown() { return printable(entry().name); }
    std::string after() {
        return entries.empty() ? std::string() : ", in or after tensor '" + shown() + "'";
    }

    bool unexpected(const char* what) {
        fail(Fault::bad_file, "%s: the header has %s where the format has none%s.", path_.c_str(),
             what, after().c_str());
    }

    std::string path_;  // printable
    Place place_ = Place::start;
};

// The tensor that an entry describes, with a checked size. `data` is where the data section starts.
Safetensors::Tensor make_tensor(Entry& entry, uint64_t data, uint64_t data_bytes,
                                const std::string& path) {
    const std::string shown = printable(entry.name);
    const ElementType* element = find_element_type(*entry.type_name);
    if (!element)
        fail(Fault::unsupported, "%s: tensor '%s' has type %s (supported: F32, F16, BF16).",
             path.c_str(), shown.c_str(), printable(*entry.type_name).c_str());
    const std::string shape = shape_text(*entry.shape);
    uint64_t bits = element->bits;
    // A zero dimension would hide the overflow of the others.
    uint64_t product = 1;
    for (const uint64_t size : *entry.shape) {
        if (__builtin_mul_overflow(bits, size, &bits) ||
            __builtin_mul_overflow(product, std::max<uint64_t>(size, 1), &product))
            fail(Fault::bad_file, "%s: the size of tensor '%s' (shape %s) overflows 64 bits.",
                 path.c_str(), shown.c_str(), shape.c_str());
    }
    const auto [begin, end] = std::pair((*entry.range)[0], (*entry.range)[1]);
    if (begin > end || end > data_bytes)
        fail(Fault::bad_file,
             "%s: tensor '%s' takes bytes %" PRIu64 " to %" PRIu64
             " of the data section, which has %" PRIu64 ".",
             path.c_str(), shown.c_str(), begin, end, data_bytes);
    if (bits % 8 != 0 || end - begin != bits / 8)
        fail(Fault::bad_file,
             "%s: tensor '%s' has %" PRIu64 " bytes, %s of shape %s has %" PRIu64 " bits.",
             path.c_str(), shown.c_str(), end - begin, element->name, shape.c_str(), bits);
    return {.name = std::move(entry.name), .type_name = element->name, .type = element->type,
            .shape = std::move(*entry.shape), .bytes = end - begin, .offset = data + begin};
}

}  // namespace

Safetensors Safetensors::open(const std::string& path) {
    return parse(File::open(path));
}

Safetensors Safetensors::parse(File source) {
    Safetensors result(std::move(source));
    const File& file = result.file_;
    const std::string path = printable_path(file.path());
    if (file.size() < 8)
        fail(Fault::bad_file, "%s: the file has %" PRIu64 " bytes, a safetensors file at least 8.",
             path.c_str(), file.size());
    uint64_t header_bytes = 0;
    file.read(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
    if (header_bytes > kMaxHeaderBytes)
        fail(Fault::bad_file, "%s: the header has %" PRIu64 " bytes (at most %" PRIu64 ").",
             path.c_str(), header_bytes, kMaxHeaderBytes);
    if (header_bytes > file.size() - 8)
        fail(Fault::bad_file, "%s: the header takes %" PRIu64 " bytes from byte 8, the file ends "
             "at byte %" PRIu64 ".", path.c_str(), header_bytes, file.size());
    std::string header(header_bytes, '\0');
    file.read(8, std::as_writable_bytes(std::span(header)));
    if (header.empty() || header.front() != '{')
        fail(Fault::bad_file, "%s: the header does not start with '{' at byte 8.", path.c_str());

    // Never valid in JSON; the parser would take it for the end.
    if (const size_t zero = header.find('\0'); zero != std::string::npos)
        fail(Fault::bad_file, "%s: the header is not valid JSON at byte %zu.", path.c_str(),
             8 + zero);

    HeaderReader reader(path);
    nlohmann::json::sax_parse(header, &reader);

    const uint64_t data = 8 + header_bytes;
    const uint64_t data_bytes = file.size() - data;
    for (Entry& entry : reader.entries)
        result.tensors_.push_back(make_tensor(entry, data, data_bytes, path));
    std::sort(result.tensors_.begin(), result.tensors_.end(), [](const auto& a, const auto& b) {
        return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
    });
    uint64_t expected = data;
    for (size_t i = 0; i < result.tensors_.size(); ++i) {
        const Tensor& tensor = result.tensors_[i];
        const std::string shown = printable(tensor.name);
        if (!result.index_.emplace(tensor.name, i).second)
            fail(Fault::bad_file, "%s: tensor '%s' stands there twice.", path.c_str(),
                 shown.c_str());
        if (tensor.offset != expected)
            fail(Fault::bad_file,
                 "%s: tensor '%s' starts at byte %" PRIu64 ", the one before ends at byte %" PRIu64
                 ".",
                 path.c_str(), shown.c_str(), tensor.offset, expected);
        expected = tensor.offset + tensor.bytes;
    }
    if (expected != file.size())
        fail(Fault::bad_file,
             "%s: the last tensor ends at byte %" PRIu64 ", the file at byte %" PRIu64 ".",
             path.c_str(), expected, file.size());
    return result;
}

const Safetensors::Tensor* Safetensors::find(std::string_view name) const {
    const auto it = index_.find(name);
    return it == index_.end() ? nullptr : &tensors_[it->second];
}

}  // namespace olivine
