// What frames are drawn into: an image, the canvas, which goes to a window where there is one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vulkan.h"
#include "window.h"

class Screen {
public:
    Screen(Vulkan& vulkan, VkExtent2D extent, const Window* window);  // null: nobody looks
    ~Screen();
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    const Image& canvas() const { return canvas_; }  // R8G8B8A8_UNORM, sRGB values

    // Waits until the GPU is done with the last frame: from now until end() its queue is empty.
    void wait();
    // The commands of a new frame, with the canvas as a colour attachment.
    VkCommandBuffer begin();
    void end();

    void save(const std::string& path);  // the canvas as it was at the last end(): a PNG file

private:
    void make_swapchain();
    void show(VkCommandBuffer commands, VkImage image);
    void submit(VkSemaphore wait, VkSemaphore signal);

    struct Swapchain;  // and its surface
    Vulkan& vulkan_;
    Image canvas_;
    CommandPool pool_;
    VkCommandBuffer commands_{};
    Fence done_;
    std::unique_ptr<Swapchain> swapchain_;
};
