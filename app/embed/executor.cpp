#include "app/embed/executor.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace olivine {

Executor::Executor(bool in_ticks) : in_ticks_(in_ticks), thread_([this] { loop(); }) {}

Executor::~Executor() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = cancelled_ = true;
        jobs_.clear();
    }
    worker_.notify_all();
    thread_.join();
}

void Executor::add(const void* owner, std::function<void()> job) {
    assert(owner);
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back({owner, std::move(job)});
    }
    worker_.notify_all();
}

void Executor::stop(const void* owner) {
    std::unique_lock lock(mutex_);
    std::erase_if(jobs_, [&](const Job& job) { return job.owner == owner; });
    if (running_ != owner)
        return;
    cancelled_ = draining_ = true;
    worker_.notify_all();
    program_.wait(lock, [&] { return running_ != owner; });
    draining_ = false;
    worker_.notify_all();
}

bool Executor::busy() const {
    const std::lock_guard lock(mutex_);
    return running_ || !jobs_.empty();
}

void Executor::tick(std::chrono::microseconds budget) {
    std::unique_lock lock(mutex_);
    ++statistics_.ticks;
    if (!in_ticks_ || beside_ || (!running_ && jobs_.empty()))
        return;
    deadline_ = Clock::now() + budget;
    ticking_ = true;
    worker_.notify_all();
    program_.wait(lock, [&] { return !ticking_; });
}

// What the slice has taken that ends now.
Executor::Clock::duration Executor::end_slice() {
    const Clock::duration took = Clock::now() - slice_began_;
    ++statistics_.slices;
    statistics_.longest_slice =
        std::max(statistics_.longest_slice, std::chrono::duration<double>(took).count());
    return took;
}

void Executor::stand_still(std::unique_lock<std::mutex>& lock) {
    moving_ = false;
    program_.notify_all();
    worker_.wait(lock, [&] { return may_move(); });
    moving_ = true;
}

bool Executor::pause() {
    if (!on_my_thread())
        return false;
    std::unique_lock lock(mutex_);
    // The next slice takes about as long as the last.
    if (end_slice() + Clock::now() > deadline_)
        ticking_ = false;
    if (!may_move())
        stand_still(lock);
    slice_began_ = Clock::now();
    return cancelled_;
}

void Executor::beside(const std::function<void()>& wait) {
    if (!on_my_thread())
        return wait();
    {
        const std::lock_guard lock(mutex_);
        end_slice();
        beside_ = true;
        moving_ = ticking_ = false;
    }
    program_.notify_all();
    wait();  // throws nothing
    std::unique_lock lock(mutex_);
    beside_ = false;
    stand_still(lock);
    slice_began_ = Clock::now();
}

bool Executor::cancelled() const {
    const std::lock_guard lock(mutex_);
    return cancelled_;
}

void Executor::hold_for(const std::function<void()>& work) {
    {
        std::unique_lock lock(mutex_);
        held_ = true;
        program_.wait(lock, [&] { return !moving_; });
    }
    const auto release = [&] {
        const std::lock_guard lock(mutex_);
        held_ = false;
        worker_.notify_all();
    };
    try {
        work();  // not under the mutex: it may call the program, and that us
    } catch (...) {
        release();
        throw;
    }
    release();
}

Executor::Statistics Executor::statistics() {
    const std::lock_guard lock(mutex_);
    const Statistics now = statistics_;
    statistics_.longest_slice = 0;
    return now;
}

void Executor::loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
        worker_.wait(lock,
                     [&] { return stopping_ || (!jobs_.empty() && !draining_ && may_move()); });
        if (stopping_)
            return;
        Job job = std::move(jobs_.front());
        jobs_.pop_front();
        running_ = job.owner;
        cancelled_ = false;
        moving_ = true;
        slice_began_ = Clock::now();
        lock.unlock();
        job.work();
        job.work = nullptr;  // with what it holds
        lock.lock();
        if (end_slice() + Clock::now() > deadline_ || jobs_.empty())
            ticking_ = false;
        running_ = nullptr;
        moving_ = false;
        program_.notify_all();
    }
}

}  // namespace olivine
