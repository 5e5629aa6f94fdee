#include "options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>

namespace {

// The built-in model: beside the program or above it, as in a game's folder, or where it was built.
std::string built_in_model() {
    std::error_code none;
    std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe", none);
    while (folder.has_relative_path()) {
        folder = folder.parent_path();
        if (std::filesystem::exists(folder / "assets/pebble/config.json", none))
            return folder / "assets/pebble";
    }
    return OLIVINE_SAMPLE_MODEL;
}

}  // namespace

Options read_options(int count, char** arguments) {
    Options options;
    CLI::App app(
        "Three characters by a fire, who talk: a small game with libolivine inside.\n"
        "Keys: 1, 2, 3 or a click pick a character; Escape cancels what it says.");
    app.add_option("--model", options.model,
                   "A model's folder or .gguf file; default: the built-in one");
    app.add_option("--cache", options.cache_folder,
                   "A folder for compiled pipelines; default: none");
    app.add_option("--device", options.device,
                   "Number of the Vulkan device; default: the best one");
    app.add_option("--budget", options.budget_us,
                   "Microseconds of a frame for answers; default: 2000")
        ->check(CLI::Range(1, 1'000'000));
    app.add_option("--width", options.width, "Pixels; default: 1280")->check(CLI::Range(160, 8192));
    app.add_option("--height", options.height, "Pixels; default: 720")
        ->check(CLI::Range(120, 8192));
    CLI::Option* frames =
        app.add_option(
               "--frames", options.frames,
               "A measured run of so many frames, once all is loaded: a quarter of them idle, the "
               "others with all three talking, and some more until they have answered; "
               "default: until the window closes, headless 600")
            ->check(CLI::Range(4, 100'000'000));
    app.add_option("--samples", options.samples,
                   "Of a pixel, against jagged edges: 1 or 4; default: 4")
        ->check(CLI::IsMember({1, 4}));
    app.add_option("--seed", options.seed, "Of answers and of the scene; default: 1");
    app.add_flag("--headless", options.headless, "Without a window or display");
    app.add_flag("--json", options.json, "A report on standard output");
    app.add_option("--screenshot", options.screenshot, "A PNG file, for the last frame");
    app.add_flag("--validate", options.validate,
                 "With Vulkan's validation layer; its messages fail the run");
    try {
        app.parse(count, arguments);
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error) == 0 ? 0 : 2);
    }
    if (options.headless && frames->empty())
        options.frames = 600;
    if (options.model.empty())
        options.model = built_in_model();
    return options;
}
