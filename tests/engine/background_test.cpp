// Devices that let everything else go first.
#include <vulkan/vulkan.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>

#include "engine/device_impl.h"
#include "engine/ops/ops.h"
#include "engine/queue_infos.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/reference.h"
#include "tests/support/device.h"

namespace olivine::test {
namespace {

using Family = VkQueueFamilyGlobalPriorityPropertiesKHR;

Family family(const std::vector<VkQueueGlobalPriorityKHR>& listed) {
    Family made{VK_STRUCTURE_TYPE_QUEUE_FAMILY_GLOBAL_PRIORITY_PROPERTIES_KHR};
    made.priorityCount = static_cast<uint32_t>(listed.size());
    // What lies behind those that count is rubbish.
    std::fill(std::begin(made.priorities), std::end(made.priorities),
              VK_QUEUE_GLOBAL_PRIORITY_LOW_KHR);
    std::copy(listed.begin(), listed.end(), made.priorities);
    return made;
}

// Whether a queue asks for the system's lowest priority, and for nothing else of it.
bool asks_for_low(const VkDeviceQueueCreateInfo& info) {
    if (!info.pNext)
        return false;
    const auto& asked = *static_cast<const VkDeviceQueueGlobalPriorityCreateInfoKHR*>(info.pNext);
    return asked.sType == VK_STRUCTURE_TYPE_DEVICE_QUEUE_GLOBAL_PRIORITY_CREATE_INFO_KHR &&
           !asked.pNext && asked.globalPriority == VK_QUEUE_GLOBAL_PRIORITY_LOW_KHR;
}

}  // namespace

TEST_CASE("queues ask for the system's lowest priority exactly where it is listed",
          "[cpu][device]") {
    const Family with = family(
                     {VK_QUEUE_GLOBAL_PRIORITY_LOW_KHR, VK_QUEUE_GLOBAL_PRIORITY_MEDIUM_KHR}),
                 last =
                     family({VK_QUEUE_GLOBAL_PRIORITY_HIGH_KHR, VK_QUEUE_GLOBAL_PRIORITY_LOW_KHR}),
                 without = family({VK_QUEUE_GLOBAL_PRIORITY_MEDIUM_KHR}), none = family({});
    const bool background = GENERATE(true, false);
    CAPTURE(background);
    const auto check = [&](const std::vector<Family>& families, uint32_t compute,
                           DeviceInfo::CopyQueue copies, const std::vector<bool>& low) {
        QueueInfos queues(compute, copies, background, families);
        REQUIRE(queues.infos().size() == low.size());
        CHECK(queues.infos()[0].queueFamilyIndex == compute);
        CHECK(queues.infos().back().queueFamilyIndex == copies.family);
        bool any = false;
        for (size_t i = 0; i < low.size(); ++i) {
            const VkDeviceQueueCreateInfo& info = queues.infos()[i];
            CHECK(info.queueCount == (low.size() == 1 ? copies.index + 1 : 1));
            for (uint32_t queue = 0; queue < info.queueCount; ++queue)
                CHECK(info.pQueuePriorities[queue] == (background ? 0.0f : 0.5f));
            CHECK(asks_for_low(info) == (background && low[i]));
            any |= background && low[i];
        }
        CHECK(queues.low() == any);
        queues.ask_for_nothing();
        CHECK(!queues.low());
        CHECK(queues.infos()[0].pNext == nullptr);
    };
    check({with}, 0, {0, 0}, {true});
    check({last}, 0, {0, 1}, {true});
    check({without}, 0, {0, 0}, {false});
    check({none}, 0, {0, 1}, {false});
    check({}, 0, {0, 0}, {false});  // the device has no such thing
    // Each by its own family.
    check({without, with, last}, 1, {2, 0}, {true, true});
    check({with, without, with}, 1, {0, 0}, {false, true});
    check({with, with, none}, 1, {2, 0}, {true, false});
    check({with, without}, 1, {1, 0}, {false});
}

TEST_CASE("a device in the background computes the same", "[engine][device]") {
    DeviceOptions options;
    options.background = true;
    options.as_gpu = GENERATE(false, true);
    CAPTURE(options.as_gpu);
    Bench bench(options);
    const GlobalPriorities priorities = global_priorities(bench.device.impl().physical);
    CHECK(priorities.extensions.empty() == priorities.families.empty());
    for (const Family& each : priorities.families)
        CHECK(each.priorityCount > 0);
    const std::vector<float> src = random_floats(3 * 255, -3, 3, 1),
                             weight = random_floats(255, -1, 1, 2);
    GuardedRows s(bench.device, 3, 255, src), d(bench.device, 3, 255);
    const Guarded w = guarded(bench.device, weight);
    run(bench.device, [&](Recorder& recorder) {
        bench.ops.rms_norm.record(recorder, s.activation(), w.slice(), d.activation(), 1e-6f);
    });
    CHECK(nmse(rms_norm(src, weight, 1e-6), d.read()) < 1e-12);
    CHECK(bench.device.validation_messages() == 0);
}

}  // namespace olivine::test
