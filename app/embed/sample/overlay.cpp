#include "overlay.h"

#include <backends/imgui_impl_glfw.h>
#include <imgui.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#define GLFW_INCLUDE_NONE
#include <GLFW/glfw3.h>

#include "bubble.h"
#include "frame_times.h"

namespace {

constexpr ImU32 kIdle = IM_COL32(104, 150, 196, 255), kBusy = IM_COL32(140, 196, 128, 255),
                kTick = IM_COL32(255, 170, 60, 255);

void style(float scale) {
    ImGui::StyleColorsDark();
    ImGuiStyle& style = ImGui::GetStyle();
    style.WindowRounding = 5;
    style.FrameRounding = 3;
    style.WindowPadding = {6, 5};
    style.ItemSpacing = {5, 4};
    style.FramePadding = {4, 2};
    style.WindowBorderSize = 0;
    style.Colors[ImGuiCol_WindowBg] = {0.05f, 0.05f, 0.09f, 0.78f};
    style.Colors[ImGuiCol_FrameBg] = {0.20f, 0.20f, 0.28f, 0.80f};
    style.Colors[ImGuiCol_Button] = {0.30f, 0.24f, 0.22f, 0.90f};
    style.Colors[ImGuiCol_ButtonHovered] = {0.50f, 0.36f, 0.24f, 1};
    style.Colors[ImGuiCol_ButtonActive] = {0.70f, 0.46f, 0.24f, 1};
    style.Colors[ImGuiCol_SliderGrab] =
        style.Colors[ImGuiCol_SliderGrabActive] = {1, 0.67f, 0.24f, 1};
    style.ScaleAllSizes(scale);
}

constexpr ImGuiWindowFlags kPanel = ImGuiWindowFlags_NoTitleBar | ImGuiWindowFlags_NoResize |
                                    ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings |
                                    ImGuiWindowFlags_AlwaysAutoResize;

}  // namespace

Overlay::Overlay(Vulkan& vulkan, const Image& canvas, const Window* window, uint32_t budget_us)
    : extent_(canvas.extent),
      window_(window),
      scale_(std::max(1.0f, std::round(static_cast<float>(canvas.extent.height) / 400))),
      budget_ms_(static_cast<float>(budget_us) / 1000) {
    ImGui::CreateContext();
    ImGuiIO& io = ImGui::GetIO();
    io.IniFilename = nullptr;
    ImFontConfig font;
    font.SizePixels = 13 * scale_;
    io.Fonts->AddFontDefault(&font);
    style(scale_);
    if (window)
        ImGui_ImplGlfw_InitForVulkan(window->get(), true);
    lists_.emplace(vulkan, canvas.format);
}

Overlay::~Overlay() {
    if (window_)
        ImGui_ImplGlfw_Shutdown();
    ImGui::DestroyContext();
}

void Overlay::update(Scene& scene, Characters& characters) {
    ImGuiIO& io = ImGui::GetIO();
    if (window_)
        ImGui_ImplGlfw_NewFrame();
    else
        io.DeltaTime = 1 / 60.0f;
    io.DisplaySize = {static_cast<float>(extent_.width), static_cast<float>(extent_.height)};
    ImGui::NewFrame();
    if (characters.ready()) {
        keys_and_clicks(scene, characters);
        for (size_t i = 0; i < kActors; ++i) {
            const glm::vec3 above(0, kActorHeight + 0.12f, 0);
            draw_bubble(characters.all()[i],
                        {.mouth = scene.on_screen(scene.actors()[i].place + above),
                         .view = {extent_.width, extent_.height},
                         .scale = scale_,
                         .picked = i == picked_});
        }
        chat(scene, characters);
    } else {
        loading(characters.progress());
    }
    graph();
    ImGui::Render();
}

void Overlay::draw(VkCommandBuffer commands, VkImageView target) {
    begin_rendering(commands,
                    {.extent = extent_, .colour = target, .load = VK_ATTACHMENT_LOAD_OP_LOAD});
    lists_->draw(commands, *ImGui::GetDrawData());
    vkCmdEndRendering(commands);
}

void Overlay::add_frame(float frame_ms, float tick_ms, bool busy) {
    bars_[next_bar_] = {frame_ms, tick_ms, busy};
    next_bar_ = (next_bar_ + 1) % bars_.size();
}

void Overlay::keys_and_clicks(const Scene& scene, Characters& characters) {
    if (!window_)
        return;
    for (const int key : window_->keys()) {
        if (key == GLFW_KEY_ESCAPE)
            characters.cancel(characters.all()[picked_]);
        else if (key >= GLFW_KEY_1 && key <= GLFW_KEY_3 && !ImGui::GetIO().WantTextInput)
            picked_ = static_cast<size_t>(key - GLFW_KEY_1);
    }
    if (!window_->click() || ImGui::GetIO().WantCaptureMouse)
        return;
    const glm::vec2 at = *window_->click() * glm::vec2(extent_.width, extent_.height);
    for (size_t i = 0; i < kActors; ++i) {
        const glm::vec3 place = scene.actors()[i].place;
        const glm::vec2 feet = scene.on_screen(place);
        const glm::vec2 top = scene.on_screen(place + glm::vec3(0, kActorHeight, 0));
        if (at.y > top.y && at.y < feet.y && std::abs(at.x - feet.x) < (feet.y - top.y) * 0.35f)
            picked_ = i;
    }
}

