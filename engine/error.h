// Errors that come from outside: a file, a request, a device. Our own mistakes are an assert.
#pragma once

#include <stdexcept>
#include <string>

namespace olivine {

// Who must act. Code branches on the fault, never on the text.
enum class Fault {
    bad_input,      // the request: a prompt longer than the context, a value out of range
    bad_file,       // a model, tokenizer or picture file is damaged or hostile
    unsupported,    // a well-formed file or device that asks for what we do not have
    no_device,      // no Vulkan loader, driver or suitable device
    out_of_memory,  // device or host memory, or the budget
    device_lost,    // the driver gave the device up
    cancelled,      // the caller asked to stop
    internal,       // a driver answered what it must not
};

class Error : public std::runtime_error {
public:
    Error(Fault fault, const std::string& text) : std::runtime_error(text), fault_(fault) {}
    Fault fault() const { return fault_; }

private:
    Fault fault_;
};

// Throws Error with a printf-formatted text: one sentence in the present tense that names the
// thing and gives the value and the limit.
[[noreturn]] void fail(Fault fault, const char* format, ...) __attribute__((format(printf, 2, 3)));

// printf into a string.
std::string format_text(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace olivine
