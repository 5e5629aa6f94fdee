#include "app/cli/bench_operations.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "app/cli/output.h"
#include "engine/error.h"
#include "engine/recorder.h"

namespace olivine {
namespace {

bool multiplies(const std::string& shader) {
    return shader.starts_with("matvec") || shader.starts_with("matmul");
}

}  // namespace

std::vector<OperationCost> operation_costs(std::span<const Span> spans, uint32_t steps) {
    struct Sum {
        uint64_t count = 0, bytes = 0;
        double seconds = 0;
    };
    std::map<std::string, Sum> sums;
    double all = 0;
    for (const Span& span : spans) {
        if (span.track != Span::Track::dispatch)
            continue;
        Sum& sum = sums[span.name];
        ++sum.count;
        sum.bytes += span.bytes;
        sum.seconds += span.seconds;
        all += span.seconds;
    }
    std::vector<OperationCost> costs;
    for (const auto& [shader, sum] : sums)
        costs.push_back({.shader = shader,
                         .count = static_cast<double>(sum.count) / steps,
                         .seconds = sum.seconds / steps,
                         .share = all > 0 ? sum.seconds / all : 0,
                         .gb_per_s = multiplies(shader) && sum.seconds > 0
                                         ? static_cast<double>(sum.bytes) / sum.seconds * 1e-9
                                         : 0});
    std::sort(costs.begin(), costs.end(), [](const OperationCost& a, const OperationCost& b) {
        return a.seconds > b.seconds;
    });
    return costs;
}

double copy_gb_per_s(Device& device) try {
    // Beyond the caches of today's GPUs, the largest of which have 96 MB.
    constexpr uint64_t kBytes = uint64_t{256} << 20;
    const Buffer from(device, Arena::staging, kBytes), to(device, Arena::staging, kBytes);
    Recorder recorder(device, "bandwidth");
    recorder.copy(from.slice(), to.slice());
    Plan plan = recorder.finish();
    plan.run();
    double best = 1e30;
    for (uint32_t i = 0; i < 3; ++i) {
        const auto start = std::chrono::steady_clock::now();
        plan.run();
        const double wall =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        best = std::min(best, plan.gpu_seconds() > 0 ? plan.gpu_seconds() : wall);
    }
    return 2.0 * kBytes / best * 1e-9;
} catch (const Error& error) {
    if (error.fault() != Fault::out_of_memory)
        throw;
    return 0;
}

nlohmann::ordered_json operations_json(const std::vector<OperationCost>& costs) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const OperationCost& each : costs)
        list.push_back({{"shader", each.shader},
                        {"dispatches", each.count},
                        {"us_per_token", each.seconds * 1e6},
                        {"share", each.share},
                        {"gb_per_s", each.gb_per_s}});
    return list;
}

void print_operations(const std::vector<OperationCost>& costs, double copy_gb_per_s) {
    if (costs.empty())
        return;  // no timestamps
    put(format_text("%-12s %-32s %7s %10s %6s %8s\n", "decode step", "operation", "count", "us",
                    "share", "GB/s"));
    for (const OperationCost& each : costs)
        put(format_text("%-12s %-32s %7.3g %10.1f %5.1f%% %8s\n", "", each.shader.c_str(), each.count,
                        each.seconds * 1e6, each.share * 100,
                        each.gb_per_s > 0 ? format_text("%.1f", each.gb_per_s).c_str() : ""));
    if (copy_gb_per_s > 0)
        put(format_text("%-12s the device copies %.1f GB/s\n", "", copy_gb_per_s));
}

}  // namespace olivine
