#include "engine/shader_folder.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include "engine/error.h"
#include "engine/shader_compiler.h"
#include "engine/spirv_table.h"

namespace olivine {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> text_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return file ? std::optional(text.str()) : std::nullopt;
}

// Names of #include "...", as our shaders write it.
std::vector<std::string> includes_of(const std::string& text) {
    std::vector<std::string> names;
    for (size_t at = 0; (at = text.find("#include \"", at)) != std::string::npos;) {
        at += std::strlen("#include \"");
        names.push_back(text.substr(at, text.find('"', at) - at));
    }
    return names;
}

}  // namespace

ShaderFolder::ShaderFolder(const std::string& path) : path_(path) {
    if (!path_.has_filename())  // "shaders/": messages have one slash
        path_ = path_.parent_path();
    std::error_code error;
    if (!fs::is_directory(path_, error))
        fail(Fault::bad_input, "The shader folder %s %s.", path.c_str(),
             fs::exists(path_, error) ? "is not a folder" : "does not exist");
    for (const ShaderFile& file : shader_files())
        if (!fs::is_regular_file(path_ / file.path, error))
            fail(Fault::bad_input, "The shader folder %s has no %s.", path.c_str(),
                 std::string(file.path).c_str());
}

std::span<const uint32_t> ShaderFolder::spirv(const std::string& variant) {
    const std::lock_guard lock(mutex_);
    if (!differs(shader_variant(variant).source))
        return shader_variant(variant).words;
    const auto known = compiled_.find(variant);
    if (known != compiled_.end())
        return known->second;
    return compiled_.emplace(variant, compile_shader(shader_variant(variant), path_)).first->second;
}

bool ShaderFolder::differs(const std::string& file) {
    const auto [known, is_new] = differs_.emplace(file, false);  // false: ends circles
    if (!is_new)
        return known->second;
    const std::span<const ShaderFile> files = shader_files();
    const auto built = std::find_if(files.begin(), files.end(),
                                    [&](const ShaderFile& each) { return each.path == file; });
    const std::optional<std::string> text = text_of(path_ / file);
    bool different = built == files.end() || !text || *text != built->text;
    if (!different)
        for (const std::string& name : includes_of(*text))
            different = differs(name) || different;
    return differs_[file] = different;
}

std::shared_ptr<ShaderFolder> open_shader_folder(const std::string& path) {
    const char* environment = std::getenv("OLIVINE_SHADER_DIR");
    const std::string folder = path.empty() && environment ? environment : path;
    return folder.empty() ? nullptr : std::make_shared<ShaderFolder>(folder);
}

}  // namespace olivine
