// olivine bench: how fast a model runs here, and what a token costs.
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "app/cli/bench_compare.h"
#include "app/cli/bench_operations.h"
#include "app/cli/bench_vision.h"
#include "app/cli/command.h"
#include "app/cli/output.h"
#include "app/cli/pictures.h"
#include "app/cli/progress.h"
#include "app/cli/session.h"
#include "app/platform.h"
#include "app/text.h"
#include "engine/error.h"
#include "model/context.h"

namespace olivine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kFirstPrompt = 16;    // tokens of the prompt that first_token_s is measured with
constexpr uint32_t kWarmSteps = 2;       // the first decode step records its plan
constexpr double kPatienceSeconds = 10;  // a measurement that takes longer is not repeated

struct BenchFlags : Flags {
    Synthetic synthetic;
    std::vector<uint32_t> prompts{128, 512};
    std::vector<uint32_t> answers{32};
    std::vector<uint32_t> depths{0};
    uint32_t repetitions = 3;
    bool image = false;        // a picture too
    bool vision_only = false;  // a picture alone, without the text's weights
    bool json = false;
    std::vector<std::string> compare;  // two reports: nothing is measured
};

struct Prefill {
    uint32_t tokens;
    double tokens_per_s;
};

struct Decode {
    uint32_t tokens, depth;
    double tokens_per_s;
};

// What warm decode steps have cost, all together.
struct Costs {
    uint64_t steps = 0, recordings = 0, descriptor_updates = 0, allocations = 0, submissions = 0,
             streamed = 0;
    double host_seconds = 0;

    double per_token(double sum) const { return steps > 0 ? sum / static_cast<double>(steps) : 0; }
};

