#include "bubble.h"

#include <imgui.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace {

constexpr ImU32 kPaper = IM_COL32(250, 244, 230, 238), kInk = IM_COL32(38, 30, 40, 255),
                kFaint = IM_COL32(120, 105, 110, 255), kName = IM_COL32(168, 84, 20, 255),
                kGold = IM_COL32(255, 196, 92, 255), kWhite = IM_COL32(235, 230, 225, 255),
                kShadow = IM_COL32(0, 0, 0, 100);
constexpr float kAnswerLines = 5;

ImVec2 size_of(const std::string& text, float widest) {
    return ImGui::GetFont()->CalcTextSizeA(ImGui::GetFontSize(), FLT_MAX, widest, text.c_str());
}

void add_text(ImVec2 at, ImU32 colour, const std::string& text, float widest) {
    ImGui::GetBackgroundDrawList()->AddText(ImGui::GetFont(), ImGui::GetFontSize(), at, colour,
                                            text.c_str(), nullptr, widest);
}

void draw_name(const Character& character, const BubblePlace& place) {
    const ImVec2 at{place.mouth.x - size_of(character.name, 0).x / 2,
                    place.mouth.y - ImGui::GetFontSize()};
    add_text({at.x + place.scale, at.y + place.scale}, kShadow, character.name, 0);
    add_text(at, place.picked ? kGold : kWhite, character.name, 0);
}

void draw_sheet(ImVec2 from, ImVec2 to, const BubblePlace& place) {
    ImDrawList& list = *ImGui::GetBackgroundDrawList();
    const float scale = place.scale, round = 7 * scale;
    list.AddRectFilled({from.x + 2 * scale, from.y + 2 * scale},
                       {to.x + 2 * scale, to.y + 2 * scale}, kShadow, round);
    list.AddRectFilled(from, to, kPaper, round);
    const float tail = std::clamp(place.mouth.x, from.x + 18 * scale, to.x - 18 * scale);
    list.AddTriangleFilled({tail - 6 * scale, to.y}, {tail + 6 * scale, to.y},
                           {place.mouth.x, to.y + 7 * scale}, kPaper);
    if (place.picked)
        list.AddRect(from, to, kGold, round, 0, 1.5f * scale);
}

}  // namespace

void draw_bubble(const Character& character, const BubblePlace& place) {
    if (character.question.empty()) {
        draw_name(character, place);
        return;
    }
    const float line = ImGui::GetFontSize(), scale = place.scale, pad = 6 * scale;
    const float widest = place.view.x * 0.27f;
    const auto dots = static_cast<size_t>(std::fmod(ImGui::GetTime() * 3, 4.0));
    const std::string answer =
        character.answer.empty() && character.busy ? std::string(dots, '.') : character.answer;
    const ImVec2 asked = size_of(character.question, widest), said = size_of(answer + " ", widest);
    const float width = std::max({asked.x, said.x, 40 * scale}) + 2 * pad;
    const float height = line + asked.y + std::min(said.y, kAnswerLines * line) + 2.8f * pad;
    const float outwards =
        (place.mouth.x - place.view.x / 2) * 0.25f;  // so that they don't overlap
    const float left = std::clamp(place.mouth.x + outwards - width / 2, 4 * scale,
                                  place.view.x - width - 4 * scale);
    const float bottom = std::max(place.mouth.y - 7 * scale, height + 4 * scale);
    const float top = bottom - height;
    draw_sheet({left, top}, {left + width, bottom}, place);
    add_text({left + pad, top + pad}, kName, character.name, 0);
    add_text({left + pad, top + line + pad}, kFaint, character.question, widest);
    // The last lines, without the feet of the one before.
    ImDrawList& list = *ImGui::GetBackgroundDrawList();
    list.PushClipRect({left, top + line + asked.y + 1.8f * pad + 2 * scale}, {left + width, bottom},
                      true);
    add_text({left + pad, bottom - pad - said.y}, kInk, answer, widest);
    list.PopClipRect();
}
