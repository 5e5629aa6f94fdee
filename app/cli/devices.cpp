// olivine devices: what the Vulkan loader shows and what we make of it.
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/command.h"
#include "app/cli/output.h"
#include "app/cli/session.h"
#include "app/text.h"
#include "engine/device.h"
#include "engine/error.h"

namespace olivine {
namespace {

struct DevicesFlags : Flags {
    bool json = false;
};

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words)
        text += (text.empty() ? "" : ", ") + word;
    return text.empty() ? "none" : text;
}

// Rungs that are there and neither --disable nor OLIVINE_DISABLE switches off.
using Enabled = std::vector<std::string>;

nlohmann::ordered_json json_of(const DeviceInfo& device, bool picked, const Enabled& enabled) {
    const Capabilities& caps = device.capabilities;
    nlohmann::ordered_json json = {
        {"index", device.index},
        {"name", device.name},
        {"driver", device.driver},
        {"type", device.type},
        {"api_version", device.api_version},
        {"memory_bytes", device.memory_bytes},
        {"software", caps.software},
        {"subgroup_size", caps.subgroup_size},
        {"max_range_bytes", caps.max_range_bytes},
        {"rungs", caps.available.names()},
        {"copy_queue", device.copy_queue.has_value()},
        {"usable", device.unusable.empty()},
        {"reason", device.unusable},
        {"picked", picked},
    };
    if (picked)
        json["enabled"] = enabled;
    return json;
}

void print_device(const DeviceInfo& device, bool picked, const Enabled& enabled) {
    const auto row = [](const char* label, const std::string& text) {
        put(without_controls(format_text("   %-9s %s\n", label, text.c_str())));
    };
    put(without_controls(format_text("%u  %s%s\n", device.index, device.name.c_str(),
                                     picked ? "  (this one is taken)" : "")));
    row("driver", device.driver);
    row("type", device.type + (device.capabilities.software ? " (software)" : ""));
    row("Vulkan", device.api_version);
    row("memory", bytes_text(device.memory_bytes));
    row("rungs", joined(device.capabilities.available.names()));
    if (device.copy_queue)
        row("copies", "have a queue of their own");
    if (picked && enabled != device.capabilities.available.names())
        row("enabled", joined(enabled));
    if (!device.unusable.empty())
        row("unusable", device.unusable);
}

int devices(const DevicesFlags& flags) {
    const std::vector<DeviceInfo> list = list_devices();
    std::optional<uint32_t> picked;
    Enabled enabled;
    std::optional<Error> why_none;
    try {
        const Device device(device_options(flags));
        picked = device.info().index;
        enabled = device.capabilities().enabled.names();
    } catch (const Error& error) {  // the list is wanted all the more when none can be used
        why_none = error;
    }
    if (flags.json) {
        nlohmann::ordered_json json = nlohmann::ordered_json::array();
        for (const DeviceInfo& device : list)
            json.push_back(json_of(device, device.index == picked, enabled));
        put_json(json, true);
    } else {
        for (const DeviceInfo& device : list)
            print_device(device, device.index == picked, enabled);
    }
    if (why_none)
        throw *why_none;
    return kExitDone;
}

}  // namespace

Command add_devices(CLI::App& app) {
    const auto flags = std::make_shared<DevicesFlags>();
    app.add_flag("--json", flags->json, "Print a JSON list");
    add_device_flags(app, *flags);
    add_verbose_flag(app, *flags);
    return [=] { return devices(*flags); };
}

}  // namespace olivine
