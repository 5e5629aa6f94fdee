// The command `olivine`: reads flags, runs one subcommand, turns errors into exit codes.
#include <cstdio>
#include <new>

#include "app/cli/command.h"
#include "app/cli/options.h"
#include "app/cli/output.h"
#include "app/platform.h"
#include "engine/error.h"

namespace olivine {
namespace {

struct Subcommand {
    const char* name;
    const char* help;
    Command (*add)(CLI::App& app);
};

constexpr Subcommand kSubcommands[] = {
    {"run", "One answer to standard output", add_run},
    {"chat", "A conversation in the terminal", add_chat},
    {"logits", "Logits of token ids, to a .npy file", add_logits},
    {"tokenize", "Text to token ids", add_tokenize},
    {"bench", "How fast a model runs here", add_bench},
    {"selftest", "Every shader against references in double", add_selftest},
    {"devices", "What Vulkan devices are here and what they can do", add_devices},
    {"info", "Sizes of a model and of what it needs", add_info},
};

constexpr const char* kVersion = "olivine " OLIVINE_VERSION;

int exit_code(Fault fault) {
    switch (fault) {
    case Fault::bad_input: return kExitFailed;
    case Fault::bad_file: return kExitBadModel;
    case Fault::unsupported: return kExitBadModel;
    case Fault::no_device: return kExitNoDevice;
    case Fault::out_of_memory: return kExitNoMemory;
    case Fault::device_lost: return kExitDeviceLost;
    case Fault::cancelled: return kExitInterrupted;
    case Fault::internal: return kExitFailed;
    }
    return kExitFailed;
}

int usage_failure(const std::string& text, const std::string& command) {
    note(text);
    note("see " + command + " --help");
    return kExitUsage;
}

int main_command(int argc, char** argv) {
    CLI::App app("Runs Google's Gemma models on any GPU that speaks Vulkan.", "olivine");
    app.get_formatter()->column_width(28);
    app.set_version_flag("--version", kVersion, "Print the version and exit");
    app.set_help_flag("-h,--help", "Print this and exit");
    app.require_subcommand(1);
    std::vector<Command> commands;
    for (const Subcommand& each : kSubcommands) {
        CLI::App* sub = app.add_subcommand(each.name, each.help);
        sub->set_version_flag("--version", kVersion, "Print the version and exit");
        commands.push_back(each.add(*sub));
    }
    const auto chosen = [&]() -> std::string {
        const auto subs = app.get_subcommands();
        return subs.empty() ? "olivine" : "olivine " + subs.front()->get_name();
    };
    try {
        if (argc == 1) {
            std::fputs(app.help().c_str(), stderr);
            return kExitUsage;
        }
        app.parse(argc, argv);
    } catch (const CLI::Success& wanted) {  // --help, --version
        std::ostringstream text;
        app.exit(wanted, text, text);
        put(text.str());
        return kExitDone;
    } catch (const CLI::ParseError& error) {
        return usage_failure(error.what(), chosen());
    } catch (const UsageError& error) {
        return usage_failure(error.what(), chosen());
    }
    try {
        for (size_t i = 0; i < commands.size(); ++i)
            if (app.got_subcommand(kSubcommands[i].name))
                return commands[i]();
    } catch (const UsageError& error) {
        return usage_failure(error.what(), chosen());
    }
    return kExitUsage;
}

}  // namespace
}  // namespace olivine

int main(int argc, char** argv) {
    using namespace olivine;
    platform::start();
    try {
        return main_command(argc, argv);
    } catch (const Error& error) {
        note(error.what());
        return exit_code(error.fault());
    } catch (const std::bad_alloc&) {
        note("The machine's memory is used up.");
        return kExitNoMemory;
    } catch (const std::exception& error) {
        note(std::string("unexpected: ") + error.what());
        return kExitFailed;
    }
}
