// Work that takes long, on a thread that the program may hold still between slices.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace olivine {

class Executor {
public:
    // in_ticks: jobs run only while somebody is in tick().
    explicit Executor(bool in_ticks);
    ~Executor();  // stops the job that runs, and drops those that wait
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;

    // Jobs run one after another, and never throw. owner: for stop().
    void add(const void* owner, std::function<void()> job);
    // Drops the owner's jobs; returns when none of them runs: the pause() of one that does says so.
    void stop(const void* owner);
    bool busy() const;

    // in_ticks: lets jobs run for `budget` and one slice; returns early when there are none, or
    // when the one that runs is waiting beside.
    void tick(std::chrono::microseconds budget);

    // For jobs, between slices: here they are held still. True: this one is to end. (On other
    // threads it does nothing, and says no.)
    bool pause();
    // For jobs: runs a wait for something that uses neither the device nor what the program may
    // touch; a tick does not wait for it.
    void beside(const std::function<void()>& wait);
    // For jobs: this one is to end.
    bool cancelled() const;

    // Runs `work` on this thread while no job moves: the one that runs is in pause() or beside(),
    // somewhere in its middle. So `work` leaves alone what jobs are about; who has that to do adds
    // a job.
    void hold_for(const std::function<void()>& work);

    struct Statistics {
        uint32_t ticks = 0;
        uint64_t slices = 0;
        double longest_slice = 0;  // seconds, since they were last asked for
    };
    Statistics statistics();

private:
    using Clock = std::chrono::steady_clock;
    struct Job {
        const void* owner = nullptr;
        std::function<void()> work;
    };
    void loop();
    bool may_move() const { return !held_ && (!in_ticks_ || ticking_ || draining_ || stopping_); }
    bool on_my_thread() const { return std::this_thread::get_id() == thread_.get_id(); }
    void stand_still(std::unique_lock<std::mutex>& lock);
    Clock::duration end_slice();

    const bool in_ticks_;
    mutable std::mutex mutex_;
    std::condition_variable worker_, program_;  // who waits
    std::deque<Job> jobs_;
    const void* running_ = nullptr;  // the owner; jobs have one
    bool cancelled_ = false;         // the job that runs is to end
    bool moving_ = false;            // it is not in pause() or beside()
    bool beside_ = false;
    bool ticking_ = false, draining_ = false, held_ = false, stopping_ = false;
    Clock::time_point deadline_, slice_began_;
    Statistics statistics_;
    std::thread thread_;  // the last: it uses the others
};

}  // namespace olivine
