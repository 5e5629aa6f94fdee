// Writing to standard output and standard error.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace olivine {

// Writes to standard output and flushes. Throws bad_input when it cannot be written.
void put(std::string_view text);
// Text of a model: on a terminal without the control characters that could steer it.
void put_answer(std::string_view text);
// The object and a newline; bytes that are not UTF-8 become U+FFFD.
void put_json(const nlohmann::ordered_json& json, bool indented);

// One line on standard error, "olivine: ..." and printable.
void note(std::string_view text);

// text without C0 and C1 control characters and DEL; newline and tab stay.
std::string without_controls(std::string_view text);

}  // namespace olivine
