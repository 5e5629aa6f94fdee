#include "app/cli/session.h"

#include "app/cli/output.h"
#include "app/cli/pictures.h"
#include "app/cli/progress.h"
#include "app/platform.h"
#include "engine/shader_folder.h"

namespace olivine {
namespace {

// Shows a bar while a model is loaded.
Progress loading(const std::string& model) {
    const auto bar = std::make_shared<ProgressBar>("loading " + model);
    return [=](uint64_t done, uint64_t total) {
        const bool stopped = platform::interrupted();
        bar->show_bytes(done, total);
        if (stopped || done == total)
            bar->clear();
        return !stopped;
    };
}

}  // namespace

DeviceOptions device_options(const Flags& flags) {
    DeviceOptions options;
    options.index = flags.device;
    options.memory_budget = flags.vram_budget;
    options.disabled = flags.disabled;
    options.precision = flags.precision;
    options.deterministic = flags.deterministic;
    options.rebuilt = [] {
        note("the device was lost; it has been set up anew and the answer goes on.");
    };
    options.cache_folder = platform::cache_folder();
    options.shaders = open_shader_folder(flags.shader_dir);
    return options;
}

std::unique_ptr<TraceFile> open_trace(const Flags& flags) {
    return flags.trace.empty() ? nullptr : std::make_unique<TraceFile>(flags.trace);
}

SessionOptions session_options(const Flags& flags, const TraceFile* trace) {
    SessionOptions options;
    options.model = flags.model;
    options.mmproj = flags.mmproj;
    options.draft = flags.draft;
    options.device = device_options(flags);
    options.context = flags.context;
    options.pictures = !flags.images.empty();
    options.as_needed = flags.as_needed;
    if (trace)
        options.trace = trace->trace();
    options.longer = " (--ctx)";
    options.tell = [](const std::string& text) { note(text); };
    if (flags.verbose)
        options.detail = options.tell;
    options.on_device = [verbose = flags.verbose](const DeviceInfo& device) {
        if (device.type == "cpu")
            note("running on the CPU through the software Vulkan driver " + device.driver + ".");
        else if (verbose)
            note("running on " + device.name + " (" + device.driver + ").");
    };
    options.progress = loading;
    if (options.pictures)
        options.accept = [&flags](const Checkpoint& checkpoint) {
            require_vision(flags, checkpoint.config());
        };
    return options;
}

}  // namespace olivine
