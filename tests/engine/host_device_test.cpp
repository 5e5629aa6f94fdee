// Running on a device that a host program has made and keeps.
#include <vulkan/vulkan.h>

#include <catch2/catch_test_macros.hpp>

#include "engine/host_device.h"
#include "engine/ops/ops.h"
#include "tests/support/device.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/reference.h"

namespace olivine::test {
namespace {

// The least that a host must have enabled: no 16-bit storage, no subgroup size control.
struct Host {
    Host() {
        VkApplicationInfo application{VK_STRUCTURE_TYPE_APPLICATION_INFO};
        application.apiVersion = VK_API_VERSION_1_3;
        VkInstanceCreateInfo instance_info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
        instance_info.pApplicationInfo = &application;
        REQUIRE(vkCreateInstance(&instance_info, nullptr, &device.instance) == VK_SUCCESS);
        uint32_t count = 1;
        REQUIRE(vkEnumeratePhysicalDevices(device.instance, &count, &device.physical_device) >= 0);
        REQUIRE(count == 1);

        const float priority = 1.0f;
        VkDeviceQueueCreateInfo queue{VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
        queue.queueCount = 1;
        queue.pQueuePriorities = &priority;
        synchronization2.synchronization2 = timeline.timelineSemaphore = VK_TRUE;
        info.queueCreateInfoCount = 1;
        info.pQueueCreateInfos = &queue;
        REQUIRE(vkCreateDevice(device.physical_device, &info, nullptr, &device.device) == VK_SUCCESS);
        vkGetDeviceQueue(device.device, 0, 0, &device.queue);
        info.queueCreateInfoCount = 0;  // what follows is only looked at for its features
        device.created_with = &info;
        device.lock = [this] { ++locks; };
        device.unlock = [this] { ++unlocks; };
    }
    ~Host() {
        vkDestroyDevice(device.device, nullptr);
        vkDestroyInstance(device.instance, nullptr);
    }

    HostDevice device;
    VkPhysicalDeviceSynchronization2Features synchronization2{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SYNCHRONIZATION_2_FEATURES};
    VkPhysicalDeviceTimelineSemaphoreFeatures timeline{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES, &synchronization2};
    VkDeviceCreateInfo info{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, &timeline};
    int locks = 0, unlocks = 0;
};

}  // namespace

TEST_CASE("an adopted device runs, and stays the host's", "[engine]") {
    Host host;
    const std::vector<float> src = random_floats(3 * 255, -3, 3, 1), weight = random_floats(255, -1, 1, 2);
    for (int round = 0; round < 2; ++round) {
        Device device(host.device, {});
        CHECK_FALSE(device.has(Rung::storage16));
        Ops ops(device);
        GuardedRows s(device, 3, 255, src), d(device, 3, 255);
        Guarded w = guarded(device, weight);
        const int before = host.locks;
        run(device, [&](Recorder& recorder) {
            ops.rms_norm.record(recorder, s.activation(), w.slice(), d.activation(), 1e-6f);
        });
        CHECK(nmse(rms_norm(src, weight, 1e-6), d.read()) < 1e-12);
        CHECK(host.locks > before);
        CHECK(host.locks == host.unlocks);
    }
    {
        // A loss is the host's to deal with.
        Device device(host.device, {});
        int runs = 0;
        CHECK_THROWS_AS(device.surviving([&] {
            ++runs;
            fail(Fault::device_lost, "A test says so.");
        }),
                        Error);
        CHECK(runs == 1);
    }
    // What it has not enabled is named.
    host.timeline.timelineSemaphore = VK_FALSE;
    const auto why = [&] {
        try {
            const Device refused(host.device, {});
        } catch (const Error& error) {
            return (error.fault() == Fault::unsupported ? "" : "other: ") + std::string(error.what());
        }
        return std::string("nothing");
    };
    CHECK(why().find("lacks the feature timelineSemaphore") != std::string::npos);
    host.timeline.timelineSemaphore = VK_TRUE;
    host.synchronization2.synchronization2 = VK_FALSE;
    CHECK(why().find("lacks the feature synchronization2") != std::string::npos);
    // Ours are gone; the host's device still works.
    CHECK(vkDeviceWaitIdle(host.device.device) == VK_SUCCESS);
}

}  // namespace olivine::test
