#include "model/speculation.h"

#include <algorithm>

namespace olivine {

std::vector<int32_t> look_up(std::span<const int32_t> text, uint32_t count) {
    for (const size_t length : {size_t{3}, size_t{2}}) {
        if (text.size() <= length)
            continue;
        const std::span<const int32_t> end = text.last(length);
        for (size_t at = text.size() - length; at-- > 0;) {
            if (!std::equal(end.begin(), end.end(), text.begin() + static_cast<ptrdiff_t>(at)))
                continue;
            const std::span<const int32_t> found = text.subspan(at + length);
            const std::span<const int32_t> ids = found.first(std::min<size_t>(count, found.size()));
            // The soft tokens of a picture are never drawn.
            const auto soft = std::find_if(ids.begin(), ids.end(), [](int32_t id) { return id < 0; });
            return {ids.begin(), soft};
        }
    }
    return {};
}

void DraftLength::measured(uint32_t drafted, uint32_t accepted, double seconds) {
    constexpr double kNew = 0.25;  // weight of what has just been measured
    if (drafted == 0) {
        pause_ -= pause_ > 0;
        ++pause_steps_;
        pause_seconds_ += seconds;
        pause_counts_ = pause_counts_ && seconds > 0;
        if (pause_ > 0)
            return;
        const double each = pause_seconds_ / pause_steps_;
        if (pause_counts_)
            plain_ = plain_ > 0 ? plain_ + kNew * (each - plain_) : each;
        pause_seconds_ = pause_steps_ = 0;
        pause_counts_ = true;
        return;
    }
    // What was asked for is not always found, so that all of few may be right.
    length_ = accepted == drafted ? std::max(length_, std::min(most_, drafted * 2))
                                  : std::max(1u, accepted + 1);
    if (plain_ == 0 || seconds <= 0)
        return;
    speed_ += kNew * ((accepted + 1) * plain_ / seconds - speed_);
    if (speed_ >= 1) {
        last_pause_ = kFirstPause / 2;
        return;
    }
    // Guessing costs more than it brings. Each try after a pause has to prove itself anew.
    pause_ = last_pause_ = std::min(kLongestPause, last_pause_ * 2);
    speed_ = 1;
}

}  // namespace olivine
