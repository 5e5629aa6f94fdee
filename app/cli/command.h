// The subcommands of `olivine`. Each declares its flags on `app` and returns what runs it once they
// are parsed; that returns the exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace olivine {

using Command = std::function<int()>;

constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNoDevice = 3;
constexpr int kExitBadModel = 4;
constexpr int kExitNoMemory = 5;
constexpr int kExitDeviceLost = 6;
constexpr int kExitInterrupted = 130;

Command add_run(CLI::App& app);
Command add_chat(CLI::App& app);
Command add_logits(CLI::App& app);
Command add_tokenize(CLI::App& app);
Command add_bench(CLI::App& app);
Command add_devices(CLI::App& app);
Command add_info(CLI::App& app);
Command add_selftest(CLI::App& app);

}  // namespace olivine
