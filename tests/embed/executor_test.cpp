// The executor by itself, with jobs that are no Vulkan work: ThreadSanitizer sees all of its
// threads.
#include "app/embed/executor.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace olivine {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

const int kOne = 1, kOther = 2;  // owners

// A job of so many slices, which says what has become of it.
struct Work {
    Executor& executor;
    int slices;
    std::chrono::microseconds each = 1ms;
    std::atomic<int> done = 0;
    std::atomic<bool> began = false, ended = false, stopped = false;
    std::string text = "";  // unguarded: the executor orders who touches it

    void operator()() {
        began = true;
        for (; done < slices; ++done) {
            std::this_thread::sleep_for(each);
            text += 'x';
            executor.pause();
            if (executor.cancelled()) {
                stopped = true;
                break;
            }
        }
        ended = true;
    }
};

void wait_until(const std::atomic<bool>& flag) {
    while (!flag)
        std::this_thread::yield();
}

void tick_away(Executor& executor) {
    while (executor.busy())
        executor.tick(5ms);
}

}  // namespace

TEST_CASE("ticks are what jobs move in") {
    Executor executor(true);
    Work work{executor, 20};
    executor.add(&kOne, [&] { work(); });
    CHECK(executor.busy());
    std::this_thread::sleep_for(20ms);
    CHECK(!work.began);
    executor.tick(0us);
    CHECK(work.done <= 1);
    int ticks = 1, before = 0;
    while (executor.busy()) {
        const Clock::time_point begin = Clock::now();
        executor.tick(3ms);
        // No assumption but that slices are slept through, not that the system is on time.
        if (Clock::now() - begin < 3500us)
            CHECK(work.done - before <= 4);
        before = work.done;
        std::this_thread::sleep_for(1ms);
        CHECK(work.done == before);  // held still
        ++ticks;
    }
    CHECK((work.ended && !work.stopped));
    CHECK(work.text.size() == 20);
    CHECK(ticks > 4);
    const Executor::Statistics statistics = executor.statistics();
    CHECK(statistics.ticks == static_cast<uint32_t>(ticks));
    CHECK(statistics.slices == 21);  // and what is left behind the last pause
    CHECK(statistics.longest_slice >= 1e-3);
    CHECK(executor.statistics().longest_slice == 0);
    executor.tick(1s);  // nothing to do, so at once
}

TEST_CASE("a worker moves by itself, one job after another") {
    Executor executor(false);
    std::vector<int> order;
    std::atomic<bool> last = false;
    for (int i = 0; i < 5; ++i)
        executor.add(&kOne, [&, i] {
            executor.pause();
            order.push_back(i);
            last = i == 4;
        });
    wait_until(last);
    while (executor.busy())
        executor.tick(1ms);  // does nothing
    CHECK(order == std::vector<int>{0, 1, 2, 3, 4});
}

TEST_CASE("stopping ends the owner's jobs and no others") {
    const bool in_ticks = GENERATE(true, false);
    CAPTURE(in_ticks);
    Executor executor(in_ticks);
    Work first{executor, 1'000'000}, second{executor, 10}, others{executor, 10};
    executor.add(&kOne, [&] { first(); });
    executor.add(&kOne, [&] { second(); });
    executor.add(&kOther, [&] { others(); });
    SECTION("that runs") {
        while (first.done == 0)
            executor.tick(1ms);
        executor.stop(&kOne);
        CHECK((first.ended && first.stopped));
        CHECK(first.text.size() >= 1);
    }
    SECTION("that waits") {
        if (in_ticks) {
            executor.stop(&kOne);
            CHECK(!first.began);
        } else {
            executor.stop(&kOther);
            CHECK(!others.began);
            executor.add(&kOther, [&] { others(); });
            executor.stop(&kOne);
        }
    }
    tick_away(executor);
    CHECK(!second.began);
    CHECK((others.ended && !others.stopped));
    executor.stop(&kOne);  // nothing is there
}

TEST_CASE("a job that is stopped between ticks ends without one") {
    Executor executor(true);
    Work work{executor, 1'000'000};
    executor.add(&kOne, [&] { work(); });
    while (work.done < 3)
        executor.tick(1ms);
    executor.stop(&kOne);
    CHECK((work.ended && work.stopped));
    CHECK(!executor.busy());
}

TEST_CASE("jobs stand still while something else is done, and go on") {
    const bool in_ticks = GENERATE(true, false);
    CAPTURE(in_ticks);
    Executor executor(in_ticks);
    Work work{executor, 50};
    executor.add(&kOne, [&] { work(); });
    while (work.done == 0)
        executor.tick(1ms);
    for (int i = 0; i < 3; ++i) {
        executor.hold_for([&] {
            const std::string before = work.text;
            std::this_thread::sleep_for(5ms);
            CHECK(work.text == before);
        });
        executor.tick(1ms);
    }
    CHECK_THROWS_AS(executor.hold_for([] { throw std::string("as it comes"); }), std::string);
    tick_away(executor);
    CHECK(work.done == 50);
    bool held = false;
    executor.hold_for([&] { held = true; });  // between jobs
    CHECK(held);
}

TEST_CASE("no tick waits for what a job waits for beside") {
    Executor executor(true);
    std::atomic<bool> waits = false, may_go_on = false, gone_on = false;
    executor.add(&kOne, [&] {
        executor.beside([&] {
            waits = true;
            wait_until(may_go_on);
        });
        gone_on = true;
        while (!executor.cancelled())
            executor.pause();
    });
    executor.tick(1h);
    wait_until(waits);
    executor.tick(1h);
    bool held = false;
    executor.hold_for([&] { held = true; });
    CHECK(held);
    CHECK(executor.busy());
    may_go_on = true;
    std::this_thread::sleep_for(10ms);
    CHECK(!gone_on);  // but in a tick
    while (!gone_on)
        executor.tick(1ms);
    executor.stop(&kOne);
    CHECK(!executor.busy());

    // Here it is a wait like any other.
    bool waited = false;
    executor.beside([&] { waited = true; });
    executor.pause();
    CHECK(waited);
}

TEST_CASE("destroyed, it ends what runs and drops what waits, with what that holds") {
    const bool in_ticks = GENERATE(true, false);
    CAPTURE(in_ticks);
    const auto held = std::make_shared<int>(7);
    std::atomic<bool> began = false, stopped = false, waited = false;
    {
        Executor executor(in_ticks);
        executor.add(&kOne, [&, held] {
            began = true;
            while (!executor.cancelled()) {
                std::this_thread::sleep_for(1ms);
                executor.pause();
            }
            stopped = true;
        });
        executor.add(&kOther, [&, held] { waited = true; });
        CHECK(held.use_count() == 3);
        while (!began)
            executor.tick(1ms);
    }
    CHECK(stopped);
    CHECK(!waited);
    CHECK(held.use_count() == 1);
}

TEST_CASE("jobs come while others run") {
    Executor executor(false);
    std::atomic<int> sum = 0;
    for (int i = 0; i < 1000; ++i) {
        executor.add(&kOne, [&] {
            executor.pause();
            ++sum;
        });
        if (i % 50 == 0)
            executor.hold_for([] {});
    }
    tick_away(executor);
    CHECK(sum == 1000);
}

}  // namespace olivine
