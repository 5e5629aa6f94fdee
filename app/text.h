// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace olivine {

std::string bytes_text(uint64_t bytes);     // "3.7 MiB"
std::string grouped_text(uint64_t number);  // "268,098,176"

}  // namespace olivine
