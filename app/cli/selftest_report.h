// The results of `olivine selftest` for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/selftest/selftest.h"

namespace olivine {

// The worst error of each operation on each rung, with the best rates; then the failures.
std::string table_text(const std::vector<selftest::Outcome>& outcomes);
// A JSON list of {op, case, variant, status, nmse, max_abs, ms, reason, ...}.
std::string json_text(const std::vector<selftest::Outcome>& outcomes, const DeviceInfo& device);
// One <testsuite> in JUnit's format.
std::string junit_text(const std::vector<selftest::Outcome>& outcomes, const DeviceInfo& device);

}  // namespace olivine
