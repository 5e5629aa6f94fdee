// Shaders from a folder in place of the embedded ones, for those who work on them: --shader-dir.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace olivine {

// A folder laid out like shaders/. What differs there from the build is compiled by the build's own
// compiler, with the build's options. Variants themselves stay those of the build.
class ShaderFolder {
public:
    // Throws bad_input when the folder or one of the build's shader files is not there.
    explicit ShaderFolder(const std::string& path);

    // The words of a variant: the embedded ones where its source and includes are as the build had
    // them, else compiled now and said so on standard error. Live as long as the folder.
    // Throws bad_input with the compiler's messages, or when there is no compiler to start;
    // internal when the build has no such variant.
    std::span<const uint32_t> spirv(const std::string& variant);

private:
    bool differs(const std::string& file);  // itself, or what it includes

    std::filesystem::path path_;
    std::mutex mutex_;
    std::map<std::string, bool> differs_;                    // by file
    std::map<std::string, std::vector<uint32_t>> compiled_;  // by variant
};

// The folder at `path`, or where that is empty, of the environment's OLIVINE_SHADER_DIR; null for
// neither.
std::shared_ptr<ShaderFolder> open_shader_folder(const std::string& path);

}  // namespace olivine
