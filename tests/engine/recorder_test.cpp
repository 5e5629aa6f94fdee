#include "engine/recorder.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>

#include "engine/error.h"
#include "engine/matrix.h"
#include "tests/support/device.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/reference.h"

namespace olivine::test {
namespace {

constexpr uint32_t kCols = 64;

// Rows of one buffer each, and the simplest operation between two of them.
struct Rows {
    explicit Rows(OpTest& op_test) : test(op_test) {
        for (uint32_t i = 0; i < 6; ++i)
            buffers.push_back(guarded(test.device, random_floats(kCols, -1, 1, i)));
    }
    Activation row(size_t i) const { return {buffers[i].slice(), 1, kCols, kCols}; }
    // to = rms_norm(from) with buffer 0 as the weight
    void norm(Recorder& recorder, size_t from, size_t to) {
        test.ops.rms_norm.record(recorder, row(from), buffers[0].slice(), row(to), 1e-6f);
    }
    OpTest& test;
    std::vector<Guarded> buffers;
};

}  // namespace

TEST_CASE("the recorder puts a barrier where one operation needs another, and only there",
          "[engine][recorder]") {
    OpTest test("all rungs");
    Rows rows(test);
    Recorder recorder(test.device, "barriers");
    const auto barriers = [&] {
        Plan plan = recorder.finish();
        plan.run();
        return plan.barriers();
    };

    SECTION("independent operations that read the same") {
        rows.norm(recorder, 1, 2);
        rows.norm(recorder, 1, 3);
        rows.norm(recorder, 1, 4);
        CHECK(barriers() == 0);
    }
    SECTION("read after write") {
        rows.norm(recorder, 1, 2);
        rows.norm(recorder, 2, 3);
        CHECK(barriers() == 1);
    }
    SECTION("write after read") {
        rows.norm(recorder, 1, 2);
        rows.norm(recorder, 3, 1);
        CHECK(barriers() == 1);
    }
    SECTION("write after write") {
        rows.norm(recorder, 1, 2);
        rows.norm(recorder, 3, 2);
        CHECK(barriers() == 1);
    }
    SECTION("one barrier serves everything before it") {
        rows.norm(recorder, 1, 2);
        rows.norm(recorder, 1, 3);
        rows.norm(recorder, 2, 4);  // barrier
        recorder.copy(rows.buffers[3].slice(), rows.buffers[1].slice());
        CHECK(barriers() == 1);
    }
    SECTION("a chain") {
        rows.norm(recorder, 1, 2);
        rows.norm(recorder, 2, 3);
        rows.norm(recorder, 3, 4);
        rows.norm(recorder, 4, 1);
        CHECK(barriers() == 3);
    }
    SECTION("a cut does not hide what came before") {
        rows.norm(recorder, 1, 2);
        recorder.cut();
        rows.norm(recorder, 2, 3);
        CHECK(barriers() == 1);
    }
    SECTION("copies and fills count as well") {
        recorder.fill(rows.buffers[2].slice(), 0);
        recorder.copy(rows.buffers[2].slice(), rows.buffers[3].slice());
        rows.norm(recorder, 3, 4);
        CHECK(barriers() == 2);
    }
    SECTION("different ranges of one buffer do not meet") {
        const Buffer shared(test.device, Arena::activations, 2048);
        recorder.fill(shared.slice(0, 256), 1);
        recorder.fill(shared.slice(256, 256), 2);
        recorder.copy(shared.slice(0, 256), shared.slice(1024, 256));  // barrier
        recorder.copy(shared.slice(256, 256), shared.slice(1280, 256));
        CHECK(barriers() == 1);
        std::vector<uint32_t> words(512);
        read(test.device, shared.slice(), std::as_writable_bytes(std::span(words)));
        CHECK(words[256] == 1);
        CHECK(words[256 + 63] == 1);
        CHECK(words[256 + 64] == 2);
        CHECK(words[511] == 0);
    }
    SECTION("what a shader reads at its address counts as read") {
        const Matrix weight(test.device, DataType::f32, kCols, kCols);
        test.ops.linear.record(recorder, weight, rows.row(1), rows.row(2));
        test.ops.linear.record(recorder, weight, rows.row(2), rows.row(3));  // barrier
        recorder.fill(rows.buffers[2].slice(), 0);                           // barrier
        const bool by_address = recorder.dispatches().front().shader.find("straight") != std::string::npos;
        CHECK(by_address == (test.device.capabilities().addresses &&
                             test.device.capabilities().subgroup_size == 8));
        CHECK(barriers() == 2);
    }
    SECTION("an indirect grid is read") {
        const Buffer scratch(test.device, Arena::activations, 4096);
        const Buffer grid(test.device, Arena::activations, 16);
        const Buffer counters(test.device, Arena::activations, 64);
        recorder.fill(grid.slice(), 1);
        const HeadShape shape{1, 1, 8};
        test.ops.attention.record_decode(
            recorder, rows.buffers[1].slice(),
            KvLayer::ring(rows.buffers[0].slice(), rows.buffers[0].slice(), KvType::f32, 8, 0),
            counters.slice(), grid.slice(), shape, 0, {rows.buffers[2].slice(), 1, 8, 8},
            {scratch.slice(), counters.slice(0, 16)});
        CHECK(barriers() == 1);
    }
}

TEST_CASE("a plan is submitted again without any other work", "[engine][recorder]") {
    OpTest test(GENERATE(from_range(variants())));
    Rows rows(test);
    Recorder recorder(test.device, "plan");
    rows.norm(recorder, 1, 2);
    rows.norm(recorder, 2, 3);
    Plan plan = recorder.finish();
    CHECK(plan.dispatches() == 2);
    CHECK(plan.slices() == 1);
    plan.run();
    const std::vector<float> first = rows.buffers[3].read<float>();

    const Counters& counters = test.device.counters();
    const uint64_t recordings = counters.recordings, allocations = counters.allocations;
    const uint64_t updates = counters.descriptor_updates, submissions = counters.submissions;
    const uint64_t dispatches = counters.dispatches_recorded, bytes = test.device.bytes_now();
    for (int i = 0; i < 8; ++i)
        plan.submit();
    const uint64_t last = plan.submit();  // nine in a chain, nobody waiting
    plan.wait(last);
    CHECK(counters.submissions == submissions + 9);
    CHECK(counters.recordings == recordings);
    CHECK(counters.allocations == allocations);
    CHECK(counters.descriptor_updates == updates);
    CHECK(counters.dispatches_recorded == dispatches);
    CHECK(test.device.bytes_now() == bytes);
    if (test.device.capabilities().timestamp_ns > 0)
        CHECK(plan.gpu_seconds() > 0);

    CHECK(rows.buffers[3].read<float>() == first);
    const std::vector<float> weight = rows.buffers[0].read<float>();
    const std::vector<double> once = rms_norm(rows.buffers[1].read<float>(), weight, 1e-6);
    CHECK(nmse(rms_norm(once, weight, 1e-6), first) < 1e-12);
}

TEST_CASE("a plan runs several times in one submission", "[engine][recorder]") {
    OpTest test("all rungs");
    Rows rows(test);
    Recorder recorder(test.device, "times");
    rows.norm(recorder, 1, 2);
    recorder.copy(rows.buffers[2].slice(), rows.buffers[1].slice());
    Plan plan = recorder.finish();
    const std::vector<float> weight = rows.buffers[0].read<float>();
    std::vector<double> want = rms_norm(rows.buffers[1].read<float>(), weight, 1e-6);
    want = rms_norm(want, weight, 1e-6);
    want = rms_norm(want, weight, 1e-6);
    const uint64_t submissions = test.device.counters().submissions;
    plan.wait(plan.submit(3));
    CHECK(test.device.counters().submissions == submissions + 1);
    CHECK(nmse(want, rows.buffers[1].read<float>()) < 1e-12);
}

TEST_CASE("dispatches depend on a word, where the device can do that", "[engine][recorder]") {
    OpTest test("all rungs");
    Rows rows(test);
    Guarded word = guarded(test.device, std::vector<uint32_t>{9});
    Recorder recorder(test.device, "if");
    rows.norm(recorder, 1, 2);
    recorder.only_if(word.slice());
    rows.norm(recorder, 1, 3);
    recorder.cut();
    rows.norm(recorder, 1, 4);
    recorder.only_if({});
    recorder.fill(word.slice(), 0);
    rows.norm(recorder, 1, 5);
    Plan plan = recorder.finish();
    const std::vector<float> before = rows.buffers[2].read<float>();
    plan.run();
    const std::vector<float> norm = rows.buffers[2].read<float>();
    CHECK(norm != before);
    for (const size_t i : {3u, 4u, 5u}) {
        CHECK(rows.buffers[i].read<float>() == norm);
        rows.buffers[i].write(before);
    }
    plan.run();  // the word is 0 now
    const bool runs = !test.device.capabilities().conditional;
    CHECK((rows.buffers[3].read<float>() == norm) == runs);
    CHECK((rows.buffers[4].read<float>() == norm) == runs);
    CHECK(rows.buffers[5].read<float>() == norm);
}

TEST_CASE("a plan stops between slices when asked", "[engine][recorder]") {
    OpTest test("all rungs");
    Rows rows(test);
    Recorder recorder(test.device, "slices");
    rows.norm(recorder, 1, 2);
    recorder.cut();
    rows.norm(recorder, 2, 3);
    recorder.cut();
    rows.norm(recorder, 3, 4);
    Plan plan = recorder.finish();
    CHECK(plan.slices() == 3);
    uint32_t asked = 0;
    try {
        plan.run([&] { return ++asked == 2; });
        FAIL("the plan ran to its end");
    } catch (const Error& error) {  // the thing under test
        CHECK(error.fault() == Fault::cancelled);
    }
    CHECK(asked == 2);
    asked = 0;
    plan.run([&] { return ++asked > 100; });
    CHECK(asked == 3);
}

TEST_CASE("a copy may lie at any multiple of four", "[engine][recorder]") {
    OpTest test("all rungs");
    const Buffer from(test.device, Arena::activations, 64), to(test.device, Arena::activations, 64);
    const std::vector<uint32_t> words = random_words(16, 1);
    write(test.device, from.slice(), std::as_bytes(std::span(words)));
    run(test.device,
        [&](Recorder& recorder) { recorder.copy(from.slice(4, 12), to.slice(20, 12)); });
    std::vector<uint32_t> got(16), want(16);
    read(test.device, to.slice(), std::as_writable_bytes(std::span(got)));
    std::copy_n(words.begin() + 1, 3, want.begin() + 5);
    CHECK(got == want);
}

TEST_CASE("folded grids hold at least the groups asked for", "[cpu][recorder]") {
    for (const uint32_t groups : {1u, 2u, 32768u, 32769u, 65536u, 262144u, 4000000u}) {
        const Grid grid = folded(groups);
        CHECK(uint64_t{grid.x} * grid.y >= groups);
        CHECK(grid.x <= 65535);
        CHECK(grid.y <= 65535);
        CHECK(grid.z == 1);
    }
}

}  // namespace olivine::test