struct Results {
    std::string model, type;
    uint64_t params = 0;
    std::vector<Prefill> prefill;
    std::vector<Decode> decode;
    uint32_t sequences = 1;
    double load_s = 0, first_token_s = 0;
    uint64_t device_bytes_peak = 0, host_bytes_peak = 0;
    uint32_t dispatches_per_token = 0;
    Costs costs;
    uint64_t bytes_per_token = 0;
    uint64_t resident_bytes = 0, streamed_bytes = 0;  // of the weights
    uint64_t streamed_bytes_per_token = 0;            // that a decode step has copied to the device
    double stream_bound_s = 0;                        // what copying alone takes in a step
    std::vector<OperationCost> operations;  // of a decode step at the first depth
    double copy_gb_per_s = 0;
    std::optional<VisionResults> vision;
};

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// As many as the longest measurement has in the context.
uint32_t positions_needed(const BenchFlags& flags) {
    const auto most = [](const std::vector<uint32_t>& list) {
        return *std::max_element(list.begin(), list.end());
    };
    return std::max({most(flags.prompts), kFirstPrompt + 1,
                     most(flags.depths) + most(flags.answers) + kWarmSteps + 2});
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t half = values.size() / 2;
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Bytes that one decode step reads: all weights once, and the keys and values that are seen at a
// context of `length` tokens. An untied embedding and its norms' few rows do not count.
uint64_t bytes_read(const Model& model, KvType kv, uint32_t sequences, uint32_t length) {
    const Config& config = model.config();
    uint64_t bytes = model.weights().head().device_bytes();
    for (const LayerWeights& layer : model.weights().layers)
        bytes += layer.qkv_proj.device_bytes() + layer.o_proj.device_bytes() +
                 layer.gate_up_proj.device_bytes() + layer.down_proj.device_bytes();
    const HeadShape shape{config.num_heads, config.num_kv_heads, config.head_dim};
    const uint64_t token_bytes = uint64_t{2} * config.num_kv_heads * kv_head_bytes(kv, shape);
    for (uint32_t i = 0; i < config.num_layers; ++i)
        bytes += token_bytes * sequences *
                 (config.global_layers[i] ? length : std::min(length, config.sliding_window));
    return bytes;
}

Session open(const BenchFlags& flags, const TraceFile* trace) {
    SessionOptions options = session_options(flags, trace);
    options.tokenizer = false;
    const Synthetic& synthetic = flags.synthetic;
    return synthetic.config ? open_session(options, *synthetic.config, synthetic.type) : open_session(options);
}

class Bench {
public:
    explicit Bench(const BenchFlags& flags)
        : flags_(flags),
          trace_(open_trace(flags)),
          session_(open(flags, trace_.get())),
          context_(*session_.model, flags.context) {}

    Results run();
    const Device& device() const { return *session_.device; }

private:
    std::vector<int32_t> random_tokens(uint32_t count);
    void prefill(uint32_t tokens, uint32_t sequence = 0);
    double measure_prefill(uint32_t tokens);
    double measure_decode(uint32_t tokens, uint32_t depth);
    void begin_decode(uint32_t depth);
    void decode_steps(uint32_t tokens);
    std::vector<OperationCost> measure_operations(uint32_t depth);
    template <typename Measure>
    double repeat(Measure measure);

    const BenchFlags& flags_;
    std::unique_ptr<TraceFile> trace_;
    Session session_;
    Context context_;
    std::mt19937 random_{1};
    Costs costs_;
};

std::vector<int32_t> Bench::random_tokens(uint32_t count) {
    std::vector<int32_t> tokens(count);
    for (int32_t& token : tokens)
        token = static_cast<int32_t>(random_() % session_.model->config().vocab_size);
    return tokens;
}

// Runs random tokens after what the context holds; the last one's logits stay on the device.
void Bench::prefill(uint32_t tokens, uint32_t sequence) {
    const std::vector<int32_t> ids = random_tokens(tokens);
    for (uint32_t done = 0; done < tokens;) {
        const uint32_t count = std::min(tokens - done, context_.pace());
        context_.prefill(sequence, std::span(ids).subspan(done, count), done + count == tokens,
                         platform::interrupted);
        done += count;
    }
}

double Bench::measure_prefill(uint32_t tokens) {
    context_.rewind(0, 0);
    const Clock::time_point start = Clock::now();
    prefill(tokens);
    return seconds_since(start);
}

void Bench::decode_steps(uint32_t tokens) {
    for (uint32_t i = 0; i < tokens; ++i) {
        if (platform::interrupted())
            fail(Fault::cancelled, "Stopped.");
        context_.step(tokens - i);
    }
}

void Bench::begin_decode(uint32_t depth) {
    for (const uint32_t sequence : context_.decoding())
        context_.leave(sequence);
    for (uint32_t sequence = 0; sequence < flags_.context.sequences; ++sequence) {
        context_.rewind(sequence, 0);
        if (depth > 0)
            context_.pretend(sequence, depth);
        prefill(1, sequence);
    }
    for (uint32_t sequence = 0; sequence < flags_.context.sequences; ++sequence)
        context_.join(sequence, flags_.sampler);
    decode_steps(kWarmSteps);
}

// In a run of their own: their timestamps keep operations apart that else overlap.
std::vector<OperationCost> Bench::measure_operations(uint32_t depth) {
    Device& device = *session_.device;
    const std::shared_ptr<Trace> wanted = device.trace();  // --trace
    if (!wanted)
        device.set_trace(std::make_shared<Trace>());
    context_.record_anew();
    begin_decode(depth);
    const uint32_t steps = std::min(flags_.answers.front(), 8u);
    const size_t before = device.trace()->spans().size();
    decode_steps(steps);
    const std::vector<Span> spans = device.trace()->spans();
    device.set_trace(wanted);
    context_.record_anew();
    return operation_costs(std::span(spans).subspan(before), steps);
}

double Bench::measure_decode(uint32_t tokens, uint32_t depth) {
    begin_decode(depth);

    const Counters& counters = session_.device->counters();
    const auto count = [&](int64_t sign) {
        costs_.recordings += sign * counters.recordings;
        costs_.descriptor_updates += sign * counters.descriptor_updates;
        costs_.allocations += sign * counters.allocations;
        costs_.submissions += sign * counters.submissions;
        costs_.host_seconds += static_cast<double>(sign) * context_.host_seconds();
        if (const WeightStream* stream = session_.model->stream())
            costs_.streamed += sign * stream->bytes_copied();
    };
    count(-1);
    const Clock::time_point start = Clock::now();
    decode_steps(tokens);
    const double seconds = seconds_since(start);
    count(+1);
    costs_.steps += tokens;
    return seconds;
}

// The median. The first run, which compiles and records, counts only where a run takes long.
template <typename Measure>
double Bench::repeat(Measure measure) {
    const double first = measure();
    if (first > kPatienceSeconds)
        return first;
    std::vector<double> seconds;
    double sum = 0;
    while (seconds.size() < flags_.repetitions && sum < kPatienceSeconds) {
        seconds.push_back(measure());
        sum += seconds.back();
    }
    return median(seconds);
}

Results Bench::run() {
    Results results;
    const Config& config = session_.model->config();
    results.model = flags_.synthetic.config ? flags_.synthetic.name : model_name(flags_.model);
    results.type = lower_name(flags_.synthetic.config ? flags_.synthetic.type
                                                      : main_type(*session_.checkpoint));
    results.params = parameter_count(config);
    results.sequences = flags_.context.sequences;
    results.load_s = session_.load_seconds;

    const uint32_t needed = positions_needed(flags_);
    if (needed > context_.context())
        fail(Fault::bad_input, "The measurements take %u tokens, the context holds %u.", needed,
             context_.context());
    prefill(kFirstPrompt);
    context_.join(0, flags_.sampler);
    results.first_token_s = platform::process_seconds();

    ProgressBar bar("measuring");
    for (const uint32_t tokens : flags_.prompts) {
        bar.show("a prompt of " + std::to_string(tokens) + " tokens");
        const double seconds = repeat([&] { return measure_prefill(tokens); });
        results.prefill.push_back({tokens, tokens / seconds});
    }
    for (const uint32_t depth : flags_.depths)
        for (const uint32_t tokens : flags_.answers) {
            bar.show(format_text("%u tokens after %u", tokens, depth));
            const double seconds = repeat([&] { return measure_decode(tokens, depth); });
            results.decode.push_back({tokens, depth, flags_.context.sequences * tokens / seconds});
        }
    bar.show("each operation");
    results.dispatches_per_token = context_.dispatches_per_step();
    results.operations = measure_operations(flags_.depths.front());
    if (flags_.image) {
        Model& model = *session_.model;
        results.vision =
            measure_vision(model.device(), model.ops(), model.vision(), config,
                           flags_.synthetic.config ? flags_.synthetic.type
                                                   : main_type(*session_.checkpoint),
                           flags_.repetitions, bar);
    }
    results.device_bytes_peak = session_.device->bytes_peak();
    results.host_bytes_peak = platform::peak_memory_bytes();
    results.copy_gb_per_s = copy_gb_per_s(*session_.device);  // its buffers are none of the model's
    results.costs = costs_;
    results.resident_bytes = session_.model->residency().resident_bytes;
    results.streamed_bytes = session_.model->residency().streamed_bytes;
    results.streamed_bytes_per_token =
        static_cast<uint64_t>(costs_.per_token(static_cast<double>(costs_.streamed)));
    if (WeightStream* stream = session_.model->stream()) {
        stream->pass_seconds();  // from here on as each pass finds it
        results.stream_bound_s = stream->pass_seconds();
    }
    results.bytes_per_token =
        bytes_read(*session_.model, flags_.context.kv, flags_.context.sequences,
                   flags_.depths.front() + 1 + kWarmSteps + (flags_.answers.front() + 1) / 2);
    return results;
}

void print_json(const Results& results, const DeviceInfo& device) {
    const Costs& costs = results.costs;
    const auto per_token = [&](uint64_t sum) { return costs.per_token(static_cast<double>(sum)); };
    nlohmann::ordered_json json = {
        {"device", device.name},
        {"driver", device.driver},
        {"model", results.model},
        {"type", results.type},
        {"params", results.params},
        {"prefill", nlohmann::ordered_json::array()},
        {"decode", nlohmann::ordered_json::array()},
        {"load_s", results.load_s},
        {"first_token_s", results.first_token_s},
        {"device_bytes_peak", results.device_bytes_peak},
        {"host_bytes_peak", results.host_bytes_peak},
        {"dispatches_per_token", results.dispatches_per_token},
        {"recordings_per_token", per_token(costs.recordings)},
        {"descriptor_updates_per_token", per_token(costs.descriptor_updates)},
        {"allocations_per_token", per_token(costs.allocations)},
        {"submissions_per_token", per_token(costs.submissions)},
        {"host_us_per_token", costs.per_token(costs.host_seconds * 1e6)},
        {"bytes_per_token", results.bytes_per_token},
        {"copy_gb_per_s", results.copy_gb_per_s},
        {"resident_bytes", results.resident_bytes},
        {"streamed_bytes", results.streamed_bytes},
        {"streamed_bytes_per_token", results.streamed_bytes_per_token},
        {"stream_bound_s", results.stream_bound_s},
        {"operations", operations_json(results.operations)},
    };
    for (const Prefill& each : results.prefill)
        json["prefill"].push_back({{"tokens", each.tokens}, {"tokens_per_s", each.tokens_per_s}});
    for (const Decode& each : results.decode)
        json["decode"].push_back(
            {{"tokens", each.tokens}, {"depth", each.depth}, {"tokens_per_s", each.tokens_per_s}});
    json["sequences"] = results.sequences;
    if (results.vision)
        json["vision"] = vision_json(*results.vision);
    put_json(json, true);
}

void print_table(const Results& results, const DeviceInfo& device) {
    const auto row = [](const char* label, const std::string& text) {
        put(without_controls(format_text("%-12s %s\n", label, text.c_str())));
    };
    row("device", device.name + " (" + device.driver + ")");
    row("model",
        results.model + ", " + results.type + ", " + grouped_text(results.params) + " parameters");
    row("load", format_text("%.2f s; the first token comes %.2f s after the start", results.load_s,
                            results.first_token_s));
    for (const Prefill& each : results.prefill)
        row("prefill", format_text("%6u tokens               %10.1f tokens/s", each.tokens,
                                   each.tokens_per_s));
    for (const Decode& each : results.decode)
        row("decode", format_text("%6u tokens after %6u  %10.1f tokens/s", each.tokens, each.depth,
                                  each.tokens_per_s) +
                          (results.sequences > 1 ? format_text(", %u sequences", results.sequences) : ""));
    row("peak memory", bytes_text(results.device_bytes_peak) + " on the device, " +
                           bytes_text(results.host_bytes_peak) + " on the host");
    const Costs& costs = results.costs;
    const auto per_token = [&](uint64_t sum) { return costs.per_token(static_cast<double>(sum)); };
    row("per token",
        format_text(
            "%u dispatches, %.3g submissions, %.3g recordings, %.3g descriptor updates, %.3g "
            "allocations",
            results.dispatches_per_token, per_token(costs.submissions), per_token(costs.recordings),
            per_token(costs.descriptor_updates), per_token(costs.allocations)));
    row("", format_text("%.0f us of host time, %s read", costs.per_token(costs.host_seconds * 1e6),
                        bytes_text(results.bytes_per_token).c_str()));
    if (results.streamed_bytes > 0)
        row("streamed",
            format_text("%s of the weights, %s stay; a step copies %s, which alone takes %.3f s",
                        bytes_text(results.streamed_bytes).c_str(),
                        bytes_text(results.resident_bytes).c_str(),
                        bytes_text(results.streamed_bytes_per_token).c_str(),
                        results.stream_bound_s));
    print_operations(results.operations, results.copy_gb_per_s);
    if (results.vision)
        print_vision(*results.vision);
}

// The picture encoder without the text model, which need not fit then.
int bench_vision(const BenchFlags& flags) {
    std::unique_ptr<Checkpoint> checkpoint;
    if (!flags.synthetic.config)
        checkpoint = Checkpoint::open(model_path(flags.model), flags.mmproj);
    const Config& config = checkpoint ? checkpoint->config() : *flags.synthetic.config;
    require_vision(flags, config);
    const DataType type = checkpoint ? main_type(*checkpoint) : flags.synthetic.type;
    const std::unique_ptr<TraceFile> trace = open_trace(flags);
    Device device(device_options(flags));
    if (trace)
        device.set_trace(trace->trace());
    ProgressBar bar("measuring");
    Ops ops(device);
    PictureStore store;
    Vision vision(device, ops, config,
                  checkpoint ? load_vision_weights(device, *checkpoint, {})
                             : random_vision_weights(device, ops, config, type),
                  store);
    const VisionResults results =
        measure_vision(device, ops, vision, config, type, flags.repetitions, bar);
    if (flags.json) {
        put_json(
            nlohmann::ordered_json{{"device", device.info().name},
                                   {"driver", device.info().driver},
                                   {"model", checkpoint ? model_name(flags.model) : flags.synthetic.name},
                                   {"type", lower_name(type)},
                                   {"device_bytes_peak", device.bytes_peak()},
                                   {"vision", vision_json(results)}},
            true);
    } else {
        put(without_controls(format_text("%-12s %s (%s)\n", "device", device.info().name.c_str(),
                                         device.info().driver.c_str())));
        print_vision(results);
        put(format_text("%-12s %s on the device\n", "peak memory",
                        bytes_text(device.bytes_peak()).c_str()));
    }
    return kExitDone;
}

int bench(BenchFlags flags) {
    platform::watch_interrupts();
    if (!flags.compare.empty()) {
        compare_reports(flags.compare[0], flags.compare[1]);
        return kExitDone;
    }
    if (flags.vision_only)
        return bench_vision(flags);
    // As long a context as is measured, so that memory figures are those of the work shown.
    if (flags.context.context == 0)
        flags.context.context = positions_needed(flags);
    flags.sampler.seed = flags.seed.value_or(1);
    Bench run(flags);
    const Results results = run.run();
    if (flags.json)
        print_json(results, run.device().info());
    else
        print_table(results, run.device().info());
    return kExitDone;
}

}  // namespace

