#include "app/cli/bench_vision.h"

#include <algorithm>
#include <chrono>
#include <random>

#include "app/cli/output.h"
#include "app/platform.h"
#include "engine/error.h"
#include "model/weights.h"

namespace olivine {
namespace {

constexpr double kPatienceSeconds = 10;  // an encoding that takes longer is not repeated

Picture random_picture(uint32_t side, std::mt19937& random) {
    Picture picture{side, side, {}};
    picture.pixels.resize(size_t{side} * side);
    for (uint32_t& pixel : picture.pixels)
        pixel = random() | 0xff000000u;
    return picture;
}

std::vector<VisionStage> stages_of(const VisionSeconds& seconds, const Config& config) {
    const VisionConfig& v = *config.vision;
    const double patches = v.patches(), e = v.hidden_size, layers = v.num_layers;
    return {{"preprocess", seconds.preprocess, 0},
            {"patch_embed", seconds.patch_embed, 2 * patches * e * 3 * v.patch_size * v.patch_size},
            {"attention", seconds.attention,
             layers * (2 * patches * e * 4 * e + 4 * patches * patches * e)},
            {"mlp", seconds.mlp, layers * 4 * patches * e * v.intermediate_size},
            {"projector", seconds.projector,
             2.0 * config.mm_tokens_per_image * e * config.hidden_size}};
}

// The rate of the device's matrix multiply at the encoder's largest shape.
double matrix_rate(Device& device, Ops& ops, const VisionConfig& v, DataType type) {
    uint32_t seed = 1;
    const Matrix weight =
        random_matrix(device, ops, type, v.intermediate_size, v.hidden_size, seed);
    const auto rows = [&](const Buffer& buffer, uint32_t cols) {
        return Activation{buffer.slice(), v.patches(), cols, Activation::stride_of(cols)};
    };
    const Buffer x(device, Arena::activations, Activation::bytes_of(v.patches(), v.hidden_size));
    const Buffer y(device, Arena::activations,
                   Activation::bytes_of(v.patches(), v.intermediate_size));
    Recorder recorder(device, "matrix rate");
    ops.linear.record(recorder, weight, rows(x, v.hidden_size), rows(y, v.intermediate_size));
    Plan plan = recorder.finish();
    double best = 0;
    for (int i = 0; i < 3; ++i) {  // the first one compiles
        plan.run();
        const double rate =
            2.0 * v.patches() * v.hidden_size * v.intermediate_size / plan.gpu_seconds();
        best = std::max(best, rate);
    }
    return best;
}

}  // namespace

VisionResults measure_vision(Device& device, Ops& ops, Vision& vision, const Config& config,
                             DataType type, uint32_t repetitions, ProgressBar& bar) {
    using Clock = std::chrono::steady_clock;
    if (device.capabilities().timestamp_ns == 0)
        fail(Fault::unsupported, "%s has no timestamps, which the stages are measured with.",
             device.info().name.c_str());
    std::mt19937 random(1);
    EncodeOptions options;
    options.cancelled = platform::interrupted;
    options.progress = [&](uint32_t done, uint32_t total) {
        bar.show("a picture: " + std::to_string(done * 100 / total) + " %");
    };
    struct Run {
        double wall;
        VisionSeconds seconds;
    };
    std::vector<Run> runs;
    double spent = 0;
    for (uint32_t i = 0; i <= repetitions && (i == 0 || spent < kPatienceSeconds); ++i) {
        const Picture picture = random_picture(config.vision->image_size, random);
        const Clock::time_point start = Clock::now();
        vision.encode(std::span(&picture, 1), options);
        const double wall = std::chrono::duration<double>(Clock::now() - start).count();
        spent += wall;
        runs.push_back({wall, vision.seconds()});
    }
    if (runs.size() > 1)
        runs.erase(runs.begin());  // it compiled and recorded
    const auto middle = runs.begin() + static_cast<ptrdiff_t>(runs.size() / 2);
    std::nth_element(runs.begin(), middle, runs.end(),
                     [](const Run& a, const Run& b) { return a.wall < b.wall; });
    return {.side = config.vision->image_size,
            .stages = stages_of(middle->seconds, config),
            .wall_seconds = middle->wall,
            .matrix_flops_per_s = matrix_rate(device, ops, *config.vision, type)};
}

nlohmann::ordered_json vision_json(const VisionResults& results) {
    nlohmann::ordered_json json = {{"side", results.side},
                                   {"picture_ms", results.wall_seconds * 1e3},
                                   {"matrix_gflops", results.matrix_flops_per_s * 1e-9},
                                   {"stages", nlohmann::ordered_json::array()}};
    for (const VisionStage& stage : results.stages) {
        const double rate = stage.seconds > 0 ? stage.flops / stage.seconds : 0;
        json["stages"].push_back({{"stage", stage.name},
                                  {"ms", stage.seconds * 1e3},
                                  {"gflops", rate * 1e-9},
                                  {"share_of_matrix_rate", rate / results.matrix_flops_per_s}});
    }
    return json;
}

void print_vision(const VisionResults& results) {
    put(format_text("%-12s %u x %u: %.1f ms; a matrix multiply alone runs at %.1f GFLOP/s\n",
                    "picture", results.side, results.side, results.wall_seconds * 1e3,
                    results.matrix_flops_per_s * 1e-9));
    for (const VisionStage& stage : results.stages) {
        const double rate = stage.seconds > 0 ? stage.flops / stage.seconds : 0;
        std::string speed;
        if (stage.flops > 0)
            speed = format_text("%9.1f GFLOP/s, %3.0f %% of that", rate * 1e-9,
                                100 * rate / results.matrix_flops_per_s);
        put(format_text("  %-12s %12.1f ms  %s\n", stage.name, stage.seconds * 1e3, speed.c_str()));
    }
}

}  // namespace olivine
