// A window with what is pressed in it; GLFW.
#pragma once

#include <vulkan/vulkan.h>

#include <glm/glm.hpp>
#include <optional>
#include <vector>

struct GLFWwindow;

class Window {
public:
    explicit Window(VkExtent2D extent);  // throws where there is no display
    ~Window();
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;

    static std::vector<const char*> instance_extensions();  // once a window is there
    VkSurfaceKHR make_surface(VkInstance instance) const;
    GLFWwindow* get() const { return window_; }

    // Looks what has happened; false: the window is to close.
    bool poll();
    // Keys that went down since the last poll(), as GLFW_KEY_*.
    const std::vector<int>& keys() const { return keys_; }
    // Where the left button went down since the last poll(), as parts of the window's size.
    const std::optional<glm::vec2>& click() const { return click_; }

private:
    GLFWwindow* window_ = nullptr;
    std::vector<int> keys_;
    std::optional<glm::vec2> click_;
};
