// Two reports of bench --json, side by side.
#pragma once

#include <string>

namespace olivine {

// Prints what either has, and b / a of what both have. Throws bad_input when a file cannot be read or is no report.
void compare_reports(const std::string& a, const std::string& b);

}  // namespace olivine
