// olivine selftest: every shader, shape and variant against references in double.
#include "engine/selftest/selftest.h"

#include <filesystem>
#include <fstream>
#include <memory>

#include "app/cli/command.h"
#include "app/cli/output.h"
#include "app/cli/progress.h"
#include "app/cli/selftest_report.h"
#include "app/cli/session.h"
#include "app/platform.h"
#include "engine/error.h"
#include "engine/shader_folder.h"

namespace olivine {
namespace {

using selftest::Outcome;
using selftest::Status;

struct SelftestFlags : Flags {
    selftest::Options options;
    std::string json, junit, replay;
};

void save(const char* flag, const std::string& path, const std::string& text) {
    if (path == "-") {
        put(text);
        return;
    }
    std::ofstream file(path, std::ios::binary);
    file << text;
    if (!file.flush())
        fail(Fault::bad_input, "%s: %s cannot be written.", flag, path.c_str());
}

// Before the cases run, which may take minutes.
void check_writable(const char* flag, const std::string& path) {
    if (!path.empty() && path != "-" && !std::ofstream(path, std::ios::app))
        fail(Fault::bad_input, "%s: %s cannot be written.", flag, path.c_str());
}

void parse_rungs(const std::string& text, std::vector<std::string>& rungs) {
    const std::vector<std::string> known = selftest::rung_names();
    for (size_t at = 0; at <= text.size();) {
        const size_t comma = std::min(text.find(',', at), text.size());
        rungs.push_back(text.substr(at, comma - at));
        if (std::find(known.begin(), known.end(), rungs.back()) == known.end()) {
            std::string list;
            for (const std::string& each : known)
                list += (list.empty() ? "" : ", ") + each;
            fail_usage("--rungs: there is no rung '%s' (there are %s).", rungs.back().c_str(),
                       list.c_str());
        }
        at = comma + 1;
    }
}

DeviceInfo device_info(const SelftestFlags& flags) {
    DeviceOptions options = device_options(flags);
    options.cache_folder.clear();
    return Device(options).info();
}

int replay(const SelftestFlags& flags) {
    const Outcome outcome = selftest::replay(flags.replay, flags.options);
    put(table_text({outcome}));
    return outcome.status == Status::pass ? kExitDone : kExitFailed;
}

std::vector<Outcome> run_cases(selftest::Options options) {
    ProgressBar bar("selftest");
    options.progress = [&](size_t done, size_t total, const Outcome& next) {
        bar.show(format_text("%zu of %zu  %s/%s/%s", done, total, next.op.c_str(),
                             next.variant.c_str(), next.name.c_str()));
        return !platform::interrupted();
    };
    return selftest::run(options);
}

int run(SelftestFlags& flags) {
    if (flags.json == "-" && flags.junit == "-")
        fail_usage("--json and --junit cannot both be standard output.");
    flags.options.device = flags.device;
    flags.options.cache_folder = platform::cache_folder();
    flags.options.shaders = open_shader_folder(flags.shader_dir);
    const DeviceInfo info = device_info(flags);
    note("testing " + info.name + " (" + info.driver + ").");
    if (!flags.replay.empty())
        return replay(flags);

    check_writable("--json", flags.json);
    check_writable("--junit", flags.junit);
    platform::watch_interrupts();
    const std::vector<Outcome> outcomes = run_cases(flags.options);
    if (!flags.json.empty())
        save("--json", flags.json, json_text(outcomes, info));
    if (!flags.junit.empty())
        save("--junit", flags.junit, junit_text(outcomes, info));
    if (flags.json != "-" && flags.junit != "-")
        put(table_text(outcomes));
    size_t passed = 0, failed = 0, skipped = 0;
    for (const Outcome& outcome : outcomes) {
        passed += outcome.status == Status::pass;
        failed += outcome.status == Status::fail;
        skipped += outcome.status == Status::skip;
    }
    const std::string sum =
        format_text("%zu passed, %zu failed, %zu skipped", passed, failed, skipped);
    if (flags.json != "-" && flags.junit != "-")
        put(sum + "\n");
    else
        note(sum);
    if (passed + failed == 0)
        fail(Fault::bad_input, skipped > 0 ? "Every case is skipped."
                                           : "No case fits the filter and the rungs.");
    return failed == 0 ? kExitDone : kExitFailed;
}

}  // namespace

Command add_selftest(CLI::App& app) {
    const auto flags = std::make_shared<SelftestFlags>();
    selftest::Options& options = flags->options;
    options.bundles = "selftest-failures";
    const auto text = [&](const char* name, const char* value, const char* help, std::string& to) {
        return add_text(app, name, value, help, [name, &to](const std::string& given) {
            if (given.empty())
                fail_usage("%s is empty.", name);
            to = given;
        });
    };
    text("--filter", "RE", "Cases whose \"operation/rung/case\" the regular expression finds",
         options.filter);
    add_text(app, "--rungs", "RUNG,...", "These rungs alone; \"tier0\" is the one below all",
             [flags](const std::string& given) { parse_rungs(given, flags->options.rungs); });
    app.add_flag("--quick", options.quick, "A few cases of each operation");
    app.add_flag("--large", options.large,
                 "Also, on a software driver, the shapes of large models, which take it minutes");
    add_text(app, "--seed", "S", "Other random inputs; default: 1", [flags](const std::string& given) {
        flags->options.seed = static_cast<uint32_t>(parse_count("--seed", given, 0, UINT32_MAX));
    });
    text("--json", "FILE", "Write a JSON list of all cases; - is standard output", flags->json);
    text("--junit", "FILE", "Write all cases in JUnit's format; - is standard output", flags->junit);
    text("--bundles", "FOLDER",
         "Where failed cases are written, each with all it needs to be repeated; default: "
         "selftest-failures",
         options.bundles);
    text("--replay", "BUNDLE", "Repeat a failed case from its folder, on any device", flags->replay);
    add_text(app, "--device", "N", "The device, numbered as `olivine devices` does; default: the best",
             [flags](const std::string& given) {
                 flags->device = static_cast<uint32_t>(parse_count("--device", given, 0, 1023));
             });
    add_shader_flag(app, *flags);
    return [flags] { return run(*flags); };
}

}  // namespace olivine
