// libolivine on a device that the program has made, with its queue, its memory and its images.
#include <vulkan/vulkan.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>
#include <map>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/embed/support.h"

using namespace olivine::test;

namespace {

// Not Catch2's, whose assertions are for one thread.
void require(VkResult result) {
    if (result != VK_SUCCESS)
        throw std::runtime_error("Vulkan says " + std::to_string(result));
}

// A program with a Vulkan device, under validation where that is installed.
struct Program {
    Program() {
        VkApplicationInfo application{VK_STRUCTURE_TYPE_APPLICATION_INFO};
        application.apiVersion = VK_API_VERSION_1_3;
        VkInstanceCreateInfo instance_info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
        instance_info.pApplicationInfo = &application;
        const char* layer = "VK_LAYER_KHRONOS_validation";
        const char* extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
        uint32_t count = 0;
        vkEnumerateInstanceLayerProperties(&count, nullptr);
        std::vector<VkLayerProperties> layers(count);
        vkEnumerateInstanceLayerProperties(&count, layers.data());
        const bool validates = std::ranges::any_of(
            layers, [&](const auto& each) { return std::string(each.layerName) == layer; });
        if (validates) {
            instance_info.enabledLayerCount = instance_info.enabledExtensionCount = 1;
            instance_info.ppEnabledLayerNames = &layer;
            instance_info.ppEnabledExtensionNames = &extension;
        }
        require(vkCreateInstance(&instance_info, nullptr, &instance));
        if (validates) {
            VkDebugUtilsMessengerCreateInfoEXT listen{
                VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT};
            listen.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT |
                                     VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT;
            listen.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT;
            listen.pUserData = this;
            listen.pfnUserCallback =
                [](VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT,
                   const VkDebugUtilsMessengerCallbackDataEXT* data, void* user) {
                    auto* program = static_cast<Program*>(user);
                    const std::lock_guard lock(program->messages_mutex);
                    program->messages.push_back(data->pMessage);
                    return VkBool32{VK_FALSE};
                };
            const auto create = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
                vkGetInstanceProcAddr(instance, "vkCreateDebugUtilsMessengerEXT"));
            require(create(instance, &listen, nullptr, &messenger));
        }
        count = 1;
        REQUIRE(vkEnumeratePhysicalDevices(instance, &count, &physical) >= 0);
        REQUIRE(count == 1);

