// libFuzzer target: tokenizer.json files.
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/vocabulary.h"

using namespace olivine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    refused([&] {
        use_vocabulary(read_tokenizer_json({reinterpret_cast<const char*>(data), size}, "fuzz"));
    });
    return 0;
}
