// Three who talk: all that this game has to do with libolivine is in characters.cpp.
#pragma once

#include <olivine.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct Character {
    std::string name;
    std::string nature;                  // what only this one is told, after what all know
    std::vector<std::string> questions;  // that suit it
    olv_session* session = nullptr;
    std::string question, answer;  // the last ones; the answer grows while it talks
    bool busy = false;             // from ask() until the answer has ended
    uint32_t asked = 0, answered = 0, cancelled = 0, failed = 0;
    uint64_t tokens = 0;  // of answers that have ended
};

class Characters {
public:
    struct Options {
        std::string model;         // a folder or a .gguf file
        std::string cache_folder;  // of compiled pipelines; empty: none
        int device = -1;
        uint64_t seed = 1;
    };
    // Begins to load. Throws std::runtime_error with the sentence of olv_last_error().
    explicit Characters(const Options& options);

    // Once a frame: goes on for about `budget_us`, and hears what has been said. Throws when the
    // model cannot be loaded.
    void tick(uint32_t budget_us);
    bool ready() const { return ready_; }  // the loading screen may go
    float progress() const { return progress_; }

    std::array<Character, 3>& all() { return all_; }
    bool busy() const;
    // Nothing while the character is busy.
    void ask(Character& character, const std::string& question);
    void cancel(Character& character);
    void set_memory_budget(uint64_t bytes);  // 0: what the device has

    struct Work {
        double tick_ms = 0, longest_slice_ms = 0;  // of the last tick()
        uint64_t bytes_now = 0, bytes_peak = 0;    // of device memory
    };
    const Work& work() const { return work_; }
    const std::string& log() const { return log_; }  // the library's last line

private:
    void hear(Character& character);
    void put(Character& character, const std::string& question);

    struct Destroy {
        void operator()(olv_device* device) const { olv_device_destroy(device); }
    };
    std::unique_ptr<olv_device, Destroy> device_;  // models and sessions go with it
    olv_model* model_ = nullptr;
    std::array<Character, 3> all_;
    bool ready_ = false;
    float progress_ = 0;
    Work work_;
    std::string log_;
};
