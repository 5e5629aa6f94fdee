#include "tests/support/golden.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <span>

#include "model/safetensors.h"

namespace olivine::test {
namespace {

std::vector<std::byte> tensor_bytes(const std::string& folder, const std::string& name,
                                    std::string& type) {
    const Safetensors file = Safetensors::open(folder + "/golden.safetensors");
    const Safetensors::Tensor* tensor = file.find(name);
    if (!tensor)
        throw std::runtime_error(folder + " has no golden tensor " + name);
    type = tensor->type_name;
    std::vector<std::byte> bytes(tensor->bytes);
    file.file().read(tensor->offset, bytes);
    return bytes;
}

template <typename From, typename To>
std::vector<To> converted(const std::vector<std::byte>& bytes) {
    std::vector<From> values(bytes.size() / sizeof(From));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return {values.begin(), values.end()};
}

}  // namespace

Golden::Golden(const std::string& model) : folder(std::string(OLIVINE_TEST_GOLDENS) + "/" + model) {
    std::ifstream(folder + "/golden.json") >> info;
}

std::vector<float> Golden::floats(const std::string& tensor) const {
    std::string type;
    return converted<float, float>(tensor_bytes(folder, tensor, type));
}

std::vector<int32_t> Golden::ids(const std::string& tensor) const {
    std::string type;
    const std::vector<std::byte> bytes = tensor_bytes(folder, tensor, type);
    return type == "I64" ? converted<int64_t, int32_t>(bytes) : converted<int32_t, int32_t>(bytes);
}

std::vector<uint8_t> Golden::bytes(const std::string& tensor) const {
    std::string type;
    return converted<uint8_t, uint8_t>(tensor_bytes(folder, tensor, type));
}

std::vector<uint64_t> Golden::shape(const std::string& tensor) const {
    return Safetensors::open(folder + "/golden.safetensors").find(tensor)->shape;
}

double max_abs_difference(const std::vector<float>& a, const std::vector<float>& b) {
    if (a.size() != b.size())
        return std::numeric_limits<double>::infinity();
    double largest = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        const double difference = std::abs(double(a[i]) - double(b[i]));
        if (std::isnan(difference))
            return std::numeric_limits<double>::infinity();
        largest = std::max(largest, difference);
    }
    return largest;
}

}  // namespace olivine::test
