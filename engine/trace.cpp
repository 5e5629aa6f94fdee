#include "engine/trace.h"

namespace olivine {

double Trace::now() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Trace::add(Span span) {
    const std::lock_guard lock(mutex_);
    if (span.track == Span::Track::host)
        span.thread = threads_.try_emplace(std::this_thread::get_id(),
                                           static_cast<uint32_t>(threads_.size())).first->second;
    if (spans_.size() < kMost)
        spans_.push_back(std::move(span));
    else
        ++dropped_;
}

void Trace::host(std::string name, double begin) {
    const double end = now();
    add({.track = Span::Track::host, .name = std::move(name), .begin = begin, .seconds = end - begin});
}

std::vector<Span> Trace::spans() const {
    const std::lock_guard lock(mutex_);
    return spans_;
}

uint64_t Trace::dropped() const {
    const std::lock_guard lock(mutex_);
    return dropped_;
}

}  // namespace olivine
