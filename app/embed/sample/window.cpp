#include "window.h"

#define GLFW_INCLUDE_NONE
#include <GLFW/glfw3.h>

#include <stdexcept>
#include <string>

#include "vulkan.h"

namespace {

[[noreturn]] void fail(const std::string& what) {
    const char* why = nullptr;
    glfwGetError(&why);
    throw std::runtime_error(what + (why ? ": " + std::string(why) : ".") +
                             " (--headless needs no display.)");
}

}  // namespace

Window::Window(VkExtent2D extent) {
    if (!glfwInit())
        fail("GLFW does not start");
    glfwWindowHint(GLFW_CLIENT_API, GLFW_NO_API);
    glfwWindowHint(GLFW_RESIZABLE, GLFW_FALSE);
    window_ = glfwCreateWindow(static_cast<int>(extent.width), static_cast<int>(extent.height),
                               "Olivine sample", nullptr, nullptr);
    if (!window_) {
        glfwTerminate();
        fail("There is no window");
    }
    glfwSetWindowUserPointer(window_, this);
    glfwSetKeyCallback(window_, [](GLFWwindow* window, int key, int, int action, int) {
        if (action == GLFW_PRESS)
            static_cast<Window*>(glfwGetWindowUserPointer(window))->keys_.push_back(key);
    });
    glfwSetMouseButtonCallback(window_, [](GLFWwindow* window, int button, int action, int) {
        if (button != GLFW_MOUSE_BUTTON_LEFT || action != GLFW_PRESS)
            return;
        double x = 0, y = 0;
        int width = 1, height = 1;
        glfwGetCursorPos(window, &x, &y);
        glfwGetWindowSize(window, &width, &height);
        static_cast<Window*>(glfwGetWindowUserPointer(window))->click_ =
            glm::vec2(x / width, y / height);
    });
}

Window::~Window() {
    glfwDestroyWindow(window_);
    glfwTerminate();
}

std::vector<const char*> Window::instance_extensions() {
    uint32_t count = 0;
    const char** names = glfwGetRequiredInstanceExtensions(&count);
    if (!names)
        fail("The window system has no Vulkan");
    return {names, names + count};
}

VkSurfaceKHR Window::make_surface(VkInstance instance) const {
    VkSurfaceKHR surface{};
    VK(glfwCreateWindowSurface(instance, window_, nullptr, &surface));
    return surface;
}

bool Window::poll() {
    keys_.clear();
    click_.reset();
    glfwPollEvents();
    return !glfwWindowShouldClose(window_);
}
