// How much runs in one submission, so that none keeps the device for long.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace olivine {

// How many tokens of a prompt run together. What else draws on the device waits for a whole
// submission, and systems give a driver up that is silent for seconds. So chunks begin short and
// follow the measured time of a submission, which is a layer's. The same goes for rows of a
// picture, of one operation.
class Pace {
public:
    static constexpr uint32_t kFirst = 64, kLeast = 8;  // tokens
    static constexpr double kSeconds = 0.1;
    static constexpr double kLong = 2.5;  // times the seconds wanted: it must be cut otherwise

    // most: tokens that run at once, of which `first` to begin with, and never less than `least`.
    // seconds: of a submission, at most.
    explicit Pace(uint32_t most, double seconds = kSeconds, uint32_t first = kFirst, uint32_t least = kLeast)
        : most_(most), least_(least), tokens_(std::min(most, first)), seconds_(seconds) {}

    uint32_t tokens() const { return tokens_; }
    // Even the least takes long.
    bool too_long() const { return too_long_; }

    // The longest submission of a chunk of `tokens` took `seconds`. first: nothing like it had run before,
    // so that the driver may have spent the time with compiling: then only a short time says something.
    void measured(uint32_t tokens, double seconds, bool first) {
        if (seconds > seconds_ && first)
            return;
        too_long_ = seconds > kLong * seconds_ && tokens <= least_;
        // In proportion, which overrates longer chunks: what a submission costs by itself stays.
        const double fit = std::max(1.0, tokens * seconds_ / std::max(seconds, 1e-9));
        const uint32_t most = tokens * kGrowth;
        const uint32_t next = std::bit_floor(static_cast<uint32_t>(std::min<double>(fit, most)));
        // A short end of a prompt does not speak for chunks that have gone well.
        if (seconds > seconds_ || next > tokens_)
            tokens_ = std::min(most_, std::max(next, least_));
    }

private:
    static constexpr uint32_t kGrowth = 4;  // at once

    uint32_t most_, least_;
    uint32_t tokens_;
    double seconds_;
    bool too_long_ = false;
};

// How many decode steps run in one submission. Waiting for a step and submitting the next costs a
// GPU 18 to 75 us that it idles, which counts where a step takes a millisecond and not where it
// takes twenty.
class ChainLength {
public:
    static constexpr uint32_t kMost = 16;  // steps

    // seconds: of a chain, at most, unless a single step takes longer.
    explicit ChainLength(double seconds) : seconds_(seconds) {}

    uint32_t steps() const { return steps_; }
    // A chain of `steps`, 1 or more, took `seconds`.
    void measured(uint32_t steps, double seconds) {
        const double fit = seconds_ * steps / std::max(seconds, 1e-9);
        steps_ = static_cast<uint32_t>(std::clamp(fit, 1.0, double{kMost}));
    }

private:
    double seconds_;
    uint32_t steps_ = 1;
};

// How many layers of a decode step run in one submission. All of them, unless steps take long.
class StepSlices {
public:
    // wanted: seconds of a submission.
    StepSlices(uint32_t layers, double wanted) : layers_(layers), wanted_(wanted) {}

    // 0: the whole step is one.
    uint32_t layers_a_slice() const { return layers_a_slice_; }
    // A whole step took `seconds`. One alone says nothing: the machine may have been busy.
    void measured(double seconds) {
        const bool otherwise = layers_a_slice_ == 0 ? seconds > Pace::kLong * wanted_ : seconds <= wanted_;
        in_a_row_ = otherwise ? in_a_row_ + 1 : 0;
        if (in_a_row_ < 2)
            return;
        in_a_row_ = 0;
        layers_a_slice_ =
            layers_a_slice_ == 0 ? std::max(1u, static_cast<uint32_t>(layers_ * wanted_ / seconds)) : 0;
    }

private:
    uint32_t layers_;
    double wanted_;
    uint32_t layers_a_slice_ = 0, in_a_row_ = 0;
};

}  // namespace olivine
