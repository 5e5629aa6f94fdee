// olivine_microbench: what one operation costs at the shapes of the published models.
//
// Every case is recorded often enough that its weights or its cache exceed the device's caches, as in a
// model, and timed by the device's clock where it has one. With --against FOLDER, a copy of shaders/,
// each case runs with the build's shaders and with that folder's in turn, so that both see the
// same weather; the ratio is that of the medians.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "engine/error.h"
#include "engine/ops/ops.h"
#include "engine/pack.h"
#include "engine/shader_folder.h"
#include "engine/upload.h"
#include "model/config.h"
#include "shaders/params.h"

namespace olivine {
namespace {

struct Flags {
    std::vector<std::string> models{"270m"};
    std::vector<std::string> types{"q8_0", "q4_0"};
    std::vector<uint32_t> tokens{1, 128};
    std::vector<uint32_t> depths{512, 8192};
    std::vector<std::string> only;  // parts of names
    std::string against;            // a folder of shaders
    std::optional<uint32_t> device;
    double seconds = 1;  // a case, about
    bool as_gpu = false, json = false;
};

// A device with everything that its plans need.
struct Rig {
    explicit Rig(const DeviceOptions& options) : device(options), ops(device) {}
    Slice buffer(uint64_t bytes);
    Activation activation(uint32_t rows, uint32_t cols);

