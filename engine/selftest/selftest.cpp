#include "engine/selftest/selftest.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <regex>

#include "engine/error.h"
#include "engine/selftest/bundle.h"
#include "engine/selftest/cases.h"

namespace olivine::selftest {
namespace {

// One way to run a case: the rungs of its device.
struct Setting {
    std::string name;
    std::optional<Rung> top;  // none: tier 0
    bool as_gpu = false;      // on a software driver
};

RungSet rungs_of(const Setting& setting) {
    RungSet set;
    if (!setting.top)
        return set;
    set.set(Rung::subgroup);
    set.set(Rung::storage16, *setting.top >= Rung::storage16);
    set.set(*setting.top);
    return set;
}

std::vector<Setting> settings_for(bool software) {
    std::vector<Setting> list = {{"tier0", std::nullopt, false}};
    for (uint32_t i = 0; i < kRungs; ++i)
        list.push_back({name(static_cast<Rung>(i)), static_cast<Rung>(i), software && i > 0});
    if (software) {  // which runs a GPU's workgroups as well, besides those of its own
        list.push_back({"tier0 as GPU", std::nullopt, true});
        list.push_back({"subgroup as GPU", Rung::subgroup, true});
    }
    return list;
}

// A rung that runs once more, with a GPU's workgroups.
bool again(const Setting& setting) {
    return setting.as_gpu && setting.top.value_or(Rung::subgroup) == Rung::subgroup;
}

bool applies(const Case& c, const Setting& setting) {
    if (again(setting) && !c.wide)
        return false;
    if (!setting.top)
        return true;
    if (*setting.top == Rung::subgroup)
        return c.has_subgroup;
    if (*setting.top == Rung::storage16)
        return c.has_storage16;
    return std::find(c.rungs.begin(), c.rungs.end(), *setting.top) != c.rungs.end();
}

bool quick(const Case& c, const Setting& setting) {
    switch (c.quick) {
    case Quick::no: return false;
    case Quick::once:
        return !again(setting) &&
               (c.has_subgroup ? setting.top == Rung::subgroup : !setting.top);
    case Quick::rungs: return !again(setting);
    case Quick::all: return !again(setting) || setting.top;
    }
    return false;
}

// `allowed`: what the device has less the environment's OLIVINE_DISABLE.
std::string why_missing(const RungSet& available, const RungSet& allowed, const Setting& setting) {
    if (!setting.top || allowed.has(*setting.top))
        return {};
    if (available.has(*setting.top))
        return format_text("OLIVINE_DISABLE switches %s off", name(*setting.top));
    return format_text("the device has no %s", name(*setting.top));
}

DeviceOptions options_for(const Options& options, const Setting& setting) {
    DeviceOptions device;
    device.index = options.device;
    device.cache_folder = options.cache_folder;
    device.shaders = options.shaders;
    device.precision = Precision::automatic;
    device.as_gpu = setting.as_gpu || (setting.top && *setting.top > Rung::storage16);
    RungSet all;
    for (uint32_t i = 0; i < kRungs; ++i)
        all.set(static_cast<Rung>(i));
    device.disabled = all.without(rungs_of(setting));
    return device;
}

// A rung's shaders carry its name at the end.
bool ran_on(const std::vector<std::string>& shaders, Rung rung) {
    const std::string suffix = std::string("_") + name(rung);
    return std::any_of(shaders.begin(), shaders.end(), [&](const std::string& shader) {
        return shader.size() > suffix.size() &&
               shader.compare(shader.size() - suffix.size(), suffix.size(), suffix) == 0;
    });
}

// A device with its operations.
struct Bench {
    explicit Bench(const DeviceOptions& options) : device(options), ops(device) {}
    Device device;
    Ops ops;
    // Validation messages that are accounted for. What compiles ahead counts for the case that runs.
    uint64_t messages = device.validation_messages();
};

// A lost device, or a shader that does not compile: the next case would say the same.
bool ends_all(const Error& error) {
    return error.fault() == Fault::device_lost || error.fault() == Fault::bad_input;
}

// A case with its inputs on the device and its pipelines on their way.
struct Prepared {
    std::unique_ptr<Scene> scene;
    std::string failure;
    bool too_large = false;  // for the device's memory
};

Prepared prepare_case(const Case& c, Bench& bench, const Options& options) {
    Prepared prepared{std::make_unique<Scene>(bench.device, bench.ops, options.seed), {}};
    try {
        c.build(*prepared.scene);
        prepared.scene->compile();
    } catch (const Error& error) {
        if (ends_all(error))
            throw;
        prepared.failure = error.what();
        prepared.too_large = error.fault() == Fault::out_of_memory;
    }
    return prepared;
}

// The rung above storage16 that the setting is for, if it is.
std::optional<Rung> own_rung(const Setting& setting) {
    return setting.top && *setting.top > Rung::storage16 ? setting.top : std::nullopt;
}

void run_case(const Case& c, Prepared& prepared, const Setting& setting, Bench& bench,
              const Options& options, Outcome& outcome) {
    Scene& scene = *prepared.scene;
    outcome.reason = prepared.failure;
    const std::optional<Rung> rung = own_rung(setting);
    if (prepared.too_large || (rung && c.rung(bench.ops) != rung)) {
        outcome.status = Status::skip;
        if (!prepared.too_large)
            outcome.reason = format_text("the device cannot run it on %s", name(*rung));
        return;
    }
    Measured measured;
    try {
        measured.failure = prepared.failure;
        if (prepared.failure.empty())
            measured = scene.run();
        outcome.nmse = measured.nmse;
        outcome.max_abs = measured.max_abs;
        outcome.seconds = measured.seconds;
        outcome.bytes = scene.bytes();
        outcome.flops = scene.flops();
        outcome.reason = measured.failure;
        for (const Dispatch& dispatch : scene.dispatches())
            outcome.shaders.push_back(dispatch.shader);
        if (outcome.reason.empty() && rung && !ran_on(outcome.shaders, *rung))
            outcome.reason = format_text("it runs %s, not a shader of the rung",
                                         outcome.shaders.empty() ? "nothing"
                                                                 : outcome.shaders[0].c_str());
        const uint64_t messages = bench.device.validation_messages();
        if (outcome.reason.empty() && messages != bench.messages)
            outcome.reason = "the validation layers have something to say";
        bench.messages = messages;
    } catch (const Error& error) {
        if (ends_all(error))
            throw;
        outcome.reason = error.what();
    }
    if (outcome.reason.empty())
        return;
    outcome.status = Status::fail;
    if (!options.bundles.empty() && !scene.dispatches().empty())
        outcome.bundle = write_bundle(options.bundles, scene, outcome, measured, options.seed);
}

}  // namespace

std::vector<std::string> rung_names() {
    std::vector<std::string> names = {"tier0"};
    for (uint32_t i = 0; i < kRungs; ++i)
        names.emplace_back(name(static_cast<Rung>(i)));
    return names;
}

std::vector<Outcome> run(const Options& options) {
    const std::vector<std::string> known = rung_names();
    for (const std::string& rung : options.rungs)
        if (std::find(known.begin(), known.end(), rung) == known.end())
            fail(Fault::bad_input, "Rung '%s' does not exist.", rung.c_str());
    std::regex filter;
    try {
        filter = std::regex(options.filter);
    } catch (const std::regex_error& error) {
        fail(Fault::bad_input, "'%s' is not a regular expression.", options.filter.c_str());
    }

    DeviceOptions first;
    first.index = options.device;
    const Capabilities capabilities = Device(first).capabilities();
    const bool software = capabilities.software;
    first.precision = Precision::automatic;
    first.as_gpu = true;
    const RungSet allowed = Device(first).capabilities().enabled;

    struct Job {
        const Case* what;
        const Setting* how;
    };
    const std::vector<Case> cases = all_cases();
    const std::vector<Setting> settings = settings_for(software);
    std::vector<Job> jobs;
    std::vector<Outcome> outcomes;
    for (const Setting& setting : settings) {
        const std::string rung = setting.top ? name(*setting.top) : "tier0";
        if (!options.rungs.empty() &&
            std::find(options.rungs.begin(), options.rungs.end(), rung) == options.rungs.end())
            continue;
        const std::string missing = why_missing(capabilities.available, allowed, setting);
        std::vector<std::string> skipped;  // operations, each said once
        for (const Case& c : cases) {
            if (!applies(c, setting) || (options.quick && !quick(c, setting)) ||
                (software && !options.large && c.flops > kLargeFlops) ||
                !std::regex_search(c.op + "/" + setting.name + "/" + c.name, filter))
                continue;
            if (missing.empty()) {
                jobs.push_back({&c, &setting});
            } else if (std::find(skipped.begin(), skipped.end(), c.op) == skipped.end()) {
                skipped.push_back(c.op);
                outcomes.push_back({.op = c.op, .name = "all", .variant = setting.name,
                                    .status = Status::skip, .reason = missing});
            }
        }
    }

    // Drivers take longer to compile a pipeline than to run it, so those of the next cases compile
    // on the device's threads while one runs.
    constexpr size_t kAhead = 4;
    std::unique_ptr<Bench> bench;
    std::deque<Prepared> ahead;  // those of jobs i, i + 1, ...: all on one device
    for (size_t i = 0; i < jobs.size(); ++i) {
        const Job& job = jobs[i];
        Outcome outcome{.op = job.what->op, .name = job.what->name, .variant = job.how->name};
        if (options.progress && !options.progress(i, jobs.size(), outcome))
            fail(Fault::cancelled, "The self-test is stopped on request.");
        if (ahead.empty()) {
            bench.reset();
            bench = std::make_unique<Bench>(options_for(options, *job.how));
        }
        for (size_t next = i + ahead.size();
             ahead.size() < kAhead && next < jobs.size() && jobs[next].how == job.how; ++next) {
            Prepared prepared = prepare_case(*jobs[next].what, *bench, options);
            if (prepared.too_large && !ahead.empty())
                break;  // until it is alone
            ahead.push_back(std::move(prepared));
        }
        run_case(*job.what, ahead.front(), *job.how, *bench, options, outcome);
        ahead.pop_front();
        outcomes.push_back(std::move(outcome));
    }
    return outcomes;
}

Outcome replay(const std::string& folder, const Options& options) {
    DeviceOptions everything;
    everything.index = options.device;
    everything.shaders = options.shaders;
    everything.precision = Precision::automatic;
    everything.as_gpu = true;  // the bundle says what runs; here, all must be allowed to
    Device device(everything);
    return Bundle(device, folder).run();
}

}  // namespace olivine::selftest
