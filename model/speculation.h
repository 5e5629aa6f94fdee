// Guesses of the ids that come next, which one decode step then checks all together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace olivine {

// What followed the last time that `text` went on as it does now: looks for the latest earlier
// place of its last three ids, else of its last two, and returns up to `count` ids from behind it.
// Often right where an answer repeats the prompt: editing, quoting, code. Linear in text.
std::vector<int32_t> look_up(std::span<const int32_t> text, uint32_t count);

// How many ids to guess, by what guessing has brought so far.
class DraftLength {
public:
    explicit DraftLength(uint32_t most) : most_(most), length_(most > 2 ? most / 2 : most) {}

    // Guesses for the next step; 0 while guessing does not pay, and until a step without says what one costs.
    uint32_t next() const { return pause_ > 0 || plain_ == 0 ? 0 : length_; }
    // Steps without guesses until the next with them, as far as it knows.
    uint32_t pause() const { return pause_; }
    // A step with `drafted` guesses, of which the first `accepted` were right, took `seconds`; 0: a
    // time that says nothing, because the step was recorded or compiled in it. Steps without
    // guesses may run together, so that one of them has the time of several: they count as a whole,
    // when the pause is over.
    void measured(uint32_t drafted, uint32_t accepted, double seconds);

private:
    static constexpr uint32_t kFirstPause = 8, kLongestPause = 256;  // steps

    uint32_t most_, length_;
    uint32_t pause_ = 0, last_pause_ = kFirstPause / 2;
    double plain_ = 0;   // seconds an id without guesses; 0 = not known
    double pause_seconds_ = 0;
    uint32_t pause_steps_ = 0;
    bool pause_counts_ = true;  // none of its times says nothing
    double speed_ = 1;   // ids a plain step's time with guesses, lately
};

}  // namespace olivine
