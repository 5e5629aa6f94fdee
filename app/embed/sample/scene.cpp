#define GLM_FORCE_DEPTH_ZERO_TO_ONE
#include "scene.h"

#include <cmath>
#include <cstring>
#include <glm/gtc/matrix_transform.hpp>
#include <stdexcept>

#include "flame.frag.h"
#include "flame.vert.h"
#include "random.h"
#include "scene.frag.h"
#include "scene.vert.h"
#include "shadow.vert.h"
#include "sky.frag.h"
#include "sky.vert.h"

namespace {

constexpr VkExtent2D kShadowExtent{1024, 1024};
constexpr VkFormat kDepth = VK_FORMAT_D32_SFLOAT;
constexpr size_t kMaxInstances = 2048;
constexpr uint32_t kFlames = 1 + 4 + 14;  // shaders/flame.vert
constexpr glm::vec3 kEye{0, 1.80f, 6.1f}, kLooksAt{0, 0.97f, 0};
constexpr float kHalfView = 0.36f;  // tangent of half the vertical angle

}  // namespace

Scene::Scene(const Vulkan& vulkan, const Options& options)
    : extent_(options.extent),
      samples_(static_cast<VkSampleCountFlagBits>(options.samples)),
      random_(random_state(options.seed)),
      actors_{{{{-1.95f, 0, -0.15f}, {0.68f, 0.20f, 0.04f}, {0.05f, 0.24f, 0.12f}},
               {{-0.15f, 0, -1.75f}, {0.48f, 0.44f, 0.42f}, {0.08f, 0.24f, 0.52f}},
               {{1.70f, 0, -0.15f}, {0.34f, 0.16f, 0.08f}, {0.34f, 0.09f, 0.36f}}}},
      painting_(vulkan),
      frame_buffer_(vulkan, sizeof(shader::Frame), VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT),
      look_buffer_(vulkan, kMaxInstances * sizeof(shader::Look),
                   VK_BUFFER_USAGE_STORAGE_BUFFER_BIT),
      colour_(vulkan, extent_, options.format,
              VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT,
              samples_),
      depth_(vulkan, extent_, kDepth,
             VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSIENT_ATTACHMENT_BIT,
             samples_),
      shadow_(vulkan, kShadowExtent, kDepth,
              VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT | VK_IMAGE_USAGE_SAMPLED_BIT) {
    Mesh all;
    const std::array<Mesh, kShapes> meshes = make_meshes();
    for (size_t i = 0; i < kShapes; ++i) {
        vertices_[i] = {static_cast<uint32_t>(all.size()), static_cast<uint32_t>(meshes[i].size())};
        all.insert(all.end(), meshes[i].begin(), meshes[i].end());
    }
    vertex_buffer_ = Buffer(vulkan, all.size() * sizeof(Vertex), VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
    std::memcpy(vertex_buffer_.data, all.data(), all.size() * sizeof(Vertex));
    add_clearing(fixed_, kEye, options.seed);
    paint_anew();
    make_set(vulkan);
    make_pipelines(vulkan, options.format);
}

void Scene::make_set(const Vulkan& vulkan) {
    VkSamplerCreateInfo sampler{VK_STRUCTURE_TYPE_SAMPLER_CREATE_INFO};
    sampler.magFilter = sampler.minFilter = VK_FILTER_LINEAR;
    sampler.addressModeU = sampler.addressModeV = sampler.addressModeW =
        VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE;
    VkSampler made_sampler{};
    VK(vkCreateSampler(vulkan.device(), &sampler, nullptr, &made_sampler));
    smooth_ = {vulkan.device(), made_sampler};
    sampler.compareEnable = VK_TRUE;
    sampler.compareOp = VK_COMPARE_OP_LESS_OR_EQUAL;
    sampler.addressModeU = sampler.addressModeV = VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_BORDER;
    sampler.borderColor = VK_BORDER_COLOR_FLOAT_OPAQUE_WHITE;  // no shadow outside of the map
    VK(vkCreateSampler(vulkan.device(), &sampler, nullptr, &made_sampler));
    compare_ = {vulkan.device(), made_sampler};

    constexpr VkShaderStageFlags kStages =
        VK_SHADER_STAGE_VERTEX_BIT | VK_SHADER_STAGE_FRAGMENT_BIT;
    const VkDescriptorSetLayoutBinding bindings[] = {
        {0, VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, 1, kStages, nullptr},
        {1, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, kStages, nullptr},
        {2, VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 1, kStages, nullptr},
        {3, VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 1, kStages, nullptr}};
    VkDescriptorSetLayoutCreateInfo layout_info{
        VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO};
    layout_info.bindingCount = static_cast<uint32_t>(std::size(bindings));
    layout_info.pBindings = bindings;
    VkDescriptorSetLayout set_layout{};
    VK(vkCreateDescriptorSetLayout(vulkan.device(), &layout_info, nullptr, &set_layout));
    set_layout_ = {vulkan.device(), set_layout};

    const VkDescriptorPoolSize sizes[] = {{VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, 1},
                                          {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1},
                                          {VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 2}};
    VkDescriptorPoolCreateInfo pool_info{VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO};
    pool_info.maxSets = 1;
    pool_info.poolSizeCount = static_cast<uint32_t>(std::size(sizes));
    pool_info.pPoolSizes = sizes;
    VkDescriptorPool pool{};
    VK(vkCreateDescriptorPool(vulkan.device(), &pool_info, nullptr, &pool));
    pool_ = {vulkan.device(), pool};
    VkDescriptorSetAllocateInfo set_info{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO};
    set_info.descriptorPool = pool;
    set_info.descriptorSetCount = 1;
    set_info.pSetLayouts = &set_layout;
    VK(vkAllocateDescriptorSets(vulkan.device(), &set_info, &set_));

    const VkDescriptorBufferInfo buffers[] = {{frame_buffer_.buffer.get(), 0, VK_WHOLE_SIZE},
                                              {look_buffer_.buffer.get(), 0, VK_WHOLE_SIZE}};
    const VkDescriptorImageInfo images[] = {
        {compare_.get(), shadow_.view.get(), VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL},
        {smooth_.get(), painting_.image().view.get(), Painting::kLayout}};
    VkWriteDescriptorSet writes[4];
    for (uint32_t i = 0; i < 4; ++i) {
        writes[i] = {VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET};
        writes[i].dstSet = set_;
        writes[i].dstBinding = i;
        writes[i].descriptorCount = 1;
        writes[i].descriptorType = bindings[i].descriptorType;
        if (i < 2)
            writes[i].pBufferInfo = &buffers[i];
        else
            writes[i].pImageInfo = &images[i - 2];
    }
    vkUpdateDescriptorSets(vulkan.device(), 4, writes, 0, nullptr);
}

void Scene::make_pipelines(const Vulkan& vulkan, VkFormat format) {
    const VkDescriptorSetLayout set_layout = set_layout_.get();
    VkPipelineLayoutCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
    info.setLayoutCount = 1;
    info.pSetLayouts = &set_layout;
    VkPipelineLayout made{};
    VK(vkCreatePipelineLayout(vulkan.device(), &info, nullptr, &made));
    layout_ = {vulkan.device(), made};

    PipelineWanted meshes{
        .vertex = scene_vert,
        .fragment = scene_frag,
        .layout = made,
        .bindings = {{0, sizeof(Vertex), VK_VERTEX_INPUT_RATE_VERTEX}},
        .attributes = {{0, 0, VK_FORMAT_R32G32B32_SFLOAT, offsetof(Vertex, place)},
                       {1, 0, VK_FORMAT_R32G32B32_SFLOAT, offsetof(Vertex, normal)}},
        .colour = format,
        .depth = kDepth,
        .samples = samples_,
        .depth_test = VK_COMPARE_OP_LESS,
        .depth_write = true,
        .cull = VK_CULL_MODE_BACK_BIT};
    mesh_pipeline_ = make_pipeline(vulkan, meshes);
    PipelineWanted shadows = meshes;
    shadows.vertex = shadow_vert;
    shadows.fragment = {};
    shadows.attributes.pop_back();
    shadows.colour = VK_FORMAT_UNDEFINED;
    shadows.samples = VK_SAMPLE_COUNT_1_BIT;
    shadows.depth_bias = 2;
    shadows.cull = VK_CULL_MODE_NONE;
    shadow_pipeline_ = make_pipeline(vulkan, shadows);

    PipelineWanted sky{.vertex = sky_vert,
                       .fragment = sky_frag,
                       .layout = made,
                       .colour = format,
                       .depth = kDepth,
                       .samples = samples_,
                       .depth_test = VK_COMPARE_OP_LESS_OR_EQUAL};
    sky_pipeline_ = make_pipeline(vulkan, sky);
    PipelineWanted flames = sky;
    flames.vertex = flame_vert;
    flames.fragment = flame_frag;
    flames.blend = PipelineWanted::Blend::add;
    flame_pipeline_ = make_pipeline(vulkan, flames);
}

void Scene::look(float seconds) {
    const glm::vec3 eye =
        kEye + glm::vec3(0.25f * std::sin(seconds * 0.21f), 0.05f * std::sin(seconds * 0.3f), 0);
    const float aspect = static_cast<float>(extent_.width) / static_cast<float>(extent_.height);
    glm::mat4 projection = glm::perspective(2 * std::atan(kHalfView), aspect, 0.1f, 60.0f);
    projection[1][1] *= -1;  // Vulkan's y points down
    frame_.view_projection = projection * glm::lookAt(eye, kLooksAt, glm::vec3(0, 1, 0));
    const glm::vec3 ahead = glm::normalize(kLooksAt - eye);
    const glm::vec3 right = glm::normalize(glm::cross(ahead, glm::vec3(0, 1, 0)));
    frame_.eye = glm::vec4(eye, seconds);
    frame_.ahead = glm::vec4(ahead, 0);
    frame_.right = glm::vec4(right * kHalfView * aspect, 0);
    frame_.up = glm::vec4(glm::cross(right, ahead) * kHalfView, 0);

    const glm::vec3 sun = glm::normalize(glm::vec3(-0.75f, 0.30f, -0.60f));
    frame_.sun = glm::vec4(sun, 0);
    frame_.sun_projection = glm::ortho(-9.0f, 9.0f, -5.0f, 7.0f, 0.0f, 40.0f) *
                            glm::lookAt(sun * 18.0f, glm::vec3(0), glm::vec3(0, 1, 0));
    const float flicker = std::sin(seconds * 11) * 0.05f + std::sin(seconds * 17.3f) * 0.04f;
    frame_.fire = glm::vec4(kFire + glm::vec3(0, 0.12f + flicker * 0.3f, 0), 3.0f * (1 + flicker));
    for (size_t i = 0; i < kActors; ++i)
        frame_.casters[i] = glm::vec4(actors_[i].place, kActorRadius);
    std::memcpy(frame_buffer_.data, &frame_, sizeof(frame_));
}

void Scene::place_instances(float seconds) {
    looks_ = fixed_;
    for (size_t i = 0; i < kActors; ++i)
        add_actor(looks_, actors_[i], i, glm::vec3(frame_.eye), seconds);
    auto* to = static_cast<shader::Look*>(look_buffer_.data);
    uint32_t first = 0;
    for (size_t shape = 0; shape < kShapes; ++shape) {
        const auto count = static_cast<uint32_t>(looks_[shape].size());
        if (first + count > kMaxInstances)
            throw std::runtime_error("The scene has more than " + std::to_string(kMaxInstances) +
                                     " instances.");
        std::memcpy(to + first, looks_[shape].data(), count * sizeof(shader::Look));
        instances_[shape] = {first, count};
        first += count;
    }
}

void Scene::draw_meshes(VkCommandBuffer commands, Shape first) const {
    constexpr VkDeviceSize kStart = 0;
    const VkBuffer vertices = vertex_buffer_.buffer.get();
    vkCmdBindVertexBuffers(commands, 0, 1, &vertices, &kStart);
    for (size_t shape = static_cast<size_t>(first); shape < kShapes; ++shape)
        vkCmdDraw(commands, vertices_[shape].count, instances_[shape].count, vertices_[shape].first,
                  instances_[shape].first);
}

void Scene::draw(VkCommandBuffer commands, VkImageView target, float seconds) {
    look(seconds);
    place_instances(seconds);
    painting_.paint(commands);
    vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, layout_.get(), 0, 1, &set_,
                            0, nullptr);
    const auto bind = [&](const Pipeline& pipeline) {
        vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, pipeline.get());
    };

    constexpr VkImageLayout kAttachment = VK_IMAGE_LAYOUT_DEPTH_ATTACHMENT_OPTIMAL;
    transition(commands, shadow_.image.get(), shadow_.aspect, VK_IMAGE_LAYOUT_UNDEFINED,
               kAttachment);
    begin_rendering(commands, {.extent = kShadowExtent,
                               .depth = shadow_.view.get(),
                               .store_depth = VK_ATTACHMENT_STORE_OP_STORE});
    bind(shadow_pipeline_);
    draw_meshes(commands, Shape::trunk);  // all but the ground
    vkCmdEndRendering(commands);
    transition(commands, shadow_.image.get(), shadow_.aspect, kAttachment,
               VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL);

    const bool resolves = samples_ != VK_SAMPLE_COUNT_1_BIT;
    if (resolves)
        transition(commands, colour_.image.get(), colour_.aspect, VK_IMAGE_LAYOUT_UNDEFINED,
                   VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL);
    transition(commands, depth_.image.get(), depth_.aspect, VK_IMAGE_LAYOUT_UNDEFINED, kAttachment);
    begin_rendering(commands, {.extent = extent_,
                               .colour = resolves ? colour_.view.get() : target,
                               .resolve = resolves ? target : VK_NULL_HANDLE,
                               .depth = depth_.view.get()});
    bind(mesh_pipeline_);
    draw_meshes(commands, Shape::ground);
    bind(sky_pipeline_);
    vkCmdDraw(commands, 3, 1, 0, 0);
    bind(flame_pipeline_);
    vkCmdDraw(commands, 6, kFlames, 0, 0);
    vkCmdEndRendering(commands);
}

glm::vec2 Scene::on_screen(const glm::vec3& place) const {
    const glm::vec4 clip = frame_.view_projection * glm::vec4(place, 1);
    const glm::vec2 view = glm::vec2(clip) / clip.w * 0.5f + 0.5f;
    return view * glm::vec2(extent_.width, extent_.height);
}
