#include "draw_lists.h"

#include <imgui.h>

#include <algorithm>
#include <cstring>

#include "overlay.frag.h"
#include "overlay.vert.h"

DrawLists::DrawLists(Vulkan& vulkan, VkFormat format) : vulkan_(vulkan) {
    upload_glyphs(vulkan);
    make_set(vulkan);
    make_pipeline_for(vulkan, format);
}

void DrawLists::upload_glyphs(Vulkan& vulkan) {
    unsigned char* coverage = nullptr;
    int width = 0, height = 0;
    ImGui::GetIO().Fonts->GetTexDataAsAlpha8(&coverage, &width, &height);
    ImGui::GetIO().Fonts->SetTexID((ImTextureID)1);  // there is only this one
    const VkExtent2D extent{static_cast<uint32_t>(width), static_cast<uint32_t>(height)};
    glyphs_ = Image(vulkan, extent, VK_FORMAT_R8_UNORM,
                    VK_IMAGE_USAGE_SAMPLED_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT);
    const VkDeviceSize bytes = VkDeviceSize{extent.width} * extent.height;
    const Buffer from(vulkan, bytes, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
    std::memcpy(from.data, coverage, bytes);

    VkCommandPoolCreateInfo pool_info{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    pool_info.queueFamilyIndex = vulkan.queue_family();
    VkCommandPool made{};
    VK(vkCreateCommandPool(vulkan.device(), &pool_info, nullptr, &made));
    const CommandPool pool(vulkan.device(), made);
    VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
    info.commandPool = made;
    info.commandBufferCount = 1;
    VkCommandBuffer commands{};
    VK(vkAllocateCommandBuffers(vulkan.device(), &info, &commands));
    const VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VK(vkBeginCommandBuffer(commands, &begin));
    transition(commands, glyphs_.image.get(), glyphs_.aspect, VK_IMAGE_LAYOUT_UNDEFINED,
               VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    VkBufferImageCopy region{};
    region.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1};
    region.imageExtent = {extent.width, extent.height, 1};
    vkCmdCopyBufferToImage(commands, from.buffer.get(), glyphs_.image.get(),
                           VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &region);
    transition(commands, glyphs_.image.get(), glyphs_.aspect, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
               VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL);
    VK(vkEndCommandBuffer(commands));
    VkSubmitInfo submit{VK_STRUCTURE_TYPE_SUBMIT_INFO};
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &commands;
    {
        const std::lock_guard lock(vulkan.queue_mutex());
        VK(vkQueueSubmit(vulkan.queue(), 1, &submit, VK_NULL_HANDLE));
    }
    vulkan.wait_idle();
}

void DrawLists::make_set(const Vulkan& vulkan) {
    VkSamplerCreateInfo sampler_info{VK_STRUCTURE_TYPE_SAMPLER_CREATE_INFO};
    sampler_info.magFilter = sampler_info.minFilter = VK_FILTER_LINEAR;
    VkSampler sampler{};
    VK(vkCreateSampler(vulkan.device(), &sampler_info, nullptr, &sampler));
    sampler_ = {vulkan.device(), sampler};
    const VkDescriptorSetLayoutBinding binding{0, VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 1,
                                               VK_SHADER_STAGE_FRAGMENT_BIT, &sampler};
    VkDescriptorSetLayoutCreateInfo layout_info{
        VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO};
    layout_info.bindingCount = 1;
    layout_info.pBindings = &binding;
    VkDescriptorSetLayout set_layout{};
    VK(vkCreateDescriptorSetLayout(vulkan.device(), &layout_info, nullptr, &set_layout));
    set_layout_ = {vulkan.device(), set_layout};
    const VkDescriptorPoolSize size{VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 1};
    VkDescriptorPoolCreateInfo pool_info{VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO};
    pool_info.maxSets = pool_info.poolSizeCount = 1;
    pool_info.pPoolSizes = &size;
    VkDescriptorPool pool{};
    VK(vkCreateDescriptorPool(vulkan.device(), &pool_info, nullptr, &pool));
    pool_ = {vulkan.device(), pool};
    VkDescriptorSetAllocateInfo set_info{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO};
    set_info.descriptorPool = pool;
    set_info.descriptorSetCount = 1;
    set_info.pSetLayouts = &set_layout;
    VK(vkAllocateDescriptorSets(vulkan.device(), &set_info, &set_));
    const VkDescriptorImageInfo image{VK_NULL_HANDLE, glyphs_.view.get(),
                                      VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL};
    VkWriteDescriptorSet write{VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET};
    write.dstSet = set_;
    write.descriptorCount = 1;
    write.descriptorType = binding.descriptorType;
    write.pImageInfo = &image;
    vkUpdateDescriptorSets(vulkan.device(), 1, &write, 0, nullptr);
}

void DrawLists::make_pipeline_for(const Vulkan& vulkan, VkFormat format) {
    const VkDescriptorSetLayout set_layout = set_layout_.get();
    const VkPushConstantRange push{VK_SHADER_STAGE_VERTEX_BIT, 0, 2 * sizeof(float)};
    VkPipelineLayoutCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
    info.setLayoutCount = 1;
    info.pSetLayouts = &set_layout;
    info.pushConstantRangeCount = 1;
    info.pPushConstantRanges = &push;
    VkPipelineLayout made{};
    VK(vkCreatePipelineLayout(vulkan.device(), &info, nullptr, &made));
    layout_ = {vulkan.device(), made};
    pipeline_ = make_pipeline(
        vulkan, {.vertex = overlay_vert,
                 .fragment = overlay_frag,
                 .layout = made,
                 .bindings = {{0, sizeof(ImDrawVert), VK_VERTEX_INPUT_RATE_VERTEX}},
                 .attributes = {{0, 0, VK_FORMAT_R32G32_SFLOAT, offsetof(ImDrawVert, pos)},
                                {1, 0, VK_FORMAT_R32G32_SFLOAT, offsetof(ImDrawVert, uv)},
                                {2, 0, VK_FORMAT_R8G8B8A8_UNORM, offsetof(ImDrawVert, col)}},
                 .colour = format,
                 .blend = PipelineWanted::Blend::over});
}

// The GPU is done with the last frame, so that its buffers may be written, or replaced.
void DrawLists::copy_vertices(const ImDrawData& data) {
    const auto fit = [&](Buffer& buffer, int count, size_t each, VkBufferUsageFlags usage) {
        const VkDeviceSize bytes = static_cast<VkDeviceSize>(count) * each;
        if (buffer.bytes < bytes)
            buffer = Buffer(vulkan_, 2 * bytes, usage);
    };
    fit(vertices_, data.TotalVtxCount, sizeof(ImDrawVert), VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    fit(indices_, data.TotalIdxCount, sizeof(ImDrawIdx), VK_BUFFER_USAGE_INDEX_BUFFER_BIT);
    auto* vertices = static_cast<ImDrawVert*>(vertices_.data);
    auto* indices = static_cast<ImDrawIdx*>(indices_.data);
    for (int i = 0; i < data.CmdListsCount; ++i) {
        const ImDrawList& list = *data.CmdLists[i];
        vertices = std::copy(list.VtxBuffer.begin(), list.VtxBuffer.end(), vertices);
        indices = std::copy(list.IdxBuffer.begin(), list.IdxBuffer.end(), indices);
    }
}

void DrawLists::draw(VkCommandBuffer commands, const ImDrawData& data) {
    if (data.TotalIdxCount == 0)
        return;
    copy_vertices(data);
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, pipeline_.get());
    vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, layout_.get(), 0, 1, &set_,
                            0, nullptr);
    const VkBuffer vertices = vertices_.buffer.get();
    constexpr VkDeviceSize kStart = 0;
    vkCmdBindVertexBuffers(commands, 0, 1, &vertices, &kStart);
    vkCmdBindIndexBuffer(commands, indices_.buffer.get(), 0,
                         sizeof(ImDrawIdx) == 2 ? VK_INDEX_TYPE_UINT16 : VK_INDEX_TYPE_UINT32);
    const float scale[] = {2 / data.DisplaySize.x, 2 / data.DisplaySize.y};
    vkCmdPushConstants(commands, layout_.get(), VK_SHADER_STAGE_VERTEX_BIT, 0, sizeof(scale),
                       scale);

    uint32_t first_index = 0;
    int32_t first_vertex = 0;
    for (int i = 0; i < data.CmdListsCount; ++i) {
        const ImDrawList& list = *data.CmdLists[i];
        for (const ImDrawCmd& command : list.CmdBuffer) {
            const int32_t left = std::max(static_cast<int32_t>(command.ClipRect.x), 0);
            const int32_t top = std::max(static_cast<int32_t>(command.ClipRect.y), 0);
            const auto right =
                static_cast<int32_t>(std::min(command.ClipRect.z, data.DisplaySize.x));
            const auto bottom =
                static_cast<int32_t>(std::min(command.ClipRect.w, data.DisplaySize.y));
            if (right <= left || bottom <= top)
                continue;
            const VkRect2D clip{
                {left, top},
                {static_cast<uint32_t>(right - left), static_cast<uint32_t>(bottom - top)}};
            vkCmdSetScissor(commands, 0, 1, &clip);
            vkCmdDrawIndexed(commands, command.ElemCount, 1, first_index + command.IdxOffset,
                             first_vertex + static_cast<int32_t>(command.VtxOffset), 0);
        }
        first_index += static_cast<uint32_t>(list.IdxBuffer.Size);
        first_vertex += list.VtxBuffer.Size;
    }
}
