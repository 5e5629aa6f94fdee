// The sheet on the easel: coloured shapes, drawn by the GPU into an image that the model is shown.
#pragma once

#include <array>
#include <cstdint>

#include "vulkan.h"

class Painting {
public:
    explicit Painting(const Vulkan& vulkan);

    // Other shapes, two to four of them; drawn by the next paint().
    void change(uint32_t& state);
    void paint(VkCommandBuffer commands);
    uint32_t number() const { return number_; }  // of changes
    // R8G8B8A8_UNORM, sRGB values, in kLayout after the first paint().
    const Image& image() const { return image_; }
    static constexpr VkImageLayout kLayout = VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL;
    static constexpr uint32_t kPixels = 224;  // a side

private:
    std::array<int32_t, 4> shapes_{-1, -1, -1, -1};
    uint32_t number_ = 0;
    bool changed_ = true;
    Image image_;
    PipelineLayout layout_;
    Pipeline pipeline_;
};
