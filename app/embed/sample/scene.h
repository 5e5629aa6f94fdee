// Draws the clearing: shadow map, sky, meshes, fire.
#pragma once

#include <array>
#include <glm/glm.hpp>
#include <span>

#include "painting.h"
#include "props.h"
#include "vulkan.h"

class Scene {
public:
    struct Options {
        VkExtent2D extent{};
        VkFormat format{};     // of the colour attachment
        uint32_t samples = 4;  // a pixel; 1 or 4
        uint32_t seed = 1;     // of where things stand
    };
    Scene(const Vulkan& vulkan, const Options& options);

    std::array<Actor, kActors>& actors() { return actors_; }
    const std::array<Actor, kActors>& actors() const { return actors_; }
    const Painting& painting() const { return painting_; }
    void paint_anew() { painting_.change(random_); }  // seen from the next draw() on

    // Draws into a colour attachment.
    void draw(VkCommandBuffer commands, VkImageView target, float seconds);
    // Where something was in the last draw(), in pixels.
    glm::vec2 on_screen(const glm::vec3& place) const;

private:
    void look(float seconds);
    void place_instances(float seconds);
    void draw_meshes(VkCommandBuffer commands, Shape first) const;
    void make_set(const Vulkan& vulkan);
    void make_pipelines(const Vulkan& vulkan, VkFormat format);

    VkExtent2D extent_;
    VkSampleCountFlagBits samples_;
    uint32_t random_;
    std::array<Actor, kActors> actors_;
    Painting painting_;
    Looks fixed_, looks_;
    struct Range {
        uint32_t first = 0, count = 0;
    };
    std::array<Range, kShapes> vertices_, instances_;
    shader::Frame frame_{};
    Buffer vertex_buffer_, frame_buffer_, look_buffer_;
    Image colour_, depth_, shadow_;  // colour: where there are several samples
    Sampler compare_, smooth_;
    SetLayout set_layout_;
    DescriptorPool pool_;
    VkDescriptorSet set_{};
    PipelineLayout layout_;
    Pipeline shadow_pipeline_, sky_pipeline_, mesh_pipeline_, flame_pipeline_;
};
