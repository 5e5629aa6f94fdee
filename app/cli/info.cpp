// olivine info: sizes of a model and of what it needs, without a device.
#include <algorithm>
#include <cinttypes>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/command.h"
#include "app/cli/output.h"
#include "app/cli/session.h"
#include "app/text.h"
#include "engine/error.h"
#include "model/residency.h"

namespace olivine {
namespace {

struct InfoFlags : Flags {
    Synthetic synthetic;
    bool json = false;
};

struct Facts {
    std::string model;
    Config config;
    std::string type;
    ModelBytes bytes;
    Residency residency;           // within --vram-budget
    uint32_t longest_context = 0;  // that fits it
    uint32_t context = 0, max_chunk = 0;
    uint32_t global_layers = 0;
};

Facts facts_of(const InfoFlags& flags) {
    Facts facts;
    if (flags.synthetic.config) {
        facts.model = flags.synthetic.name;
        facts.config = *flags.synthetic.config;
        facts.type = lower_name(flags.synthetic.type);
        facts.bytes = model_bytes(facts.config, flags.synthetic.type, flags.context);
    } else {
        const auto checkpoint = Checkpoint::open(model_path(flags.model), flags.mmproj);
        facts.model = model_name(flags.model);
        facts.config = checkpoint->config();
        facts.type = lower_name(main_type(*checkpoint));
        facts.bytes = model_bytes(*checkpoint, flags.context);
    }
    const uint64_t budget = flags.vram_budget > 0 ? flags.vram_budget : UINT64_MAX;
    facts.residency = residency(facts.config, facts.bytes, flags.context, budget);
    facts.longest_context = longest_context(facts.config, facts.bytes, flags.context, budget);
    facts.context = context_length(facts.config, flags.context.context);
    facts.max_chunk = chunk_length(facts.config, flags.context);
    const auto& global = facts.config.global_layers;
    facts.global_layers = static_cast<uint32_t>(std::count(global.begin(), global.end(), true));
    return facts;
}

const char* family_name(const Config& config) {
    return config.family == Config::Family::gemma2 ? "gemma2" : "gemma3";
}

void print_json(const Facts& facts, KvType kv) {
    const Config& config = facts.config;
    put_json(
        {
            {"model", facts.model},
            {"family", family_name(config)},
            {"type", facts.type},
            {"params", parameter_count(config)},
            {"weight_bytes", facts.bytes.weights},
            {"kv_bytes", facts.bytes.kv},
            {"scratch_bytes", facts.bytes.scratch},
            {"total_bytes", facts.bytes.total()},
            {"resident_bytes", facts.residency.resident_bytes},
            {"streamed_bytes", facts.residency.streamed_bytes},
            {"least_bytes", facts.residency.least_bytes},
            {"longest_context", facts.longest_context},
            {"context", facts.context},
            {"max_context", config.max_positions},
            {"max_chunk", facts.max_chunk},
            {"kv", name(kv)},
            {"layers", config.num_layers},
            {"global_layers", facts.global_layers},
            {"sliding_window", config.sliding_window},
            {"hidden_size", config.hidden_size},
            {"intermediate_size", config.intermediate_size},
            {"heads", config.num_heads},
            {"kv_heads", config.num_kv_heads},
            {"head_dim", config.head_dim},
            {"vocab_size", config.vocab_size},
            {"vision", config.vision.has_value()},
            {"vision_params", vision_parameter_count(config)},
            {"vision_bytes", facts.bytes.vision},
            {"soft_tokens", config.mm_tokens_per_image},
        },
        true);
}

void print_table(const Facts& facts, KvType kv) {
    const Config& config = facts.config;
    const auto row = [](const char* label, const std::string& text) {
        put(without_controls(format_text("%-12s  %s\n", label, text.c_str())));
    };
    const auto size = [&](const char* label, uint64_t bytes, const std::string& what) {
        row(label, format_text("%10s  %18s bytes  %s", bytes_text(bytes).c_str(),
                               grouped_text(bytes).c_str(), what.c_str()));
    };
    row("model",
        facts.model + " (" + family_name(config) + (config.vision ? ", with vision)" : ")"));
    row("parameters", grouped_text(parameter_count(config)));
    row("layers", format_text("%u, of which %u see all and %u the last %u tokens",
                              config.num_layers, facts.global_layers,
                              config.num_layers - facts.global_layers, config.sliding_window));
    row("widths", format_text("%u hidden, %u in the MLP, %u heads on %u of %u values",
                              config.hidden_size, config.intermediate_size, config.num_heads,
                              config.num_kv_heads, config.head_dim));
    row("vocabulary", grouped_text(config.vocab_size));
    row("context", format_text("%u tokens (the model's: %u), prompts in chunks of %u",
                               facts.context, config.max_positions, facts.max_chunk));
    size("weights", facts.bytes.weights, facts.type);
    size("KV cache", facts.bytes.kv, name(kv));
    size("scratch", facts.bytes.scratch, "");
    size("in all", facts.bytes.total(), "");
    size("at least", facts.residency.least_bytes, "with weights streamed in every pass");
    if (facts.residency.streams) {
        size("resident", facts.residency.resident_bytes, "of the weights, within the budget");
        size("streamed", facts.residency.streamed_bytes,
             facts.residency.fits ? "of them" : "of them, which does not fit either");
    }
    if (facts.longest_context < config.max_positions)
        row("longest",
            facts.longest_context > 0
                ? format_text("a context of %u tokens fits the budget", facts.longest_context)
                : "no context fits the budget");
    if (const auto& vision = config.vision) {
        row("pictures",
            format_text("%u x %u pixels, %u tokens each; encoder of %s parameters, %u layers",
                        vision->image_size, vision->image_size, config.mm_tokens_per_image,
                        grouped_text(vision_parameter_count(config)).c_str(), vision->num_layers));
        size("", facts.bytes.vision, "from the first picture on");
    }
}

int info(const InfoFlags& flags) {
    const Facts facts = facts_of(flags);
    if (flags.json)
        print_json(facts, flags.context.kv);
    else
        print_table(facts, flags.context.kv);
    return kExitDone;
}

}  // namespace

Command add_info(CLI::App& app) {
    const auto flags = std::make_shared<InfoFlags>();
    add_model_flag(app, *flags);
    add_synthetic_flags(app, flags->synthetic);
    add_context_flags(app, *flags);
    add_budget_flag(app, *flags);
    app.add_flag("--json", flags->json, "Print a JSON object");
    add_verbose_flag(app, *flags);
    return [=] { return info(*flags); };
}

}  // namespace olivine
