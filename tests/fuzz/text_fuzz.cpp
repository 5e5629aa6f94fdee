// libFuzzer target: text to ids and back, with the built-in model's vocabulary.
#include <cstdint>
#include <string>
#include <string_view>

#include "model/tokenizer.h"
#include "model/utf8.h"

using namespace olivine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Tokenizer tokenizer = Tokenizer::open(OLIVINE_TEST_TOKENIZER);
    const std::string_view text(reinterpret_cast<const char*>(data), size);

    // Text is data: no control piece, and the same bytes back, but that U+2581 is a space.
    std::string back, wanted(text), streamed;
    Utf8Stream stream;
    for (const int32_t id : tokenizer.encode(text)) {
        if (tokenizer.is_control(id))
            __builtin_trap();
        back += tokenizer.bytes(id);
        streamed += stream.push(tokenizer.bytes(id));
    }
    for (size_t at; (at = wanted.find("\u2581")) != std::string::npos;)
        wanted.replace(at, 3, 1, ' ');
    if (back != wanted)
        __builtin_trap();
    streamed += stream.finish();
    if (utf8_valid_prefix(streamed) != streamed.size())
        __builtin_trap();

    for (const int32_t id : tokenizer.encode(text, true))
        if (id < 0 || id >= tokenizer.size())
            __builtin_trap();
    return 0;
}