    Device device;
    Ops ops;
    std::vector<std::unique_ptr<Buffer>> buffers;
    std::vector<std::unique_ptr<Matrix>> matrices;
    std::vector<std::unique_ptr<RopeTable>> tables;
};

// One operation at one shape. `record` allocates what it needs in the rig and records one copy of it.
struct Case {
    std::string name;
    double bytes = 0;  // that it must read and write at least
    double flops = 0;
    std::function<void(Rig&, Recorder&)> record;
};

struct Result {
    double seconds = 0;  // median, of one copy
    double ratio = 0;    // seconds of the other folder's shaders to these; 0 without
};

// Random numbers, so that no driver finds the data to be constant.
Slice Rig::buffer(uint64_t bytes) {
    buffers.push_back(std::make_unique<Buffer>(device, Arena::activations, bytes));
    std::vector<float> values(std::min<uint64_t>(bytes, 1u << 20) / 4);
    std::mt19937 random(7);
    for (float& value : values)
        value = static_cast<float>(random() % 2001) * 0.001f - 1.0f;
    const Slice all = buffers.back()->slice();
    for (uint64_t at = 0; at < bytes; at += values.size() * 4) {
        const uint64_t count = std::min<uint64_t>(values.size() * 4, bytes - at);
        write(device, {all.buffer, at, count}, std::as_bytes(std::span(values)).first(count));
    }
    return all;
}

Activation Rig::activation(uint32_t rows, uint32_t cols) {
    return {buffer(Activation::bytes_of(rows, cols)), rows, cols, Activation::stride_of(cols)};
}

std::optional<DataType> type_of(const std::string& text) {
    for (uint32_t i = 0; i < kDataTypes; ++i)
        if (type_suffix(static_cast<DataType>(i)) == text)
            return static_cast<DataType>(i);
    return {};
}

std::string label(const char* op, const std::string& model, const std::string& rest) {
    return std::string(op) + " " + model + " " + rest;
}

void add_linear(std::vector<Case>& cases, const std::string& model, const Config& config, DataType type,
                uint32_t tokens) {
    const uint32_t width = config.num_heads * config.head_dim;
    const struct {
        const char* part;
        uint32_t rows, cols;
        Epilogue epilogue;
    } parts[] = {
        {"qkv", width + 2 * config.num_kv_heads * config.head_dim, config.hidden_size, Epilogue::none},
        {"o", config.hidden_size, width, Epilogue::none},
        {"gate_up", 2 * config.intermediate_size, config.hidden_size, Epilogue::geglu},
        {"down", config.hidden_size, config.intermediate_size, Epilogue::none},
        {"head", config.vocab_size, config.hidden_size, Epilogue::none},
    };
    for (const auto& part : parts) {
        if (std::string(part.part) == "head" && tokens > 16)
            continue;  // no model runs it over a prompt
        if (part.cols % block_elements(type) != 0)
            continue;
        const uint64_t weight = Matrix::bytes(type, part.rows, part.cols);
        const double outputs = part.epilogue == Epilogue::geglu ? part.rows / 2.0 : part.rows;
        const auto record = [=](Rig& rig, Recorder& recorder) {
            rig.matrices.push_back(std::make_unique<Matrix>(rig.device, type, part.rows, part.cols));
            Matrix& matrix = *rig.matrices.back();
            Recorder fill(rig.device, "fill");
            rig.ops.random_fill.record(fill, matrix, 5, 0.02f);
            fill.finish().run();
            const Activation x = rig.activation(tokens, part.cols);
            const Activation y = rig.activation(tokens, static_cast<uint32_t>(outputs));
            rig.ops.linear.record(recorder, matrix, x, y, part.epilogue);
        };
        char text[96];
        std::snprintf(text, sizeof text, "%s %s, %u tokens", part.part, type_suffix(type).c_str(), tokens);
        cases.push_back({.name = label("linear", model, text),
                         .bytes = static_cast<double>(weight) + 4.0 * tokens * (part.cols + outputs),
                         .flops = 2.0 * part.rows * part.cols * tokens,
                         .record = record});
    }
}

std::vector<shader::Row> rows_at(uint32_t first, uint32_t count) {
    std::vector<shader::Row> rows;
    for (uint32_t i = 0; i < count; ++i)
        rows.push_back({.token = i, .position = first + i, .sequence = 0, .last_visible = first + i});
    return rows;
}

Slice upload_rows(Rig& rig, const std::vector<shader::Row>& rows) {
    const Slice slice = rig.buffer(rows.size() * sizeof(shader::Row));
    write(rig.device, slice, std::as_bytes(std::span(rows)));
    return slice;
}

// Finite numbers whether read as halves or floats.
KvLayer make_layer(Rig& rig, const HeadShape& shape, uint32_t capacity, uint32_t window) {
    const uint64_t bytes = uint64_t{capacity} * shape.kv_heads * shape.padded_dim() * 2;
    const Slice keys = rig.buffer(bytes), values = rig.buffer(bytes);
    std::vector<uint16_t> halves(bytes / 2);
    std::mt19937 random(3);
    for (uint16_t& half : halves)
        half = f16_from_f32(static_cast<float>(random() % 2001) * 0.001f - 1.0f);
    write(rig.device, keys, std::as_bytes(std::span(halves)));
    write(rig.device, values, std::as_bytes(std::span(halves)));
    return KvLayer::ring(keys, values, KvType::f16, capacity, window);
}

// `tokens` rows that follow `depth` positions; one row is a decode step.
void add_attention(std::vector<Case>& cases, const std::string& model, const Config& config,
                   uint32_t tokens, uint32_t depth) {
    const HeadShape shape{config.num_heads, config.num_kv_heads, config.head_dim};
    for (const bool global : {false, true}) {
        const uint32_t window = global ? 0 : config.sliding_window;
        const uint32_t capacity = global ? depth + tokens : config.sliding_window + tokens - 1;
        double keys = 0;  // over all rows
        for (uint32_t i = 0; i < tokens; ++i)
            keys += global ? depth + i + 1 : std::min(depth + i + 1, window);
        const uint32_t seen = global ? depth + tokens : std::min(depth + tokens, capacity);
        const auto record = [=](Rig& rig, Recorder& recorder) {
            const KvLayer layer = make_layer(rig, shape, capacity, window);
            const Slice rows = upload_rows(rig, rows_at(depth, tokens));
            const Slice q = rig.buffer(uint64_t{tokens} * shape.heads * shape.padded_dim() * 4);
            const Activation dst = rig.activation(tokens, shape.heads * shape.head_dim);
            const AttentionScratch scratch{rig.buffer(Attention::parts_bytes(shape, tokens)),
                                           rig.buffer(Attention::arrivals_bytes(shape, tokens))};
            Recorder zero(rig.device, "zero");
            zero.fill(scratch.arrivals, 0);
            zero.finish().run();
            if (tokens > 1) {
                rig.ops.attention.record_prefill(recorder, q, layer, rows, shape, 0, dst, scratch);
                return;
            }
            Slice grid;
            if (global) {
                const uint32_t splits = Attention::splits_for(depth + 1);
                const shader::GridArguments arguments{
                    .x = shape.kv_heads, .y = 1, .z = splits, .splits = splits};
                grid = rig.buffer(sizeof arguments);
                write(rig.device, grid, std::as_bytes(std::span(&arguments, 1)));
            }
            rig.ops.attention.record_decode(recorder, q, layer, rows, grid, shape, 0, dst, scratch);
        };
        char text[96];
        std::snprintf(text, sizeof text, "%s, %u tokens after %u", global ? "global" : "local",
                      tokens, depth);
        cases.push_back({.name = label("attention", model, text),
                         .bytes = 4.0 * seen * shape.kv_heads * shape.head_dim +
                                  8.0 * tokens * shape.heads * shape.head_dim,
                         .flops = 4.0 * keys * shape.heads * shape.head_dim,
                         .record = record});
    }
}

void add_rows(std::vector<Case>& cases, const std::string& model, const Config& config, uint32_t tokens) {
    const uint32_t width = config.hidden_size;
    char text[96];
    std::snprintf(text, sizeof text, "%u tokens", tokens);
    const double row_bytes = 4.0 * tokens * width;
    cases.push_back({.name = label("rms_norm", model, text),
                     .bytes = 2 * row_bytes,
                     .record = [=](Rig& rig, Recorder& recorder) {
                         rig.ops.rms_norm.record(recorder, rig.activation(tokens, width),
                                                 rig.buffer(width * 4ull),
                                                 rig.activation(tokens, width), 1e-6f);
                     }});
    cases.push_back({.name = label("residual_norm", model, text),
                     .bytes = 4 * row_bytes,
                     .record = [=](Rig& rig, Recorder& recorder) {
                         rig.ops.residual_norm.record(
                             recorder, rig.activation(tokens, width), rig.buffer(width * 8ull),
                             rig.activation(tokens, width), rig.activation(tokens, width), 1e-6f);
                     }});
    const HeadShape shape{config.num_heads, config.num_kv_heads, config.head_dim};
    const uint32_t qkv = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
    cases.push_back({.name = label("rope_store", model, text),
                     .bytes = 4.0 * tokens * (qkv + shape.heads * shape.head_dim) +
                              4.0 * tokens * shape.kv_heads * shape.head_dim,
                     .record = [=](Rig& rig, Recorder& recorder) {
                         if (rig.tables.empty())
                             rig.tables.push_back(std::make_unique<RopeTable>(
                                 rig.device, shape.head_dim, 10000.0, 1.0, 1024 + tokens));
                         rig.ops.rope_store.record(
                             recorder, rig.activation(tokens, qkv), upload_rows(rig, rows_at(0, tokens)),
                             rig.tables.front().get(), rig.buffer(shape.head_dim * 8ull), shape, 0.0625f,
                             1e-6f, rig.buffer(uint64_t{tokens} * shape.heads * shape.padded_dim() * 4),
                             make_layer(rig, shape, config.sliding_window + tokens, config.sliding_window));
                     }});
}

void add_sampling(std::vector<Case>& cases, const std::string& model, const Config& config) {
    const uint32_t vocab = config.vocab_size;
    const auto record = [=](Rig& rig, Recorder& recorder) {
        const shader::SampleParams params{.inverse_temperature = 1, .top_k = 64, .top_p = 0.95f,
                                          .log_min_p = -std::numeric_limits<float>::infinity(),
                                          .repeat_penalty = 1, .seed_low = 1, .seed_high = 0, .unused = 0};
        const SamplingBuffers buffers{.params = rig.buffer(sizeof params),
                                      .seen = rig.buffer(Sampling::mask_words(vocab) * 4ull),
                                      .allowed = rig.buffer(Sampling::mask_words(vocab) * 4ull),
                                      .peaks = rig.buffer(Sampling::kShards * 8ull),
                                      .rows = upload_rows(rig, rows_at(0, 1)),
                                      .chosen = rig.buffer(4)};
        write(rig.device, buffers.params, std::as_bytes(std::span(&params, 1)));
        rig.ops.sampling.record(recorder, rig.activation(1, vocab), buffers);
    };
    cases.push_back({.name = label("sampling", model, "top-k 64, top-p 0.95"),
                     .bytes = 8.0 * vocab,
                     .record = record});
}

// What a dispatch costs that has next to nothing to do: each reads what the one before has written, so that a
// barrier stands between, or nothing of it.
void add_dispatches(std::vector<Case>& cases) {
    constexpr uint32_t kCols = 4;
    for (const bool apart : {false, true})
        cases.push_back({.name = apart ? "dispatch, side by side" : "dispatch, one after the other",
                         .bytes = 2 * kCols * 4,
                         .record = [apart](Rig& rig, Recorder& recorder) {
                             if (apart || rig.buffers.empty())
                                 rig.activation(1, kCols);
                             const Activation row{rig.buffers.back()->slice(), 1, kCols, kCols};
                             rig.ops.rms_norm.record(recorder, row, row.slice, row, 1e-6f);
                         }});
}

std::vector<Case> all_cases(const Flags& flags) {
    std::vector<Case> cases;
    add_dispatches(cases);
    for (const std::string& model : flags.models) {
        const std::optional<Config> config = preset(model);
        if (!config)
            fail(Fault::bad_input, "There is no published size %s.", model.c_str());
        for (const std::string& text : flags.types) {
            const std::optional<DataType> type = type_of(text);
            if (!type)
                fail(Fault::bad_input, "There is no type %s.", text.c_str());
            for (const uint32_t tokens : flags.tokens)
                add_linear(cases, model, *config, *type, tokens);
        }
        for (const uint32_t tokens : flags.tokens) {
            for (const uint32_t depth : flags.depths)
                add_attention(cases, model, *config, tokens, depth);
            add_rows(cases, model, *config, tokens);
        }
        add_sampling(cases, model, *config);
    }
    std::erase_if(cases, [&](const Case& each) {
        return std::any_of(flags.only.begin(), flags.only.end(), [&](const std::string& part) {
            return each.name.find(part) == std::string::npos;
        });
    });
    return cases;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

class Measured {
public:
    Measured(const Case& what, const DeviceOptions& options) : rig_(options) {
        // Beyond the last-level caches, within reason.
        constexpr double kBytes = 96e6;
        constexpr uint32_t kMost = 48;
        copies_ = static_cast<uint32_t>(std::clamp(std::ceil(kBytes / what.bytes), 1.0, double{kMost}));
        Recorder recorder(rig_.device, "microbench");
        for (uint32_t i = 0; i < copies_; ++i)
            what.record(rig_, recorder);
        plan_ = recorder.finish();
        run();
    }
    // Seconds of one copy.
    double run() {
        const auto start = std::chrono::steady_clock::now();
        plan_.wait(plan_.submit());
        const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return (plan_.gpu_seconds() > 0 ? plan_.gpu_seconds() : wall) / copies_;
    }
    uint32_t copies() const { return copies_; }

private:
    Rig rig_;
    Plan plan_;
    uint32_t copies_ = 1;
};

Result measure(const Case& what, const Flags& flags) {
    DeviceOptions options;
    options.index = flags.device;
    options.as_gpu = flags.as_gpu;
    options.precision = Precision::automatic;
    Measured ours(what, options);
    std::unique_ptr<Measured> other;
    if (!flags.against.empty()) {
        options.shaders = std::make_shared<ShaderFolder>(flags.against);
        other = std::make_unique<Measured>(what, options);
    }
    std::vector<double> seconds, others;
    const auto start = std::chrono::steady_clock::now();
    constexpr size_t kLeast = 5;
    while (seconds.size() < kLeast ||
           std::chrono::steady_clock::now() - start < std::chrono::duration<double>(flags.seconds)) {
        seconds.push_back(ours.run());
        if (other)
            others.push_back(other->run());
    }
    Result result{.seconds = median(seconds)};
    if (other)
        result.ratio = median(others) / result.seconds;
    return result;
}

int run(int argc, char** argv) {
    Flags flags;
    CLI::App app("What one operation costs at the shapes of the published models");
    app.add_option("--models", flags.models, "Published sizes; default: 270m")->delimiter(',');
    app.add_option("--types", flags.types, "Of the weights; default: q8_0,q4_0")->delimiter(',');
    app.add_option("--tokens", flags.tokens, "Rows at once; default: 1,128")->delimiter(',');
    app.add_option("--depths", flags.depths, "Positions before them; default: 512,8192")->delimiter(',');
    app.add_option("--only", flags.only, "Cases whose name has all of these parts");
    app.add_option("--against", flags.against, "A copy of shaders/ to measure beside the build's");
    app.add_option("--device", flags.device, "As olivine devices numbers them");
    app.add_option("--seconds", flags.seconds, "For each case; default: 1");
    app.add_flag("--as-gpu", flags.as_gpu, "Run a software device as if it were a GPU");
    app.add_flag("--json", flags.json, "Print a JSON list");
    CLI11_PARSE(app, argc, argv);

    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    if (!flags.json)
        std::printf("%-44s %10s %8s %9s%s\n", "operation", "us", "GB/s", "GFLOP/s",
                    flags.against.empty() ? "" : "   other / build");
    for (const Case& each : all_cases(flags)) {
        const Result result = measure(each, flags);
        const double gb = each.bytes / result.seconds * 1e-9, gflop = each.flops / result.seconds * 1e-9;
        if (flags.json) {
            list.push_back({{"operation", each.name}, {"us", result.seconds * 1e6}, {"gb_per_s", gb},
                            {"gflop_per_s", gflop}});
            if (result.ratio > 0)
                list.back()["ratio"] = result.ratio;
            continue;
        }
        std::printf("%-44s %10.1f %8.2f %9.2f", each.name.c_str(), result.seconds * 1e6, gb, gflop);
        if (result.ratio > 0)
            std::printf(" %15.3f", result.ratio);
        std::printf("\n");
        std::fflush(stdout);
    }
    if (flags.json)
        std::printf("%s\n", list.dump(1).c_str());
    return 0;
}

}  // namespace
}  // namespace olivine

int main(int argc, char** argv) {
    try {
        return olivine::run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "olivine_microbench: %s\n", error.what());
        return 1;
    }
}
