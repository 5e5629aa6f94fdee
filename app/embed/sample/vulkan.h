// The game's own Vulkan: a device with one queue, and the few kinds of objects that it makes.
#pragma once

#include <vulkan/vulkan.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

// Throws std::runtime_error with the call and its result unless that is VK_SUCCESS.
void check(VkResult result, const char* call);
#define VK(call) check(call, #call)

// Owns one object of a VkDevice. Moves, never copies; empty after a move.
template <typename T, auto Destroy>
class Handle {
public:
    Handle() = default;
    Handle(VkDevice device, T object) : device_(device), object_(object) {}
    Handle(Handle&& other) noexcept
        : device_(other.device_), object_(std::exchange(other.object_, T{})) {}
    Handle& operator=(Handle&& other) noexcept {
        std::swap(device_, other.device_);
        std::swap(object_, other.object_);
        return *this;
    }
    ~Handle() {
        if (object_)
            Destroy(device_, object_, nullptr);
    }
    T get() const { return object_; }

private:
    VkDevice device_{};
    T object_{};
};

using Memory = Handle<VkDeviceMemory, vkFreeMemory>;
using Fence = Handle<VkFence, vkDestroyFence>;
using Semaphore = Handle<VkSemaphore, vkDestroySemaphore>;
using CommandPool = Handle<VkCommandPool, vkDestroyCommandPool>;
using Sampler = Handle<VkSampler, vkDestroySampler>;
using SetLayout = Handle<VkDescriptorSetLayout, vkDestroyDescriptorSetLayout>;
using DescriptorPool = Handle<VkDescriptorPool, vkDestroyDescriptorPool>;
using PipelineLayout = Handle<VkPipelineLayout, vkDestroyPipelineLayout>;
using Pipeline = Handle<VkPipeline, vkDestroyPipeline>;

class Vulkan {
public:
    struct Wanted {
        std::vector<const char*> instance_extensions, device_extensions;
        int number = -1;  // of the device, as vkEnumeratePhysicalDevices() counts; -1: the best one
        bool validate = false;  // with VK_LAYER_KHRONOS_validation, on standard error
    };
    explicit Vulkan(const Wanted& wanted);
    Vulkan(const Vulkan&) = delete;
    Vulkan& operator=(const Vulkan&) = delete;
    ~Vulkan();

    VkInstance instance() const { return instance_.get(); }
    VkPhysicalDevice physical() const { return physical_; }
    VkDevice device() const { return device_.get(); }
    VkQueue queue() const { return queue_; }
    uint32_t queue_family() const { return family_; }
    const std::string& name() const { return name_; }
    // What the device was made with: which features and extensions are on.
    const VkDeviceCreateInfo& device_info() const { return device_info_; }
    // Held by whoever submits to the queue: the game and, through its callbacks, libolivine.
    std::mutex& queue_mutex() { return queue_mutex_; }
    void wait_idle();  // for all that was submitted
    uint64_t validation_messages() const { return validation_messages_; }

    Memory allocate(const VkMemoryRequirements& needs, VkMemoryPropertyFlags wanted) const;

private:
    void make_instance(const Wanted& wanted);
    void pick_physical(int number);
    void make_device(const std::vector<const char*>& extensions);

    struct Destroy {
        void operator()(VkInstance instance) const { vkDestroyInstance(instance, nullptr); }
        void operator()(VkDevice device) const { vkDestroyDevice(device, nullptr); }
    };
    std::unique_ptr<VkInstance_T, Destroy> instance_;
    VkDebugUtilsMessengerEXT messenger_{};
    uint64_t validation_messages_ = 0;
    VkPhysicalDevice physical_{};
    uint32_t family_ = 0;
    std::string name_;
    std::vector<const char*> extensions_;
    VkPhysicalDeviceFeatures2 features_{};
    VkPhysicalDeviceVulkan11Features features11_{};
    VkPhysicalDeviceVulkan12Features features12_{};
    VkPhysicalDeviceVulkan13Features features13_{};
    VkDeviceQueueCreateInfo queue_info_{};
    VkDeviceCreateInfo device_info_{};
    std::unique_ptr<VkDevice_T, Destroy> device_;
    VkQueue queue_{};
    std::mutex queue_mutex_;
};

// A buffer that the host writes, or reads, through `data`.
struct Buffer {
    Buffer() = default;
    Buffer(const Vulkan& vulkan, VkDeviceSize size, VkBufferUsageFlags usage);

    Memory memory;
    Handle<VkBuffer, vkDestroyBuffer> buffer;
    VkDeviceSize bytes = 0;
    void* data = nullptr;
};

struct Image {
    Image() = default;
    Image(const Vulkan& vulkan, VkExtent2D size, VkFormat format, VkImageUsageFlags usage,
          VkSampleCountFlagBits samples = VK_SAMPLE_COUNT_1_BIT);

    Memory memory;
    Handle<VkImage, vkDestroyImage> image;
    Handle<VkImageView, vkDestroyImageView> view;
    VkExtent2D extent{};
    VkFormat format{};
    VkImageAspectFlags aspect{};
};

// From one layout to another, after all work before it and before all work after it. That is wider
// than need be, and simple: a frame has only a handful of these.
void transition(VkCommandBuffer commands, VkImage image, VkImageAspectFlags aspect,
                VkImageLayout from, VkImageLayout to);

struct PipelineWanted {
    std::span<const uint32_t> vertex, fragment;  // SPIR-V; no fragment shader: depth alone
    VkPipelineLayout layout{};
    std::vector<VkVertexInputBindingDescription> bindings;
    std::vector<VkVertexInputAttributeDescription> attributes;
    VkFormat colour = VK_FORMAT_UNDEFINED, depth = VK_FORMAT_UNDEFINED;
    VkSampleCountFlagBits samples = VK_SAMPLE_COUNT_1_BIT;
    VkCompareOp depth_test = VK_COMPARE_OP_ALWAYS;
    bool depth_write = false;
    float depth_bias = 0;
    VkCullModeFlags cull = VK_CULL_MODE_NONE;  // fronts are counter-clockwise
    enum class Blend { none, over, add } blend = Blend::none;
};
Pipeline make_pipeline(const Vulkan& vulkan, const PipelineWanted& wanted);

// Draws into an image, or a multisampled one that is resolved into it, from vkCmdBeginRendering()
// to vkCmdEndRendering(), with viewport and scissor set to all of it.
struct Attachments {
    VkExtent2D extent{};
    VkImageView colour{}, resolve{}, depth{};
    VkAttachmentLoadOp load = VK_ATTACHMENT_LOAD_OP_DONT_CARE;  // of the colour
    VkAttachmentStoreOp store_depth = VK_ATTACHMENT_STORE_OP_DONT_CARE;
};
void begin_rendering(VkCommandBuffer commands, const Attachments& attachments);