        const float priority = 1.0f;
        VkDeviceQueueCreateInfo queue_info{VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
        queue_info.queueCount = 1;
        queue_info.pQueuePriorities = &priority;
        v12.timelineSemaphore = v13.synchronization2 = VK_TRUE;
        v12.bufferDeviceAddress = VK_TRUE;
        v13.subgroupSizeControl = v13.computeFullSubgroups = VK_TRUE;
        v12.pNext = &v13;
        created_with.pNext = &v12;
        created_with.queueCreateInfoCount = 1;
        created_with.pQueueCreateInfos = &queue_info;
        require(vkCreateDevice(physical, &created_with, nullptr, &device));
        created_with.pQueueCreateInfos = nullptr;  // not to be looked at any more
        vkGetDeviceQueue(device, 0, 0, &queue);
        VkCommandPoolCreateInfo pool_info{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
        require(vkCreateCommandPool(device, &pool_info, nullptr, &pool));
    }
    ~Program() {
        vkDeviceWaitIdle(device);
        for (const auto& [image, memory] : images) {
            vkDestroyImage(device, image, nullptr);
            vkFreeMemory(device, memory, nullptr);
        }
        vkDestroyCommandPool(device, pool, nullptr);
        vkDestroyDevice(device, nullptr);
        if (messenger)
            reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(vkGetInstanceProcAddr(
                instance, "vkDestroyDebugUtilsMessengerEXT"))(instance, messenger, nullptr);
        vkDestroyInstance(instance, nullptr);
        for (const std::string& message : messages)
            UNSCOPED_INFO(message);
        CHECK(messages.empty());
    }
    Program(const Program&) = delete;

    olv_vulkan vulkan() {
        olv_vulkan given = OLV_VULKAN;
        given.instance = instance;
        given.physical_device = physical;
        given.device = device;
        given.queue = queue;
        given.created_with = &created_with;
        given.user = this;
        given.lock = [](void* user) { static_cast<Program*>(user)->queue_mutex.lock(); };
        given.unlock = [](void* user) {
            ++static_cast<Program*>(user)->submissions;
            static_cast<Program*>(user)->queue_mutex.unlock();
        };
        return given;
    }

    uint32_t type_of(uint32_t bits, VkMemoryPropertyFlags wanted) const {
        VkPhysicalDeviceMemoryProperties memory{};
        vkGetPhysicalDeviceMemoryProperties(physical, &memory);
        for (uint32_t i = 0; i < memory.memoryTypeCount; ++i)
            if ((bits >> i & 1) && (memory.memoryTypes[i].propertyFlags & wanted) == wanted)
                return i;
        FAIL("There is no such memory.");
        return 0;
    }

    // Runs commands once, behind the lock, and does not wait.
    void submit(const std::function<void(VkCommandBuffer)>& record) {
        VkCommandBufferAllocateInfo allocate{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
        allocate.commandPool = pool;
        allocate.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
        allocate.commandBufferCount = 1;
        VkCommandBuffer commands{};
        require(vkAllocateCommandBuffers(device, &allocate, &commands));
        const VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
        require(vkBeginCommandBuffer(commands, &begin));
        record(commands);
        require(vkEndCommandBuffer(commands));
        VkSubmitInfo info{VK_STRUCTURE_TYPE_SUBMIT_INFO};
        info.commandBufferCount = 1;
        info.pCommandBuffers = &commands;
        const std::lock_guard lock(queue_mutex);
        require(vkQueueSubmit(queue, 1, &info, VK_NULL_HANDLE));
    }

    // An image in VK_IMAGE_LAYOUT_GENERAL that the queue fills: blue, with a red square in its
    // middle.
    VkImage draw(VkFormat format, uint32_t width, uint32_t height) {
        VkImageCreateInfo info{VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO};
        info.imageType = VK_IMAGE_TYPE_2D;
        info.format = format;
        info.extent = {width, height, 1};
        info.mipLevels = info.arrayLayers = 1;
        info.samples = VK_SAMPLE_COUNT_1_BIT;
        info.usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT;
        VkImage image{};
        require(vkCreateImage(device, &info, nullptr, &image));
        VkMemoryRequirements needs{};
        vkGetImageMemoryRequirements(device, image, &needs);
        VkMemoryAllocateInfo allocate{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO};
        allocate.allocationSize = needs.size;
        allocate.memoryTypeIndex = type_of(needs.memoryTypeBits, 0);
        VkDeviceMemory memory{};
        require(vkAllocateMemory(device, &allocate, nullptr, &memory));
        require(vkBindImageMemory(device, image, memory, 0));
        images[image] = memory;
        paint(image, {.float32 = {0, 0, 1, 1}}, VK_IMAGE_LAYOUT_UNDEFINED);
        return image;
    }

    void paint(VkImage image, const VkClearColorValue& colour, VkImageLayout from) {
        submit([&](VkCommandBuffer commands) {
            VkImageMemoryBarrier barrier{VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER};
            barrier.image = image;
            barrier.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1};
            barrier.srcQueueFamilyIndex = barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED;
            barrier.oldLayout = from;
            barrier.newLayout = VK_IMAGE_LAYOUT_GENERAL;
            barrier.srcAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;
            barrier.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
            vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                                 VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, nullptr, 0, nullptr, 1,
                                 &barrier);
            vkCmdClearColorImage(commands, image, VK_IMAGE_LAYOUT_GENERAL, &colour, 1,
                                 &barrier.subresourceRange);
        });
    }

