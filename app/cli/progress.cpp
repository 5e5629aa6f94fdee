#include "app/cli/progress.h"

#include <algorithm>
#include <cstdio>

#include "app/cli/output.h"
#include "app/platform.h"
#include "app/text.h"

namespace olivine {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(300);  // what is done by then shows no bar
constexpr auto kInterval = std::chrono::milliseconds(50);
constexpr const char* kEraseLine = "\r\033[K";

}  // namespace

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)),
      terminal_(platform::error_is_terminal()),
      next_(std::chrono::steady_clock::now() + kPatience) {}

void ProgressBar::clear() {
    if (shown_)
        std::fputs(kEraseLine, stderr);
    shown_ = false;
}

bool ProgressBar::is_time() {
    if (!terminal_)
        return false;
    const auto now = std::chrono::steady_clock::now();
    if (now < next_)
        return false;
    next_ = now + kInterval;
    shown_ = true;
    return true;
}

void ProgressBar::show_bytes(uint64_t done, uint64_t total) {
    if (total == 0 || !is_time())
        return;
    const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    const std::string head = without_controls(label_);
    const std::string tail = " " + bytes_text(done) + " of " + bytes_text(total);
    const size_t columns = platform::terminal_columns();
    // One column stays free: some terminals wrap when the last one is written.
    const size_t taken = head.size() + tail.size() + 4;
    std::string line = head;
    if (columns >= taken + 5) {
        const size_t width = std::min<size_t>(40, columns - taken);
        const size_t full = static_cast<size_t>(part * static_cast<double>(width));
        line += " [" + std::string(full, '#') + std::string(width - full, ' ') + "]" + tail;
    } else {
        line += " " + std::to_string(static_cast<int>(part * 100)) + " %";
        line.resize(std::min(line.size(), columns > 1 ? columns - 1 : 1));
    }
    std::fprintf(stderr, "%s%s", kEraseLine, line.c_str());
}

void ProgressBar::show(const std::string& text) {
    if (!terminal_)
        return;
    shown_ = true;
    std::string line = without_controls(label_ + " " + text);
    line.resize(std::min<size_t>(line.size(), std::max(2u, platform::terminal_columns()) - 1));
    std::fprintf(stderr, "%s%s", kEraseLine, line.c_str());
}

}  // namespace olivine