Command add_bench(CLI::App& app) {
    const auto flags = std::make_shared<BenchFlags>();
    constexpr uint32_t kMost = 1'000'000;
    add_model_flag(app, *flags);
    add_synthetic_flags(app, flags->synthetic);
    add_text(app, "-p", "N,...", "Lengths of the prompts; default: 128,512",
             [=](const std::string& text) { flags->prompts = parse_list("-p", text, 1, kMost); });
    add_text(app, "-n", "N,...", "Tokens to decode; default: 32",
             [=](const std::string& text) { flags->answers = parse_list("-n", text, 1, kMost); });
    add_text(
        app, "--depth", "N,...", "Tokens in the context before them; default: 0",
        [=](const std::string& text) { flags->depths = parse_list("--depth", text, 0, kMost); });
    add_text(app, "--sequences", "N",
             "Sequences that decode side by side, 1 to 16; tokens/s are those of all; default: 1",
             [=](const std::string& text) {
                 flags->context.sequences =
                     static_cast<uint32_t>(parse_count("--sequences", text, 1, kMaxSequences));
             });
    add_text(app, "-r", "N", "Measure N times and take the median; default: 3",
             [=](const std::string& text) {
                 flags->repetitions = static_cast<uint32_t>(parse_count("-r", text, 1, 1000));
             });
    add_text(app, "--seed", "S", "Of the tokens drawn; default: 1", [=](const std::string& text) {
        flags->seed = parse_count("--seed", text, 0, UINT64_MAX);
    });
    CLI::Option* image =
        app.add_flag("--image", flags->image, "Measure a picture too, stage by stage");
    app.add_flag("--vision-only", flags->vision_only, "The picture encoder alone, without the text")
        ->needs(image);
    app.add_flag("--json", flags->json, "Print a JSON object");
    app.add_option("--compare", flags->compare,
                   "Measure nothing: two files of --json side by side, and their ratio")
        ->type_name("A.json B.json")
        ->expected(2);
    add_context_flags(app, *flags);
    add_device_flags(app, *flags);
    add_verbose_flag(app, *flags);
    return [=] { return bench(*flags); };
}

}  // namespace olivine