    VkInstance instance{};
    VkDebugUtilsMessengerEXT messenger{};
    VkPhysicalDevice physical{};
    VkDevice device{};
    VkQueue queue{};
    VkCommandPool pool{};
    VkPhysicalDeviceVulkan13Features v13{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES};
    VkPhysicalDeviceVulkan12Features v12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkDeviceCreateInfo created_with{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO};
    std::map<VkImage, VkDeviceMemory> images;
    std::mutex queue_mutex, messages_mutex;
    int submissions = 0;
    std::vector<std::string> messages;
};

std::vector<uint32_t> plain(uint32_t width, uint32_t height, uint32_t pixel) {
    return std::vector<uint32_t>(size_t{width} * height, pixel);
}

}  // namespace

TEST_CASE("the program's device answers as one of our own does") {
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    std::string expected;
    {
        Opened own(work);
        expected = ask(own.device, own.session(kPersona), "Tell me a story.").text;
    }
    Program program;
    for (int round = 0; round < 2; ++round) {
        const olv_vulkan vulkan = program.vulkan();
        Opened it(work, 4, 1024, &vulkan);
        const Answer answer = ask(it.device, it.session(kPersona), "Tell me a story.");
        CHECK(answer.error == "");
        CHECK(answer.text == expected);
        CHECK(program.submissions > 10);
    }
    CHECK(vkDeviceWaitIdle(program.device) == VK_SUCCESS);
}

TEST_CASE("what the program's device lacks is named") {
    Program program;
    olv_vulkan vulkan = program.vulkan();
    olv_device_options options = OLV_DEVICE_OPTIONS;
    options.vulkan = &vulkan;
    olv_device* device = nullptr;
    const auto why = [&](olv_result expected) {
        CHECK(olv_device_create(&options, &device) == expected);
        CHECK(!device);
        return std::string(olv_last_error());
    };
    program.v13.synchronization2 = VK_FALSE;
    CHECK(why(OLV_UNSUPPORTED).find("synchronization2") != std::string::npos);
    program.v13.synchronization2 = VK_TRUE;
    program.v12.timelineSemaphore = VK_FALSE;
    CHECK(why(OLV_UNSUPPORTED).find("timelineSemaphore") != std::string::npos);
    program.v12.timelineSemaphore = VK_TRUE;
    vulkan.queue_family = 77;
    CHECK(why(OLV_BAD_INPUT).find("77") != std::string::npos);
    vulkan.queue_family = 0;
    vulkan.unlock = nullptr;
    CHECK(why(OLV_BAD_INPUT).find("lock") != std::string::npos);
    vulkan = program.vulkan();
    vulkan.queue = nullptr;
    CHECK(why(OLV_BAD_INPUT) == "olv_vulkan.queue is null.");
    vulkan = program.vulkan();
    vulkan.size = 3;
    CHECK(why(OLV_BAD_INPUT).find("not initialised") != std::string::npos);
}

