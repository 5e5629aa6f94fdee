#include "engine/trace.h"

#include <catch2/catch_test_macros.hpp>

#include "engine/recorder.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/reference.h"
#include "tests/support/device.h"

namespace olivine::test {
namespace {

// A device whose plans are told of while it lives.
struct Traced {
    Traced() : trace(std::make_shared<Trace>()) { test.device.set_trace(trace); }
    ~Traced() { test.device.set_trace(nullptr); }

    std::vector<Span> of(Span::Track track) const {
        std::vector<Span> spans = trace->spans();
        std::erase_if(spans, [&](const Span& span) { return span.track != track; });
        return spans;
    }

    OpTest test{"all rungs"};
    std::shared_ptr<Trace> trace;
};

}  // namespace

TEST_CASE("a trace has every operation and slice of a plan, in order and within its submission",
          "[engine][trace]") {
    Traced traced;
    Device& device = traced.test.device;
    if (device.capabilities().timestamp_bits == 0)
        SKIP("the device has no timestamps");
    const Guarded values = guarded(device, random_floats(64, -1, 1, 1)), to(device, 256);
    const Activation from{values.slice(), 1, 64, 64}, result{to.slice(), 1, 64, 64};
    Recorder recorder(device, "work");
    traced.test.ops.rms_norm.record(recorder, from, values.slice(), result, 1e-6f);
    recorder.copy(values.slice(), to.slice());
    recorder.cut();
    recorder.fill(to.slice(), 7);
    Plan plan = recorder.finish();

    const double before = traced.trace->now();
    SECTION("slice by slice") {
        plan.run();
    }
    SECTION("in one submission") {
        plan.wait(plan.submit());
        CHECK(traced.of(Span::Track::host).front().name == "submit work");
    }
    const double after = traced.trace->now();

    const std::vector<Span> operations = traced.of(Span::Track::dispatch);
    REQUIRE(operations.size() == 3);
    CHECK(operations[0].name.starts_with("rms_norm"));
    CHECK(operations[0].bytes == 3 * 256);
    CHECK(operations[1].name == "copy");
    CHECK(operations[1].bytes == 2 * 256);
    CHECK(operations[2].name == "fill");
    const std::vector<Span> slices = traced.of(Span::Track::slice);
    REQUIRE(slices.size() == 2);
    double last = before;
    for (const Span& span : operations) {
        CHECK(span.begin >= last - 1e-9);
        CHECK(span.seconds >= 0);
        last = span.begin + span.seconds;
    }
    CHECK(last <= after + 1e-9);
    CHECK(slices[0].name == "work");
    CHECK(slices[0].begin == operations[0].begin);
    CHECK(slices[1].begin >= slices[0].begin + slices[0].seconds - 1e-9);
    const std::vector<Span> host = traced.of(Span::Track::host);
    CHECK(host.back().name == "wait for work");

    plan.run();  // the same plan once more
    CHECK(traced.of(Span::Track::dispatch).size() == 6);
}

TEST_CASE("a plan that was recorded without a trace tells nothing", "[engine][trace]") {
    OpTest test("all rungs");
    const Guarded memory(test.device, 256);
    Recorder recorder(test.device, "quiet");
    recorder.fill(memory.slice(), 1);
    Plan plan = recorder.finish();
    const auto trace = std::make_shared<Trace>();
    test.device.set_trace(trace);
    plan.run();
    test.device.set_trace(nullptr);
    CHECK(trace->spans().empty());
}

TEST_CASE("threads have rows of their own, and a full trace counts what it drops", "[cpu][trace]") {
    Trace trace;
    trace.host("first", trace.now());
    std::thread([&] { trace.host("other", 0); }).join();
    trace.host("first again", trace.now());
    const std::vector<Span> spans = trace.spans();
    REQUIRE(spans.size() == 3);
    CHECK(spans[0].thread == spans[2].thread);
    CHECK(spans[1].thread != spans[0].thread);
    CHECK(spans[1].seconds > 0);
    for (size_t i = 0; i < Trace::kMost; ++i)
        trace.add({});
    CHECK(trace.spans().size() == Trace::kMost);
    CHECK(trace.dropped() == 3);
}

}  // namespace olivine::test
