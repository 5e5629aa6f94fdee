#include "app/cli/pictures.h"

#include <cstdlib>
#include <filesystem>

#include "app/cli/session.h"
#include "app/platform.h"
#include "engine/error.h"

namespace olivine {

void add_image_flag(CLI::App& app, Flags& flags) {
    const CLI::callback_t take = [&](const CLI::results_t& files) {
        for (const std::string& file : files)
            if (file.empty())
                fail_usage("--image is empty; it is a JPEG or PNG file.");
        flags.images = files;
        return true;
    };
    app.add_option("--image", take, "A picture (JPEG or PNG); may be given several times")
        ->type_name("FILE")
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_pan_and_scan_flag(CLI::App& app, Flags& flags) {
    app.add_flag("--pan-and-scan", flags.pan_and_scan, "Long pictures come with crops");
}

std::vector<Picture> read_pictures(const Flags& flags) {
    std::vector<Picture> pictures;
    for (const std::string& file : flags.images)
        pictures.push_back(read_picture(file));
    return pictures;
}

std::string file_as_typed(const std::string& text) {
    std::error_code error;
    if (std::filesystem::exists(text, error))
        return text;
    std::string file = text;
    if (file.size() >= 2 && (file.front() == '\'' || file.front() == '"') &&
        file.back() == file.front())
        file = file.substr(1, file.size() - 2);
    else
        for (size_t at = 0; (at = file.find('\\', at)) != std::string::npos; ++at)
            file.erase(at, 1);
    const char* home = std::getenv("HOME");
    if (home && (file == "~" || file.starts_with("~/")))
        file = home + file.substr(1);
    return file;
}

Progress EncodeProgress::loading() {
    return [this](uint64_t done, uint64_t total) {
        bar_.show_bytes(done, total);
        return !platform::interrupted();
    };
}

EncodeOptions EncodeProgress::options() {
    EncodeOptions options;
    options.progress = [this](uint32_t done, uint32_t total) {
        bar_.show(std::to_string(done * 100 / total) + " %");
    };
    options.cancelled = platform::interrupted;
    return options;
}

void require_vision(const Flags& flags, const Config& config) {
    if (config.vision)
        return;
    const std::string name = model_name(flags.model);
    const bool gguf = name.ends_with(".gguf") && config.family == Config::Family::gemma3;
    fail(Fault::bad_input, "The model %s reads text only, no pictures%s.", name.c_str(),
         gguf
             ? " (its picture encoder is a file of its own, mmproj-*.gguf: put it beside the model "
               "or give it with --mmproj)"
             : "");
}

}  // namespace olivine
