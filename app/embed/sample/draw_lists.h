// Draws what Dear ImGui has laid out. (Its own Vulkan backend wants a VkRenderPass in the version
// that Debian 12 has, and is called differently in each version since.)
#pragma once

#include "vulkan.h"

struct ImDrawData;

class DrawLists {
public:
    // For the font atlas of the current ImGui context. Waits for its upload.
    DrawLists(Vulkan& vulkan, VkFormat format);
    void draw(VkCommandBuffer commands, const ImDrawData& data);

private:
    void upload_glyphs(Vulkan& vulkan);
    void make_set(const Vulkan& vulkan);
    void make_pipeline_for(const Vulkan& vulkan, VkFormat format);
    void copy_vertices(const ImDrawData& data);

    const Vulkan& vulkan_;
    Image glyphs_;
    Sampler sampler_;
    SetLayout set_layout_;
    DescriptorPool pool_;
    VkDescriptorSet set_{};
    PipelineLayout layout_;
    Pipeline pipeline_;
    Buffer vertices_, indices_;
};
