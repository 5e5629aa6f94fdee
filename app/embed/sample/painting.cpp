#include "painting.h"

#include "full.vert.h"
#include "random.h"
#include "shapes.frag.h"

namespace {

struct Push {
    std::array<int32_t, 4> shapes;
    float size;
};

}  // namespace

Painting::Painting(const Vulkan& vulkan)
    : image_(vulkan, {kPixels, kPixels}, VK_FORMAT_R8G8B8A8_UNORM,
             VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_SAMPLED_BIT |
                 VK_IMAGE_USAGE_TRANSFER_SRC_BIT) {
    const VkPushConstantRange push{VK_SHADER_STAGE_FRAGMENT_BIT, 0, sizeof(Push)};
    VkPipelineLayoutCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
    info.pushConstantRangeCount = 1;
    info.pPushConstantRanges = &push;
    VkPipelineLayout made{};
    VK(vkCreatePipelineLayout(vulkan.device(), &info, nullptr, &made));
    layout_ = {vulkan.device(), made};
    pipeline_ = make_pipeline(
        vulkan,
        {.vertex = full_vert, .fragment = shapes_frag, .layout = made, .colour = image_.format});
}

void Painting::change(uint32_t& state) {
    const auto below = [&](int32_t count) {
        return static_cast<int32_t>(random_unit(state) * static_cast<float>(count));
    };
    const int32_t count = 2 + below(3), first = below(16), step = 1 + 2 * below(8),
                  look = below(18);
    for (int32_t i = 0; i < 4; ++i) {
        const int32_t cell = (first + i * step) % 16;  // an odd step: no cell twice
        const int32_t kind = (look + i * 7) % 18;      // nor two shapes alike
        shapes_[static_cast<size_t>(i)] = i < count ? cell | kind % 3 << 8 | kind / 3 << 16 : -1;
    }
    ++number_;
    changed_ = true;
}

void Painting::paint(VkCommandBuffer commands) {
    if (!changed_)
        return;
    changed_ = false;
    transition(commands, image_.image.get(), image_.aspect, VK_IMAGE_LAYOUT_UNDEFINED,
               VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL);
    begin_rendering(commands, {.extent = image_.extent, .colour = image_.view.get()});
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, pipeline_.get());
    const Push push{shapes_, static_cast<float>(kPixels)};
    vkCmdPushConstants(commands, layout_.get(), VK_SHADER_STAGE_FRAGMENT_BIT, 0, sizeof(push),
                       &push);
    vkCmdDraw(commands, 3, 1, 0, 0);
    vkCmdEndRendering(commands);
    transition(commands, image_.image.get(), image_.aspect,
               VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL, kLayout);
}
