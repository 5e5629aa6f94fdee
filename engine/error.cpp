#include "engine/error.h"

#include <cstdarg>
#include <cstdio>

namespace olivine {
namespace {

std::string format_list(const char* format, va_list list) {
    va_list measured;
    va_copy(measured, list);
    const int length = std::vsnprintf(nullptr, 0, format, measured);
    va_end(measured);
    std::string text(length > 0 ? static_cast<size_t>(length) : 0, '\0');
    std::vsnprintf(text.data(), text.size() + 1, format, list);
    return text;
}

}  // namespace

std::string format_text(const char* format, ...) {
    va_list list;
    va_start(list, format);
    std::string text = format_list(format, list);
    va_end(list);
    return text;
}

void fail(Fault fault, const char* format, ...) {
    va_list list;
    va_start(list, format);
    const std::string text = format_list(format, list);
    va_end(list);
    throw Error(fault, text);
}

}  // namespace olivine
