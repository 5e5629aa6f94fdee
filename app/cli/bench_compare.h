// Two reports of bench --json, side by side.
#pragma once

#include <string>

namespace olivine {

// Prints what both have, and b / a. Throws bad_input when a file cannot be read or is no report.
void compare_reports(const std::string& a, const std::string& b);

}  // namespace olivine
