#include "measured.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace {

using Json = nlohmann::ordered_json;

Json percentiles(const FrameTimes& times) {
    return {{"p50", times.percentile(0.50)},
            {"p90", times.percentile(0.90)},
            {"p99", times.percentile(0.99)},
            {"max", times.percentile(1)}};
}

}  // namespace

void Measured::add(Phase phase, double frame_ms, const Characters::Work& work) {
    const auto of = static_cast<size_t>(phase);
    frame_ms_[of].add(frame_ms);
    tick_ms_[of].add(work.tick_ms);
    longest_slice_ms_[of] = std::max(longest_slice_ms_[of], work.longest_slice_ms);
    bytes_now_ = work.bytes_now;
    bytes_peak_ = work.bytes_peak;
}

std::string Measured::json(const Options& options, const std::string& device,
                           Characters& characters) const {
    Json report{{"device", device},
                {"resolution", {options.width, options.height}},
                {"budget_ms", options.budget_us / 1000.0}};
    constexpr std::array kNames{"loading", "idle", "busy"};
    for (size_t i = 0; i < kNames.size(); ++i)
        report[kNames[i]] = {{"frames", frame_ms_[i].count()},
                             {"frame_ms", percentiles(frame_ms_[i])},
                             {"tick_ms", percentiles(tick_ms_[i])},
                             {"longest_slice_ms", longest_slice_ms_[i]}};
    uint64_t tokens = 0;
    Json talks = Json::array();
    for (const Character& character : characters.all()) {
        tokens += character.tokens;
        talks.push_back({{"name", character.name},
                         {"asked", character.asked},
                         {"answered", character.answered},
                         {"failed", character.failed},
                         {"tokens", character.tokens},
                         {"question", character.question},
                         {"answer", character.answer}});
    }
    const double seconds = frame_ms_[static_cast<size_t>(Phase::busy)].sum() / 1000;
    report["characters"] = std::move(talks);
    report["tokens"] = tokens;  // of answers that have ended
    report["tokens_per_second"] = seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
    report["device_bytes"] = {{"now", bytes_now_}, {"peak", bytes_peak_}};
    return report.dump(2);
}
