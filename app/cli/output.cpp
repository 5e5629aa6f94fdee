#include "app/cli/output.h"

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/platform.h"
#include "engine/error.h"
#include "model/utf8.h"

namespace olivine {

void put(std::string_view text) {
    errno = 0;
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
        fail(Fault::bad_input, "Standard output cannot be written: %s.",
             platform::system_error(errno).c_str());
}

void put_answer(std::string_view text) {
    static const bool terminal = platform::output_is_terminal();
    put(terminal ? without_controls(text) : text);
}

void put_json(const nlohmann::ordered_json& json, bool indented) {
    put(json.dump(indented ? 2 : -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
        "\n");
}

void note(std::string_view text) {
    const std::string line = "olivine: " + without_controls(text) + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
}

std::string without_controls(std::string_view text) {
    std::string kept;
    kept.reserve(text.size());
    while (!text.empty()) {
        const Utf8Step step = utf8_step(text);
        const bool control = (step.code < 0x20 && step.code != '\n' && step.code != '\t') ||
                             (step.code >= 0x7f && step.code < 0xa0);
        if (!step.valid)
            utf8_append(kept, step.code);  // a lone byte 0x9b starts a sequence on some terminals
        else if (!control)
            kept += text.substr(0, step.length);
        text.remove_prefix(step.length);
    }
    return kept;
}

}  // namespace olivine
