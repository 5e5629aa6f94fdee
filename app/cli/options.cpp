#include "app/cli/options.h"

#include <cctype>
#include <charconv>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <random>

#include "engine/error.h"

namespace olivine {
namespace {

constexpr DataType kTypes[] = {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0,
                               DataType::q4_0};

KvType parse_kv(const std::string& text) {
    for (const KvType type : {KvType::f32, KvType::f16, KvType::q8_0})
        if (text == name(type))
            return type;
    fail_usage("--kv is '%s'; it is f32, f16 or q8_0.", text.c_str());
}

Precision parse_precision(const std::string& text) {
    if (text == "f32")
        return Precision::f32;
    if (text == "auto")
        return Precision::automatic;
    fail_usage("--precision is '%s'; it is f32 or auto.", text.c_str());
}

RungSet parse_rungs(const std::string& text) {
    try {
        return RungSet::parse(text);
    } catch (const Error& error) {  // on the command line an unknown name is wrong usage
        throw UsageError("--disable: " + std::string(error.what()));
    }
}

DataType parse_type(const std::string& text) {
    for (const DataType type : kTypes)
        if (text == lower_name(type) || text == name(type))
            return type;
    fail_usage("--type is '%s'; it is one of f32, f16, bf16, q8_0 and q4_0.", text.c_str());
}

void set_preset(Synthetic& synthetic, const std::string& text) {
    synthetic.config = preset(text);
    synthetic.name = text;
    if (synthetic.config)
        return;
    std::string known;
    for (const std::string_view each : preset_names())
        known += (known.empty() ? "" : ", ") + std::string(each);
    fail_usage("--synthetic is '%s'; the sizes are %s.", text.c_str(), known.c_str());
}

}  // namespace

void fail_usage(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char text[1024];
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    throw UsageError(text);
}

CLI::Option* add_text(CLI::App& app, const std::string& names, const std::string& value_name,
                      const std::string& help, std::function<void(const std::string&)> take) {
    // Not a std::string option: the library would take some texts, such as "{}", for lists.
    const CLI::callback_t callback = [take = std::move(take)](const CLI::results_t& values) {
        take(values.front());
        return true;
    };
    return app.add_option(names, callback, help)
        ->type_name(value_name)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void add_model_flag(CLI::App& app, Flags& flags) {
    add_text(app, "-m,--model", "MODEL",
             "A Hugging Face folder or a .gguf file; without it the built-in model",
             [&](const std::string& text) {
                 if (text.empty())
                     fail_usage("-m is empty; it is a folder or a .gguf file.");
                 flags.model = text;
             });
    add_text(app, "--mmproj", "FILE",
             "A .gguf model's picture encoder; without it the mmproj*.gguf beside the model that "
             "fits; none: no pictures",
             [&](const std::string& text) {
                 if (text.empty())
                     fail_usage("--mmproj is empty; it is a .gguf file.");
                 flags.mmproj = text;
             })
        ->needs(app.get_option("-m"));
}

void add_verbose_flag(CLI::App& app, Flags& flags) {
    app.add_flag("-v,--verbose", flags.verbose, "Say on standard error what is done and how fast");
}

void add_budget_flag(CLI::App& app, Flags& flags) {
    add_text(
        app, "--vram-budget", "BYTES", "Device memory to take at most; K, M and G are 1024-based",
        [&](const std::string& text) { flags.vram_budget = parse_bytes("--vram-budget", text); });
}

void add_device_flags(CLI::App& app, Flags& flags) {
    add_text(app, "--device", "N",
             "The device, numbered as `olivine devices` does; default: the best",
             [&](const std::string& text) {
                 flags.device = static_cast<uint32_t>(parse_count("--device", text, 0, 1023));
             });
    add_budget_flag(app, flags);
    add_text(app, "--disable", "RUNG,...", "Switch off what the device can do beyond the least",
             [&](const std::string& text) { flags.disabled = parse_rungs(text); });
    add_text(app, "--precision", "f32|auto",
             std::string("Exact arithmetic, or the fastest that the device has; default: ") +
                 (flags.precision == Precision::f32 ? "f32" : "auto"),
             [&](const std::string& text) { flags.precision = parse_precision(text); });
    app.add_flag("--deterministic", flags.deterministic,
                 "The same bits for a token, whatever runs beside it; slower, and in f32 as with "
                 "--precision f32");
    add_shader_flag(app, flags);
    add_text(app, "--trace", "FILE",
             "Write there what ran when, for chrome://tracing or ui.perfetto.dev",
             [&](const std::string& text) {
                 if (text.empty())
                     fail_usage("--trace is empty; it is a file.");
                 flags.trace = text;
             });
}

void add_shader_flag(CLI::App& app, Flags& flags) {
    add_text(app, "--shader-dir", "FOLDER",
             "A copy of shaders/: what differs there from the build is compiled and used",
             [&](const std::string& text) {
                 if (text.empty())
                     fail_usage("--shader-dir is empty; it is a folder.");
                 flags.shader_dir = text;
             });
}

void add_context_flags(CLI::App& app, Flags& flags) {
    add_text(app, "--ctx", "N", "Tokens that the context holds; default: the model's, at most 8192",
             [&](const std::string& text) {
                 flags.context.context =
                     static_cast<uint32_t>(parse_count("--ctx", text, 1, kMostPositions));
             });
    add_text(app, "--kv", "f32|f16|q8_0",
             std::string("How keys and values are kept; default: ") + name(flags.context.kv),
             [&](const std::string& text) { flags.context.kv = parse_kv(text); });
}

void add_answer_flags(CLI::App& app, Flags& flags) {
    constexpr uint32_t kDrafts = 7;  // with the drawn id, Linear::kMaxDecodeTokens
    add_text(app, "--speculate", "off|lookup",
             "Guess the next words from what the text has had before, and check them in one step; "
             "default: off",
             [&](const std::string& text) {
                 if (text != "off" && text != "lookup")
                     fail_usage("--speculate is '%s'; it is off or lookup.", text.c_str());
                 flags.context.drafts = text == "off" ? 0 : kDrafts;
             });
    add_text(app, "--draft", "MODEL",
             "A smaller model with the same vocabulary that guesses the next words; default: none",
             [&](const std::string& text) {
                 if (text.empty())
                     fail_usage("--draft is empty; it is a folder or a .gguf file.");
                 flags.draft = text;
                 flags.context.drafts = kDrafts;
             })
        ->excludes(app.get_option("--speculate"));
    SamplerOptions& sampler = flags.sampler;
    add_text(app, "-n,--max-tokens", "N", "Tokens of an answer at most; default: no limit",
             [&](const std::string& text) {
                 flags.max_tokens =
                     static_cast<uint32_t>(parse_count("-n", text, 1, kMostPositions));
             });
    add_text(
        app, "--temp", "T", "Temperature, 0 = always the likeliest token; default: 1.0",
        [&](const std::string& text) { sampler.temperature = parse_real("--temp", text, 0, 100); });
    add_text(app, "--top-k", "K", "Draw from the K likeliest tokens, 0 = from all; default: 64",
             [&](const std::string& text) {
                 sampler.top_k = static_cast<uint32_t>(parse_count("--top-k", text, 0, UINT32_MAX));
             });
    add_text(app, "--top-p", "P", "Draw from the likeliest tokens that sum up to P; default: 0.95",
             [&](const std::string& text) { sampler.top_p = parse_real("--top-p", text, 0, 1); });
    add_text(app, "--min-p", "P", "Leave out tokens below P of the likeliest one's; default: 0",
             [&](const std::string& text) { sampler.min_p = parse_real("--min-p", text, 0, 1); });
    add_text(app, "--repeat-penalty", "R", "Divides the logits of tokens seen; default: 1 = none",
             [&](const std::string& text) {
                 sampler.repeat_penalty = parse_real("--repeat-penalty", text, 0.01, 100);
             });
    add_text(
        app, "--seed", "S", "The same seed gives the same text; default: random",
        [&](const std::string& text) { flags.seed = parse_count("--seed", text, 0, UINT64_MAX); });
    add_text(app, "--system", "TEXT", "What the model is told before the conversation",
             [&](const std::string& text) { flags.system = text; });
    const CLI::callback_t stops = [&](const CLI::results_t& texts) {
        for (const std::string& text : texts)
            if (text.empty())
                fail_usage("--stop is empty; it is a text that ends an answer.");
        flags.stop = texts;
        return true;
    };
    app.add_option("--stop", stops, "A text that ends an answer; may be given several times")
        ->type_name("TEXT")
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_synthetic_flags(CLI::App& app, Synthetic& synthetic) {
    CLI::Option* size = add_text(
        app, "--synthetic", "SIZE",
        "A random model of a published size: 270m, 1b, 4b, 12b, 27b, gemma2-2b, gemma2-9b, "
        "gemma2-27b",
        [&](const std::string& text) { set_preset(synthetic, text); });
    size->excludes(app.get_option("-m"));
    add_text(app, "--type", "TYPE", "Its weights: f32, f16, bf16, q8_0, q4_0; default: q4_0",
             [&](const std::string& text) { synthetic.type = parse_type(text); })
        ->needs(size);
}

ChatOptions Flags::chat_options() const {
    ChatOptions options;
    options.sampler = sampler;
    // 32 bits are easy to type again.
    options.sampler.seed = seed ? *seed : std::random_device()();
    options.max_tokens = max_tokens;
    options.system = system;
    options.stop = stop;
    options.pan_and_scan = pan_and_scan;
    options.shift = shift;
    return options;
}

uint64_t parse_count(const char* flag, const std::string& text, uint64_t least, uint64_t most) {
    uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stopped != end || value < least || value > most)
        fail_usage("%s is '%s'; it is a whole number from %" PRIu64 " to %" PRIu64 ".", flag,
                   text.c_str(), least, most);
    return value;
}

namespace {

// The number that begins text, and what follows it; negative where there is none.
double leading_number(const std::string& text, std::string_view& rest) {
    double value = -1;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, value);
    rest = {stopped, static_cast<size_t>(end - stopped)};
    return error == std::errc() ? value : -1;
}

}  // namespace

float parse_real(const char* flag, const std::string& text, double least, double most) {
    std::string_view rest;
    const double value = leading_number(text, rest);
    if (!rest.empty() || !(value >= least && value <= most))  // not a number fails both
        fail_usage("%s is '%s'; it is a number from %g to %g.", flag, text.c_str(), least, most);
    return static_cast<float>(value);
}

uint64_t parse_bytes(const char* flag, const std::string& text) {
    std::string_view rest;
    double value = leading_number(text, rest);
    if (rest.size() == 1) {
        const size_t power = std::string_view("KMG").find(
            static_cast<char>(std::toupper(static_cast<unsigned char>(rest[0]))));
        if (power != std::string_view::npos) {
            value *= static_cast<double>(uint64_t{1} << (10 * (power + 1)));
            rest = {};
        }
    }
    constexpr double kMost = 1125899906842624.0;  // 1 PiB: exact in a double, more than there is
    if (!rest.empty() || !(value >= 1 && value <= kMost))
        fail_usage(
            "%s is '%s'; it is a number of bytes from 1 to 1048576G, with K, M or G for KiB, "
            "MiB or GiB.",
            flag, text.c_str());
    return static_cast<uint64_t>(value);
}

std::vector<uint32_t> parse_list(const char* flag, const std::string& text, uint32_t least,
                                 uint32_t most) {
    std::vector<uint32_t> values;
    for (size_t at = 0;;) {
        const size_t comma = text.find(',', at);
        values.push_back(
            static_cast<uint32_t>(parse_count(flag, text.substr(at, comma - at), least, most)));
        if (comma == std::string::npos)
            return values;
        at = comma + 1;
    }
}

std::string lower_name(DataType type) {
    std::string text = name(type);
    for (char& c : text)
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

}  // namespace olivine
