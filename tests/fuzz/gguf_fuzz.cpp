// libFuzzer target: GGUF headers, and what is read from them: configurations and vocabularies.
#include <cstdint>
#include <vector>

#include "engine/error.h"
#include "model/config.h"
#include "model/gguf.h"
#include "model/tokenizer.h"
#include "tests/fuzz/fuzz.h"

using namespace olivine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::optional<Gguf> gguf;
    if (!refused([&] { gguf = Gguf::parse(fuzzed_file(data, size)); }))
        for (const Gguf::Tensor& tensor : gguf->tensors())
            if (tensor.offset > size || tensor.bytes > size - tensor.offset)
                __builtin_trap();
    if (!gguf)
        return 0;
    refused([&] {
        Config config = config_from_gguf(*gguf);
        (void)text_tensors(config);
        (void)parameter_count(config);
        add_mmproj(config, *gguf, *gguf);
        (void)vision_tensors(config);
    });
    if (gguf->has("tokenizer.ggml.tokens"))
        refused([&] { (void)Tokenizer::from_gguf(*gguf).encode("the model  \n<b>"); });
    return 0;
}
