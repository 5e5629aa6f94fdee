#include "engine/device.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>

#include "engine/buffer.h"
#include "engine/error.h"
#include "engine/upload.h"
#include "tests/support/device.h"

namespace olivine::test {
namespace {

struct Failure {
    Fault fault = Fault::internal;
    std::string text = "no error";
};

template <typename Action>
Failure failure_of(const Action& action) {
    try {
        action();
    } catch (const Error& error) {  // the thing under test
        return {error.fault(), error.what()};
    }
    return {};
}

}  // namespace

TEST_CASE("devices are listed with what they can do", "[engine][device]") {
    const std::vector<DeviceInfo> devices = list_devices();
    REQUIRE(!devices.empty());
    for (uint32_t i = 0; i < devices.size(); ++i) {
        const DeviceInfo& info = devices[i];
        CHECK(info.index == i);
        CHECK(!info.name.empty());
        CHECK(!info.driver.empty());
        if (!info.unusable.empty())
            continue;
        CHECK(info.memory_bytes > 0);
        const Capabilities& caps = info.capabilities;
        CHECK(caps.subgroup_size >= 1);
        CHECK(caps.max_range_bytes >= 1u << 27);
        CHECK(caps.offset_alignment <= 256);
        CHECK(caps.max_threads >= 128);
        CHECK(caps.enabled.without(caps.available).empty());
        CHECK(caps.enabled.has(Rung::subgroup) == caps.available.has(Rung::subgroup));
    }
}

TEST_CASE("a device that does not exist is bad input", "[engine][device]") {
    DeviceOptions options;
    options.index = 1000;
    const Failure failure = failure_of([&] { Device device(options); });
    CHECK(failure.fault == Fault::bad_input);
    CHECK(failure.text.find("1000") != std::string::npos);
}

TEST_CASE("rungs are read by name", "[cpu][device]") {
    CHECK(RungSet::parse("").names().empty());
    CHECK(RungSet::parse("coopmat2,int_dot").names() ==
          std::vector<std::string>{"int_dot", "coopmat2"});
    CHECK(RungSet::parse("subgroup").has(Rung::subgroup));
    CHECK(!RungSet::parse("subgroup").has(Rung::storage16));
    CHECK(RungSet::parse(",fp16,").names() == std::vector<std::string>{"fp16"});
    for (uint32_t i = 0; i < kRungs; ++i)
        CHECK(RungSet::parse(name(static_cast<Rung>(i))).has(static_cast<Rung>(i)));
    for (const char* bad : {"Subgroup", "subgroups", "sub", " fp16", "fp16;int_dot"}) {
        const Failure failure = failure_of([&] { RungSet::parse(bad); });
        CHECK(failure.fault == Fault::bad_input);
        CHECK(failure.text.find("coopmat_int8") != std::string::npos);  // lists what there is
    }
}

TEST_CASE("rungs that are switched off are not used", "[engine][device]") {
    DeviceOptions options;
    options.disabled = RungSet::parse("subgroup,storage16");
    const Device device(options);
    CHECK(!device.has(Rung::subgroup));
    CHECK(!device.has(Rung::storage16));
}

TEST_CASE("rungs are set aside for an operation, or for a class of its shapes", "[engine][device]") {
    Device device;
    const RungSet all = device.capabilities().enabled;
    REQUIRE(device.rungs("linear") == all);
    device.set_aside("linear long", Rung::subgroup);
    CHECK(!device.rungs("linear long").has(Rung::subgroup));
    CHECK(device.rungs("linear") == all);
    CHECK(device.rungs("linear longer") == all);
    device.set_aside("linear", Rung::subgroup);
    CHECK(!device.rungs("linear").has(Rung::subgroup));
    CHECK(!device.rungs("linear short").has(Rung::subgroup));
    CHECK(device.rungs("attention") == all);
    CHECK(device.capabilities().enabled == all);
}

TEST_CASE("buffers are zero, and counted against the budget", "[engine][device]") {
    DeviceOptions options;
    options.memory_budget = 1 << 20;
    options.as_gpu = GENERATE(false, true);
    CAPTURE(options.as_gpu);
    Device device(options);
    CHECK(device.budget_bytes() == 1 << 20);
    CHECK(device.bytes_now() == 0);
    {
        const Buffer buffer(device, Arena::kv, 1000);
        CHECK(buffer.bytes() == 1008);  // whole vec4s
        CHECK(device.bytes_in(Arena::kv) == 1008);
        CHECK(device.bytes_in(Arena::weights) == 0);
        std::vector<std::byte> contents(1008, std::byte{1});
        read(device, buffer.slice(), contents);
        CHECK(contents == std::vector<std::byte>(1008));

        const Failure failure = failure_of([&] { Buffer(device, Arena::weights, 2'000'000); });
        CHECK(failure.fault == Fault::out_of_memory);
        CHECK(failure.text.find("2000000") != std::string::npos);  // needed
        CHECK(failure.text.find("1047568") != std::string::npos);  // left: 1048576 - 1008
        CHECK(device.bytes_now() == 1008);
        // Nothing was lost: what fits still fits.
        const Buffer rest(device, Arena::weights, 500'000);
        CHECK(device.bytes_now() == 1008 + 500'000);
    }
    CHECK(device.bytes_now() == 0);
    CHECK(device.bytes_peak() >= 1008 + 500'000);
    CHECK(failure_of([&] { Buffer(device, Arena::kv, UINT64_MAX - 7); }).fault ==
          Fault::out_of_memory);
    CHECK(failure_of([&] { Buffer(device, Arena::kv, uint64_t{1} << 62); }).fault ==
          Fault::out_of_memory);
    CHECK(device.bytes_now() == 0);
    CHECK(device.validation_messages() == 0);
}

TEST_CASE("uploads arrive in order, also through the staging ring", "[engine][device]") {
    const std::string variant = GENERATE("all rungs", "as GPU");
    CAPTURE(variant);
    OpTest test(variant);
    constexpr uint32_t kParts = 7, kPartBytes = 4096;
    const Buffer buffer(test.device, Arena::weights, kParts * kPartBytes);
    const std::vector<uint32_t> words = random_words(kParts * kPartBytes / 4, 1);
    const std::span<const std::byte> bytes = std::as_bytes(std::span(words));
    Uploader uploader(test.device);
    for (uint32_t part = 0; part < kParts; ++part) {
        const std::span<std::byte> to = uploader.stage(buffer.slice(part * kPartBytes, kPartBytes));
        REQUIRE(to.size() == kPartBytes);
        std::copy_n(bytes.begin() + part * kPartBytes, kPartBytes, to.begin());
    }
    uploader.flush();
    std::vector<uint32_t> got(words.size());
    read(test.device, buffer.slice(), std::as_writable_bytes(std::span(got)));
    CHECK(got == words);
}

TEST_CASE("an upload that breaks off leaves nothing on its way", "[engine][device]") {
    OpTest test("as GPU");
    const uint64_t before = test.device.bytes_in(Arena::weights);
    const FileRows rows = random_rows(DataType::f32, 1024, 2048, 1);
    RowSource source = source_of(rows);
    const auto whole = source.read;
    source.read = [&](uint32_t first, uint32_t count, std::span<std::byte> out) {
        if (first > 300)  // then a part is on its way and one is staged
            fail(Fault::cancelled, "The upload is stopped on request.");
        whole(first, count, out);
    };
    const Failure failure = failure_of([&] {
        Uploader uploader(test.device);
        Matrix matrix(test.device, rows.type, rows.rows, rows.cols);
        matrix.upload(uploader, {&source, 1}, RowOrder::stacked);
    });
    CHECK(failure.fault == Fault::cancelled);
    CHECK(test.device.bytes_in(Arena::weights) == before);
}

}  // namespace olivine::test
