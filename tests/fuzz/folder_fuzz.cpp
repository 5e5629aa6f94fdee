// libFuzzer target: the JSON files of a model folder beside good safetensors.
//
// Input: config.json, and after a NUL the index of the shards; after another NUL
// generation_config.json, and after a third preprocessor_config.json.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "model/checkpoint.h"
#include "tests/fuzz/fuzz.h"

using namespace olivine;
namespace fs = std::filesystem;

namespace {

struct Folder {
    Folder() : path(fs::temp_directory_path() / ("olivine-fuzz-" + std::to_string(getpid()))) {
        fs::create_directories(path);
        fs::copy_file(fs::path(OLIVINE_TEST_GOLDENS) / "tiny-vision/model.safetensors",
                      path / "model.safetensors", fs::copy_options::overwrite_existing);
    }
    ~Folder() { fs::remove_all(path); }
    const fs::path path;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Folder folder;
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    for (const char* name : {"config.json", "model.safetensors.index.json",
                             "generation_config.json", "preprocessor_config.json"}) {
        const std::string_view text = rest.substr(0, rest.find('\0'));
        rest.remove_prefix(std::min(rest.size(), text.size() + 1));
        const fs::path file = folder.path / name;
        fs::remove(file);
        if (!text.empty())
            std::ofstream(file, std::ios::binary)
                .write(text.data(), static_cast<std::streamsize>(text.size()));
    }
    refused([&] {
        const auto checkpoint = Checkpoint::open(folder.path.string());
        (void)checkpoint->weight_bytes();
        (void)checkpoint->vision_bytes();
    });
    return 0;
}
