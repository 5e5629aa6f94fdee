// A bar on standard error that shows how far something is. Nothing at all without a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace olivine {

class ProgressBar {
public:
    explicit ProgressBar(std::string label);
    ~ProgressBar() { clear(); }
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    void show_bytes(uint64_t done, uint64_t total);
    // A line of text instead of a bar.
    void show(const std::string& text);
    void clear();  // takes either away

private:
    bool is_time();

    std::string label_;
    bool terminal_;
    bool shown_ = false;
    std::chrono::steady_clock::time_point next_;
};

}  // namespace olivine
