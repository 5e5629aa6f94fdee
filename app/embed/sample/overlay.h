// What is laid over the scene: speech bubbles, the frame-time graph, sliders, the chat box. Dear
// ImGui.
#pragma once

#include <array>
#include <cstdint>
#include <glm/glm.hpp>
#include <optional>
#include <string>

#include "characters.h"
#include "draw_lists.h"
#include "scene.h"
#include "vulkan.h"
#include "window.h"

class Overlay {
public:
    // window: null where nobody types.
    Overlay(Vulkan& vulkan, const Image& canvas, const Window* window, uint32_t budget_us);
    ~Overlay();
    Overlay(const Overlay&) = delete;
    Overlay& operator=(const Overlay&) = delete;

    // Lays the next frame out, and does what the player wants: pick, ask, cancel, shift budgets.
    void update(Scene& scene, Characters& characters);
    void draw(VkCommandBuffer commands, VkImageView target);

    // Of the graph: the frame before, how much of it was olv_tick(), and whether somebody talked.
    void add_frame(float frame_ms, float tick_ms, bool busy);
    uint32_t budget_us() const { return static_cast<uint32_t>(budget_ms_ * 1000); }

private:
    struct Bar {
        float frame_ms = 0, tick_ms = 0;
        bool busy = false;
    };
    void keys_and_clicks(const Scene& scene, Characters& characters);
    void loading(float progress) const;
    void graph() const;
    void bars() const;
    void chat(Scene& scene, Characters& characters);
    void sliders(Characters& characters, float width);

    VkExtent2D extent_;
    const Window* window_;
    float scale_;  // whole, as the built-in font has pixels
    std::optional<DrawLists> lists_;
    std::array<Bar, 175> bars_;
    size_t next_bar_ = 0;
    float budget_ms_;
    float memory_part_ = 100;  // percent of what was used at most
    uint64_t memory_whole_ = 0;
    size_t picked_ = 1;
    std::array<char, 256> typed_{};
};
