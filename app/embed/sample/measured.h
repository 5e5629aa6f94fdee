// Frames while nobody talks and while somebody does, and the report of both.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "characters.h"
#include "frame_times.h"
#include "options.h"

enum class Phase : uint32_t { loading, idle, busy };

class Measured {
public:
    void add(Phase phase, double frame_ms, const Characters::Work& work);
    // Since the model was loaded.
    size_t frames() const { return frame_ms_[1].count() + frame_ms_[2].count(); }
    std::string json(const Options& options, const std::string& device,
                     Characters& characters) const;

private:
    std::array<FrameTimes, 3> frame_ms_, tick_ms_;  // by Phase
    std::array<double, 3> longest_slice_ms_{};
    uint64_t bytes_now_ = 0, bytes_peak_ = 0;
};