TEST_CASE("the program submits to its queue from another thread") {
    const uint32_t work = GENERATE(as<uint32_t>{}, OLV_TICK, OLV_WORKER);
    Program program;
    const VkImage image = program.draw(VK_FORMAT_R8G8B8A8_UNORM, 64, 64);
    const olv_vulkan vulkan = program.vulkan();
    Opened it(work, 4, 1024, &vulkan);
    std::atomic<bool> stop = false;
    std::atomic<int> painted = 0;
    std::thread renderer([&] {
        while (!stop) {
            program.paint(image, {.float32 = {0, 1, 0, 1}}, VK_IMAGE_LAYOUT_GENERAL);
            ++painted;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    const Answer answer = ask(it.device, it.session(kPersona), "Tell me a story.");
    stop = true;
    renderer.join();
    CHECK(answer.error == "");
    CHECK(answer.text.size() > 10);
    CHECK(painted > 5);
}

TEST_CASE("the program allocates the device's memory") {
    Program program;
    struct Heap {
        Program& program;
        uint64_t bytes = 0, most = 0, refuse_above = UINT64_MAX;
        int pieces = 0;
    } heap{program};
    olv_vulkan vulkan = program.vulkan();
    vulkan.lock = vulkan.unlock = nullptr;
    vulkan.user = &heap;
    vulkan.allocate = [](void* user, const olv_memory_request* request, olv_memory* memory) {
        auto& all = *static_cast<Heap*>(user);
        if (all.bytes + request->bytes > all.refuse_above)
            return 1;
        // A little late in its memory, as a pool would give it.
        VkMemoryAllocateFlagsInfo flags{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO};
        flags.flags = request->address ? VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT : 0;
        VkMemoryAllocateInfo info{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, &flags};
        info.allocationSize = request->bytes + request->alignment;
        info.memoryTypeIndex = request->memory_type;
        VkDeviceMemory made{};
        if (vkAllocateMemory(all.program.device, &info, nullptr, &made) != VK_SUCCESS)
            return 1;
        void* address = nullptr;
        if (request->map)
            vkMapMemory(all.program.device, made, request->alignment, request->bytes, 0, &address);
        memory->memory = std::bit_cast<uint64_t>(made);
        memory->offset = request->alignment;
        memory->mapped = address;
        memory->handle = new uint64_t(request->bytes);
        all.bytes += request->bytes;
        all.most = std::max(all.most, all.bytes);
        ++all.pieces;
        return 0;
    };
    vulkan.free = [](void* user, const olv_memory* memory) {
        auto& all = *static_cast<Heap*>(user);
        auto* bytes = static_cast<uint64_t*>(memory->handle);
        all.bytes -= *bytes;
        --all.pieces;
        delete bytes;
        vkFreeMemory(all.program.device, std::bit_cast<VkDeviceMemory>(memory->memory), nullptr);
    };
    {
        Opened it(OLV_TICK, 2, 512, &vulkan);
        const Answer answer = ask(it.device, it.session(kPersona), "Tell me a story.");
        CHECK(answer.error == "");
        CHECK(answer.text.size() > 10);
        olv_stats stats = OLV_STATS;
        REQUIRE(olv_device_stats(it.device, &stats) == OLV_OK);
        CHECK(heap.bytes >= stats.bytes_now);  // all that there is
        olv_model_destroy(it.model);
        CHECK(heap.bytes == 0);  // "taken and never returned"
        REQUIRE(olv_device_stats(it.device, &stats) == OLV_OK);
        CHECK(stats.bytes_now == 0);
    }
    CHECK(heap.pieces == 0);
    heap.refuse_above = heap.most / 2;
    {
        Opened it(OLV_TICK, 2, 512, &vulkan);
        CHECK(ask(it.device, it.session(), "Hello?").last.result == OLV_OUT_OF_MEMORY);
        CHECK(olv_model_state(it.model, nullptr, nullptr) == OLV_OUT_OF_MEMORY);
        heap.refuse_above = UINT64_MAX;
    }
    CHECK(heap.pieces == 0);
}

TEST_CASE("an image on the device goes into a question without passing through the host") {
    const VkFormat format = GENERATE(VK_FORMAT_R8G8B8A8_UNORM, VK_FORMAT_B8G8R8A8_SRGB);
    constexpr uint32_t kWidth = 300, kHeight = 200;
    constexpr const char* kQuestion = "What do you see?";
    Program program;
    const VkImage image = program.draw(format, kWidth, kHeight);  // blue
    const olv_vulkan vulkan = program.vulkan();
    Opened it(OLV_TICK, 4, 1024, &vulkan);
    const auto stats = [&] {
        olv_stats now = OLV_STATS;
        REQUIRE(olv_device_stats(it.device, &now) == OLV_OK);
        return now;
    };
    // Compiles, and brings the encoder.
    olv_session* session = it.session();
    const std::vector<uint32_t> green = plain(kWidth, kHeight, 0xff00ff00);
    REQUIRE(olv_push_pixels(session, green.data(), kWidth, kHeight, 0) == OLV_OK);
    const Answer other = ask(it.device, session, kQuestion);

    session = it.session();
    const olv_stats before = stats();
    const olv_vulkan_image from{.size = sizeof from,
                                .format = static_cast<uint32_t>(format),
                                .layout = VK_IMAGE_LAYOUT_GENERAL,
                                .width = kWidth,
                                .height = kHeight,
                                .image = std::bit_cast<uint64_t>(image)};
    REQUIRE(olv_push_vulkan_image(session, &from) == OLV_OK);
    program.paint(image, {.float32 = {0, 1, 0, 1}}, VK_IMAGE_LAYOUT_GENERAL);  // the next frame
    const Answer on_device = ask(it.device, session, kQuestion);
    const olv_stats between = stats();

    // The same pixels from the host: more of the host's bytes by as many as there are.
    session = it.session();
    const std::vector<uint32_t> blue = plain(kWidth, kHeight, 0xffff0000);
    REQUIRE(olv_push_pixels(session, blue.data(), kWidth, kHeight, 0) == OLV_OK);
    const Answer from_host = ask(it.device, session, kQuestion);
    const olv_stats after = stats();
    CHECK(on_device.error == "");
    CHECK(on_device.text == from_host.text);
    CHECK(on_device.text != other.text);
    CHECK(on_device.last.prompt_tokens == from_host.last.prompt_tokens);
    const uint64_t bytes = uint64_t{kWidth} * kHeight * 4;
    CHECK(after.bytes_written - between.bytes_written ==
          between.bytes_written - before.bytes_written + bytes);
    CHECK(after.bytes_read - between.bytes_read == between.bytes_read - before.bytes_read);
    CHECK(between.bytes_read - before.bytes_read < bytes);
}

TEST_CASE("pictures that cannot be are refused at once") {
    Program program;
    const olv_vulkan vulkan = program.vulkan();
    Opened it(OLV_TICK, 4, 1024, &vulkan);
    olv_session* session = it.session();
    const std::array<uint32_t, 4> pixels{};
    CHECK(olv_push_pixels(session, nullptr, 2, 2, 0) == OLV_BAD_INPUT);
    CHECK(olv_push_pixels(session, pixels.data(), 0, 2, 0) == OLV_BAD_INPUT);
    CHECK(olv_push_pixels(session, pixels.data(), 2, 2, 4) == OLV_BAD_INPUT);
    CHECK(olv_push_picture(session, "no picture", 10) == OLV_BAD_FILE);
    olv_vulkan_image image = OLV_VULKAN_IMAGE;
    CHECK(olv_push_vulkan_image(session, &image) == OLV_BAD_INPUT);
    image.image = std::bit_cast<uint64_t>(program.draw(VK_FORMAT_R16G16B16A16_SFLOAT, 8, 8));
    image.width = image.height = 8;
    image.layout = VK_IMAGE_LAYOUT_GENERAL;
    image.format = VK_FORMAT_R16G16B16A16_SFLOAT;
    CHECK(olv_push_vulkan_image(session, &image) == OLV_UNSUPPORTED);
    CHECK(std::string(olv_last_error()).find(std::to_string(image.format)) != std::string::npos);
    image.width = 1u << 20;
    CHECK(olv_push_vulkan_image(session, &image) == OLV_BAD_INPUT);
    image.width = 8;
    image.format = VK_FORMAT_R8G8B8A8_UNORM;
    image.layout = VK_IMAGE_LAYOUT_UNDEFINED;
    CHECK(olv_push_vulkan_image(session, &image) == OLV_BAD_INPUT);
    CHECK(std::string(olv_last_error()).find("layout is 0") != std::string::npos);
    Opened own(OLV_TICK);
    CHECK(olv_push_vulkan_image(own.session(), &image) == OLV_BAD_INPUT);
    CHECK(olv_push_vulkan_image(nullptr, &image) == OLV_BAD_INPUT);
}
