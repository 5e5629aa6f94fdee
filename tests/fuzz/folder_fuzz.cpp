// libFuzzer target: the JSON files of a model folder beside good safetensors.
//
// Input: config.json, and after a NUL the index of the shards; after another NUL
// generation_config.json, and after a third preprocessor_config.json.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "model/checkpoint.h"
#include "tests/fuzz/fuzz.h"

using namespace olivine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const File weights = File::open(OLIVINE_TEST_GOLDENS "/tiny-vision/model.safetensors");
    FileTable files;
    files.add(File("model.safetensors", weights.size(), [](uint64_t offset, std::span<std::byte> out) {
        weights.read(offset, out);
        return true;
    }));
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    for (const char* name : {"config.json", "model.safetensors.index.json",
                             "generation_config.json", "preprocessor_config.json"}) {
        const std::string_view text = rest.substr(0, rest.find('\0'));
        rest.remove_prefix(std::min(rest.size(), text.size() + 1));
        const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
        if (!text.empty())
            files.add(File::from_bytes({bytes.begin(), bytes.end()}, name));
    }
    refused([&] {
        const auto checkpoint = Checkpoint::open(".", {}, files);
        (void)checkpoint->weight_bytes();
        (void)checkpoint->vision_bytes();
    });
    return 0;
}
