#include "app/text.h"

#include <iterator>

#include "engine/error.h"

namespace olivine {

std::string bytes_text(uint64_t bytes) {
    const char* const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes);
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < std::size(units)) {
        value /= 1024;
        ++unit;
    }
    return unit == 0 ? format_text("%.0f bytes", value)
                     : format_text("%.1f %s", value, units[unit]);
}

std::string grouped_text(uint64_t number) {
    std::string text = std::to_string(number);
    for (size_t at = text.size(); at > 3;) {
        at -= 3;
        text.insert(at, 1, ',');
    }
    return text;
}

}  // namespace olivine
