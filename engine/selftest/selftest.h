// Runs the cases on a device, rung by rung.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/device.h"

namespace olivine::selftest {

enum class Status : uint8_t { pass, fail, skip };

struct Outcome {
    std::string op, name;
    std::string variant;  // the rung, and "as GPU" where a software driver runs a GPU's workgroups
    Status status = Status::pass;
    std::string reason;   // of a failure or a skip
    std::string bundle;   // folder that holds a failed case, if one was written
    std::vector<std::string> shaders;
    double nmse = 0, max_abs = 0;
    double seconds = 0;   // on the device; 0 without timestamps
    double bytes = 0, flops = 0;
};

struct Options {
    std::optional<uint32_t> device;
    std::string cache_folder;       // of the pipeline cache; empty = none
    std::shared_ptr<ShaderFolder> shaders;  // to be tested in place of the embedded ones; or null
    std::string filter;             // ECMAScript regular expression on "op/variant/name"; empty = all
    std::vector<std::string> rungs; // "tier0" and names of rungs; empty = all
    bool quick = false;             // a few of each
    bool large = false;             // on software drivers too, products that take seconds there
    uint32_t seed = 1;
    std::string bundles;            // folder that failures are written to; empty = none
    // Told before each case; false stops.
    std::function<bool(size_t done, size_t total, const Outcome& next)> progress;
};

// Names that Options::rungs takes: "tier0", then every rung.
std::vector<std::string> rung_names();

// Throws bad_input for a filter or rung that is none and for a shader that does not compile,
// no_device, device_lost, cancelled.
std::vector<Outcome> run(const Options& options);

// Runs a failed case again as its bundle has it: the same SPIR-V on the same bytes, on any device.
// With Options::shaders, the shaders of that folder on the same bytes. Throws bad_file.
Outcome replay(const std::string& folder, const Options& options);

}  // namespace olivine::selftest
