// Flags that several subcommands share, and how values on the command line are read.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/capabilities.h"
#include "engine/data_type.h"
#include "model/chat.h"
#include "model/model.h"

namespace olivine {

// The command line is wrong: exit code 2.
class UsageError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Throws UsageError with a printf-formatted sentence.
[[noreturn]] void fail_usage(const char* format, ...) __attribute__((format(printf, 1, 2)));

struct Flags {
    std::string model;   // "" = the built-in one
    std::string draft;   // a smaller model that guesses; "" = none
    std::string mmproj;  // of a .gguf: its picture encoder's file; "" = the one beside it

    std::optional<uint32_t> device;
    uint64_t vram_budget = 0;  // bytes, 0 = what the device has
    RungSet disabled;
    Precision precision = Precision::automatic;
    bool deterministic = false;
    std::string shader_dir;  // "" = the environment's, or none
    std::string trace;       // "" = none
    bool verbose = false;
    bool as_needed = false;  // weights are read when the first pass needs them

    ContextOptions context;

    SamplerOptions sampler;
    std::optional<uint64_t> seed;  // none: random
    uint32_t max_tokens = 0;       // 0 = until the model ends or the context is full
    std::string system;
    std::vector<std::string> stop;

    std::vector<std::string> images;
    bool pan_and_scan = false;
    bool shift = false;  // --on-full, of chat

    ChatOptions chat_options() const;  // seed drawn where there is none
};

void add_model_flag(CLI::App& app, Flags& flags);    // -m --mmproj
void add_verbose_flag(CLI::App& app, Flags& flags);  // -v
void add_budget_flag(CLI::App& app, Flags& flags);   // --vram-budget
// --device --vram-budget --disable --precision --deterministic --shader-dir --trace
void add_device_flags(CLI::App& app, Flags& flags);
void add_shader_flag(CLI::App& app, Flags& flags);  // --shader-dir
void add_context_flags(CLI::App& app, Flags& flags);  // --ctx --kv
void add_answer_flags(CLI::App& app, Flags& flags);   // -n, sampling, --system --stop

// --synthetic and --type, of bench and info: a model of a published size without a file.
struct Synthetic {
    std::optional<Config> config;  // none: the model of -m
    std::string name;              // "4b"
    DataType type = DataType::q4_0;
};
void add_synthetic_flags(CLI::App& app, Synthetic& synthetic);

// An option whose value reaches `take` as it was typed.
CLI::Option* add_text(CLI::App& app, const std::string& names, const std::string& value_name,
                      const std::string& help, std::function<void(const std::string&)> take);

// All throw UsageError naming the flag, the value and the range.
uint64_t parse_count(const char* flag, const std::string& text, uint64_t least, uint64_t most);
float parse_real(const char* flag, const std::string& text, double least, double most);
uint64_t parse_bytes(const char* flag, const std::string& text);  // 512, 64K, 1.5G; 1024-based
std::vector<uint32_t> parse_list(const char* flag, const std::string& text, uint32_t least,
                                 uint32_t most);  // "128,512"

std::string lower_name(DataType type);  // "q4_0"

}  // namespace olivine
