// Milliseconds of many frames, and what they come to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

class FrameTimes {
public:
    void add(double ms) { all_.push_back(ms); }
    size_t count() const { return all_.size(); }
    double sum() const {
        double total = 0;
        for (const double ms : all_)
            total += ms;
        return total;
    }
    // The time that this part of the frames (0 to 1) does not exceed; 0 where there are none.
    double percentile(double part) const {
        if (all_.empty())
            return 0;
        std::vector<double> sorted = all_;
        std::ranges::sort(sorted);
        const double place = part * static_cast<double>(sorted.size() - 1);
        return sorted[static_cast<size_t>(place + 0.5)];
    }

private:
    std::vector<double> all_;
};
