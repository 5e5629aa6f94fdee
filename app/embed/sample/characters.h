// Three who talk: all that this game has to do with libolivine is in characters.cpp.
#pragma once

#include <olivine.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "painting.h"
#include "vulkan.h"

struct Character {
    std::string name;
    std::string nature;                  // what only this one is told, after what all know
    std::vector<std::string> questions;  // that suit it
    bool sees = false;                   // the painting
    olv_session* session = nullptr;
    std::string question, answer;  // the last ones; the answer grows while it talks
    bool busy = false;             // from ask() until the answer has ended
    bool waits = false;            // for the next tick(), which puts the question
    uint32_t asked = 0, answered = 0, cancelled = 0, failed = 0;
    uint64_t tokens = 0;  // of answers that have ended
};

class Characters {
public:
    struct Options {
        std::string model;         // a folder or a .gguf file
        std::string cache_folder;  // of compiled pipelines; empty: none
        uint64_t seed = 1;
    };
    // On the game's own device, with its queue. Begins to load. Throws std::runtime_error with the
    // sentence of olv_last_error().
    Characters(Vulkan& vulkan, const Painting& painting, const Options& options);
    Characters(const Characters&) = delete;
    Characters& operator=(const Characters&) = delete;

    // Once a frame: puts the questions, goes on for about `budget_us`, and hears what has been
    // said. Throws when the model cannot be loaded.
    void tick(uint32_t budget_us);
    bool ready() const { return ready_; }  // the loading screen may go
    float progress() const { return progress_; }

    std::array<Character, 3>& all() { return all_; }
    bool busy() const;
    // Nothing while the character is busy. Put by the next tick(), so that who sees is shown what
    // the frame in between draws.
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
    void make_device(Vulkan& vulkan, const std::string& cache_folder);
    void note(Character& character, const std::string& question);
    void put(Character& character);
    void show_painting(Character& character);
    void hear(Character& character);
    void begin();

    struct Destroy {
        void operator()(olv_device* device) const { olv_device_destroy(device); }
    };
    std::unique_ptr<olv_device, Destroy> device_;  // models and sessions go with it
    olv_model* model_ = nullptr;
    const Painting& painting_;
    uint32_t shown_ = 0;  // number of the painting
    std::array<Character, 3> all_;
    bool warm_ = false, ready_ = false;
    float progress_ = 0;
    Work work_;
    std::string log_;
};