void Overlay::loading(float progress) const {
    ImGui::SetNextWindowPos(
        {static_cast<float>(extent_.width) / 2, static_cast<float>(extent_.height) * 0.88f}, 0,
        {0.5f, 0.5f});
    ImGui::Begin("loading", nullptr, kPanel);
    ImGui::ProgressBar(progress, {220 * scale_, 0},
                       progress < 1 ? "They wake up" : "They clear their throats");
    ImGui::End();
}

void Overlay::graph() const {
    ImGui::SetNextWindowPos({static_cast<float>(extent_.width) - 6 * scale_,
                             static_cast<float>(extent_.height) - 6 * scale_},
                            0, {1, 1});
    ImGui::Begin("frames", nullptr, kPanel);
    bars();
    ImGui::End();
}

// One bar a frame: its height is the frame's time, the orange part is olv_tick()'s.
void Overlay::bars() const {
    ImDrawList& list = *ImGui::GetWindowDrawList();
    const ImVec2 corner = ImGui::GetCursorScreenPos();
    const float width = static_cast<float>(bars_.size()) * scale_, height = 46 * scale_;
    FrameTimes times;
    for (const Bar& bar : bars_)
        times.add(static_cast<double>(bar.frame_ms));
    const float most = std::max(static_cast<float>(times.percentile(0.9)) * 1.3f, 2 * budget_ms_);
    const float top = std::exp2(std::ceil(std::log2(most)));  // ms: the scale moves seldom
    const Bar& last = bars_[(next_bar_ + bars_.size() - 1) % bars_.size()];
    ImGui::Text("frame %5.1f, tick %4.1f ms", static_cast<double>(last.frame_ms),
                static_cast<double>(last.tick_ms));
    const float bottom = corner.y + ImGui::GetTextLineHeightWithSpacing() + height;
    list.AddRectFilled({corner.x, bottom - height}, {corner.x + width, bottom},
                       IM_COL32(0, 0, 0, 110));
    const auto y = [&](float ms) { return bottom - height * std::min(ms / top, 1.0f); };
    for (size_t i = 0; i < bars_.size(); ++i) {
        const Bar& bar = bars_[(next_bar_ + i) % bars_.size()];
        const float x = corner.x + static_cast<float>(i) * scale_;
        list.AddRectFilled({x, y(bar.frame_ms)}, {x + scale_, bottom}, bar.busy ? kBusy : kIdle);
        list.AddRectFilled({x, y(bar.tick_ms)}, {x + scale_, bottom}, kTick);
    }
    list.AddLine({corner.x, y(budget_ms_)}, {corner.x + width, y(budget_ms_)},
                 IM_COL32(255, 255, 255, 150));
    char label[32];
    std::snprintf(label, sizeof(label), "%.0f ms", static_cast<double>(top));
    list.AddText({corner.x + 2 * scale_, bottom - height}, IM_COL32(255, 255, 255, 150), label);
    ImGui::Dummy({width, height});
    const auto key = [&](ImU32 colour, const char* what) {
        ImGui::TextColored(ImGui::ColorConvertU32ToFloat4(colour), "%s", what);
    };
    key(kIdle, "idle");
    ImGui::SameLine();
    key(kBusy, "talking");
    ImGui::SameLine();
    key(kTick, "olv_tick");
}

void Overlay::chat(Scene& scene, Characters& characters) {
    const float width = 380 * scale_, gap = ImGui::GetStyle().ItemSpacing.x;
    ImGui::SetNextWindowPos({6 * scale_, static_cast<float>(extent_.height) - 6 * scale_}, 0,
                            {0, 1});
    ImGui::Begin("chat", nullptr, kPanel);
    for (size_t i = 0; i < kActors; ++i) {
        if (ImGui::RadioButton((std::to_string(i + 1) + " " + characters.all()[i].name).c_str(),
                               picked_ == i))
            picked_ = i;
        ImGui::SameLine();
    }
    ImGui::TextDisabled("%s", characters.log().c_str());

    Character& character = characters.all()[picked_];
    float used = 0;
    for (const std::string& question : character.questions) {  // as many as have room
        const float wide =
            ImGui::CalcTextSize(question.c_str()).x + 2 * ImGui::GetStyle().FramePadding.x;
        if (used + wide > width)
            break;
        if (used > 0)
            ImGui::SameLine();
        used += wide + gap;
        if (ImGui::SmallButton(question.c_str()))
            characters.ask(character, question);
    }
    if (character.sees) {
        ImGui::SameLine();
        if (ImGui::SmallButton("New picture"))
            scene.paint_anew();
    }
    ImGui::SetNextItemWidth(width - 130 * scale_);
    const bool entered = ImGui::InputText("##question", typed_.data(), typed_.size(),
                                          ImGuiInputTextFlags_EnterReturnsTrue);
    ImGui::SameLine();
    if ((ImGui::Button("Ask") || entered) && !character.busy) {
        characters.ask(character, typed_.data());
        typed_.fill(0);
    }
    ImGui::SameLine();
    if (ImGui::Button("Stop (Esc)"))
        characters.cancel(character);
    sliders(characters, (width - gap) / 2);
    ImGui::End();
}

void Overlay::sliders(Characters& characters, float width) {
    ImGui::SetNextItemWidth(width);
    ImGui::SliderFloat("##budget", &budget_ms_, 0.5f, 8, "%.1f ms a frame");
    ImGui::SameLine();
    ImGui::SetNextItemWidth(width);
    if (memory_whole_ == 0)
        memory_whole_ = characters.work().bytes_peak;
    if (ImGui::SliderFloat("##memory", &memory_part_, 30, 100, "%.0f %% of the memory"))
        characters.set_memory_budget(
            static_cast<uint64_t>(static_cast<double>(memory_whole_) * memory_part_ / 100));
}
