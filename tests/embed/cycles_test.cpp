// Devices, models and sessions come and go a thousand times, whatever they are at, and leave
// nothing behind.
#include <malloc.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "app/embed/olivine.h"
#include "tests/embed/bare_device.h"

using namespace olivine::test;

namespace {

// With sanitizers, which keep freed memory and take their time, fewer, and what they hold says
// nothing.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
constexpr int kWarm = 8, kCycles = 40;
#else
constexpr bool kSanitized = false;
constexpr int kWarm = 100, kCycles = 1000;
#endif
// An answer needs its pipelines compiled, which takes longer than all else: one cycle of twenty has
// one.
constexpr int kAnswerEach = 20;
// 900 cycles leave 0.1 MiB of the heap in use, most of it until the 200th, in what the driver keeps
// for good. The resident set varies by 15 MiB, as glibc's arenas of threads that were fill up in
// turn (with MALLOC_ARENA_MAX=1 by 0.3), so it is for what is not of the heap.
constexpr uint64_t kHeapBytes = 512 << 10, kResidentBytes = 32 << 20;

// What the process has of the system.
struct Held {
    uint64_t heap = 0, resident = 0;  // bytes
    size_t threads = 0, files = 0;
};

size_t entries(const char* folder) {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder))
        ++count;
    return count;
}

Held held() {
    malloc_trim(0);  // what is free is the system's again
    uint64_t size = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    const struct mallinfo2 heap = mallinfo2();
    return {heap.uordblks + heap.hblkhd, resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)),
            entries("/proc/self/task"), entries("/proc/self/fd")};
}

// How far a cycle gets before everything is destroyed.
enum class Until { created, loading, asked, answering, answered };

void go_on(olv_device* device) {
    REQUIRE(olv_tick(device, 500) == OLV_OK);
    std::this_thread::sleep_for(std::chrono::microseconds(50));  // a worker needs no ticks
}

bool has_come(olv_device* device, olv_session* session, Until until) {
    for (;;) {
        go_on(device);
        olv_event event = OLV_EVENT;
        while (olv_next_event(session, &event) == OLV_OK) {
            if (event.kind == OLV_EVENT_ERROR)
                FAIL(event.text);
            if (event.kind == OLV_EVENT_DONE || until == Until::answering)
                return true;
        }
    }
}

void cycle(uint32_t work, const olv_vulkan* vulkan, Until until, bool one_by_one) {
    olv_device_options device_options = OLV_DEVICE_OPTIONS;
    device_options.work = work;
    device_options.vulkan = vulkan;
    olv_device* device = nullptr;
    REQUIRE(olv_device_create(&device_options, &device) == OLV_OK);
    olv_model_options model_options = OLV_MODEL_OPTIONS;
    model_options.path = OLIVINE_TEST_MODEL;
    model_options.context = 256;
    olv_model* model = nullptr;
    REQUIRE(olv_model_load(device, &model_options, &model) == OLV_OK);
    olv_session_options session_options = OLV_SESSION_OPTIONS;
    session_options.max_tokens = 4;
    olv_session* session = nullptr;
    REQUIRE(olv_session_create(model, &session_options, &session) == OLV_OK);
    float progress = 0;
    if (until == Until::loading)
        while (progress == 0) {
            go_on(device);
            REQUIRE(olv_model_state(model, nullptr, &progress) == OLV_OK);
        }
    if (until >= Until::asked)
        REQUIRE(olv_ask(session, "Hello?") == OLV_OK);
    if (until == Until::asked)
        go_on(device);
    if (until >= Until::answering)
        REQUIRE(has_come(device, session, until));
    if (one_by_one) {
        olv_session_destroy(session);
        olv_model_destroy(model);
        olv_stats stats = OLV_STATS;
        REQUIRE(olv_device_stats(device, &stats) == OLV_OK);
        REQUIRE(stats.bytes_now == 0);
    }
    olv_device_destroy(device);
}

void nth_cycle(int i) {
    const uint32_t work = i % 2 == 0 ? OLV_TICK : OLV_WORKER;
    const bool adopted = i / 2 % 2 == 1;
    std::optional<BareDevice> program;
    olv_vulkan vulkan = OLV_VULKAN;
    if (adopted)
        vulkan = program.emplace().vulkan();
    Until until = static_cast<Until>(i / 4 % 3);
    if (i / 4 % kAnswerEach == 0)
        until = i / 4 / kAnswerEach % 2 == 0 ? Until::answered : Until::answering;
    cycle(work, adopted ? &vulkan : nullptr, until, i % 3 == 0);
}

}  // namespace

TEST_CASE("a thousand devices, models and sessions leave nothing behind") {
    for (int i = 0; i < kWarm; ++i)
        nth_cycle(i);
    const Held before = held();
    for (int i = kWarm; i < kCycles; ++i)
        nth_cycle(i);
    Held after = held();
    // A thread that was waited for may still be listed for a moment.
    for (int i = 0; i < 1000 && after.threads > before.threads; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        after = held();
    }
    INFO("KiB of the heap, resident: " << before.heap / 1024 << ", " << before.resident / 1024
                                       << " after " << kWarm << " cycles, " << after.heap / 1024
                                       << ", " << after.resident / 1024 << " after " << kCycles);
    CHECK(after.threads == before.threads);
    CHECK(after.files == before.files);
    if (!kSanitized) {
        CHECK(after.heap <= before.heap + kHeapBytes);
        CHECK(after.resident <= before.resident + kResidentBytes);
    }
}
