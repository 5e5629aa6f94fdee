// A device that is lost is set up anew, with all that is registered on it, and answers go on. Here
// somebody says that it is lost; tests/faults makes Vulkan say so.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "engine/remade.h"
#include "model/generator.h"
#include "tests/support/golden.h"

namespace olivine::test {
namespace {

[[noreturn]] void lose() {
    fail(Fault::device_lost, "A test says that the device is lost.");
}

Fault fault_of(const std::function<void()>& work) {
    try {
        work();
    } catch (const Error& error) {
        return error.fault();
    }
    FAIL("nothing is thrown");
    return {};
}

GenerateRequest request(std::vector<int32_t> prompt, uint64_t seed) {
    GenerateRequest request;
    request.prompt = std::move(prompt);
    request.max_tokens = 15;
    request.sampler = {.temperature = 0.9f, .repeat_penalty = 1.2f, .seed = seed};
    return request;
}

}  // namespace

TEST_CASE("what is registered on a lost device is made anew, in its order", "[engine]") {
    std::string order;
    DeviceOptions options;
    options.rebuilds = 2;
    options.rebuild_seconds = 1000;
    options.rebuilt = [&] { order += "!"; };
    Device device(options);
    const auto maker = [&](char name) {
        return [&, name](std::optional<Buffer>& made) {
            order += name;
            made.emplace(device, Arena::activations, 1000);
        };
    };
    Remade<Buffer> first(device, maker('a')), second(device, maker('b'));
    const uint64_t peak = device.bytes_peak(), allocations = device.counters().allocations;
    uint32_t runs = 0;
    const auto work = [&] {
        REQUIRE((first->mapped() && second->mapped()));
        if (++runs == 1)
            lose();
        return 5;
    };
    CHECK(device.surviving(work) == 5);
    CHECK(order == "abab!");
    CHECK(device.bytes_now() == 2 * 1008);
    CHECK(device.bytes_peak() == peak);
    CHECK(device.counters().allocations == allocations + 2);

    SECTION("so often and no more") {
        runs = 0;
        CHECK(fault_of([&] {
                  device.surviving([&] {
                      ++runs;
                      lose();
                  });
              }) == Fault::device_lost);
        CHECK(runs == 2);
        CHECK(order == "abab!ab!");
        CHECK(fault_of([&] { device.surviving([&] { ++runs; }); }) == Fault::device_lost);
        CHECK(runs == 2);
    }
    SECTION("not while something lives on it that nobody can make anew") {
        {
            const Buffer other(device, Arena::activations, 16);
            CHECK(fault_of([&] { device.surviving(lose); }) == Fault::device_lost);
        }
        CHECK(fault_of([&] { *first; }) == Fault::device_lost);
    }
    SECTION("other errors go up") {
        CHECK(fault_of([&] {
                  device.surviving([] { fail(Fault::bad_input, "A test throws this."); });
              }) == Fault::bad_input);
        CHECK(order == "abab!");
    }
}

TEST_CASE("losses long ago do not count", "[engine]") {
    DeviceOptions options;
    options.rebuilds = 1;
    options.rebuild_seconds = 0;
    Device device(options);
    for (int round = 0; round < 3; ++round) {
        int runs = 0;
        device.surviving([&] {
            if (++runs == 1)
                lose();
        });
        CHECK(runs == 2);
    }
}

TEST_CASE("answers go on with the same words on a device that was lost", "[model]") {
    enum Way : int { batch, guesses, draft_model };
    const int way = GENERATE(batch, guesses, draft_model);
    const bool as_gpu = GENERATE(false, true);
    CAPTURE(way, as_gpu);
    const auto checkpoint = Checkpoint::open(Golden("tiny-mqa").folder);
    DeviceOptions on;
    on.as_gpu = as_gpu;
    on.rebuilds = 3;
    Device device(on);
    Model model(device, *checkpoint);
    std::unique_ptr<Model> draft;
    if (way == draft_model)
        draft = std::make_unique<Model>(device, *checkpoint);
    Generator generator(
        model,
        {.context = 100, .sequences = 2, .drafts = way == batch ? 0u : 3u, .kv = KvType::f32},
        draft.get());
    std::vector<GenerateRequest> requests = {request({2, 10, 20, 30, 10, 20}, 1)};
    if (way == batch)
        requests.push_back(request({2, 5, 9}, 2));
    const std::vector<GenerateResult> right = generator.generate(requests);
    for (const uint32_t at : {1u, 8u, 15u}) {
        std::vector<std::vector<int32_t>> told(requests.size());
        bool lost = false;
        const std::vector<GenerateResult> results =
            generator.generate(requests, [&](uint32_t prompt, int32_t id) {
                told[prompt].push_back(id);
                if (told.back().size() == at && !std::exchange(lost, true))
                    lose();
                return true;
            });
        for (size_t i = 0; i < requests.size(); ++i) {
            CHECK(results[i].ids == right[i].ids);
            CHECK(results[i].end == right[i].end);
            CHECK(told[i] == right[i].ids);
        }
    }
}

TEST_CASE("pictures outlive the device that has encoded them", "[model][vision]") {
    const auto checkpoint = Checkpoint::open(Golden("tiny-vision").folder);
    Device device;
    Model model(device, *checkpoint);
    Generator generator(model, {.context = 128, .sequences = 1, .kv = KvType::f32});
    const Picture picture{30, 20, std::vector<uint32_t>(600, 0xff123456u)};
    bool lost = false;
    EncodeOptions encode;
    encode.progress = [&](uint32_t done, uint32_t) {
        if (done == 4 && !std::exchange(lost, true))
            lose();
    };
    const std::vector<PictureRef> encoded = model.encode({&picture, 1}, encode);
    CHECK(lost);
    std::vector<int32_t> prompt = {2, 10};
    prompt.insert(prompt.end(), model.config().mm_tokens_per_image, encoded[0]->id);
    prompt.push_back(20);
    const GenerateRequest asked = request(prompt, 3);
    const std::vector<int32_t> right = generator.generate({&asked, 1})[0].ids;
    size_t told = 0;
    CHECK(generator
              .generate({&asked, 1},
                        [&](uint32_t, int32_t) {
                            if (++told == 5)
                                lose();
                            return true;
                        })[0]
              .ids == right);
    // Known, and not encoded once more.
    encode.progress = [](uint32_t, uint32_t) { FAIL("it is encoded again"); };
    CHECK(model.encode({&picture, 1}, encode) == encoded);
}

}  // namespace olivine::test
