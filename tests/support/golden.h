// Golden models: inputs and outputs computed in float64 by the reference implementation.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace olivine::test {

struct Golden {
    explicit Golden(const std::string& model);  // "tiny-text"; a folder under tests/goldens

    std::vector<float> floats(const std::string& tensor) const;
    std::vector<int32_t> ids(const std::string& tensor) const;
    std::vector<uint8_t> bytes(const std::string& tensor) const;
    std::vector<uint64_t> shape(const std::string& tensor) const;  // outermost first

    std::string folder;
    nlohmann::json info;  // golden.json
};

// Largest absolute difference; infinite when sizes differ or a value is not a number.
double max_abs_difference(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace olivine::test
