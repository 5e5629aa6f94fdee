// A clearing at dusk, and three who talk there. What it shows: characters.cpp (libolivine) and
// run() below (where in a frame it gets its time). The rest is what every small game has.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "characters.h"
#include "measured.h"
#include "options.h"
#include "overlay.h"
#include "scene.h"
#include "screen.h"
#include "vulkan.h"
#include "window.h"

namespace {

volatile std::sig_atomic_t interrupted = 0;

// In a measured run, between its idle part and its end: everybody is asked, and again when they
// have answered.
void keep_asking(Characters& characters, Scene& scene) {
    for (Character& character : characters.all()) {
        if (character.busy)
            continue;
        if (character.sees)
            scene.paint_anew();
        characters.ask(character,
                       character.questions[character.asked % character.questions.size()]);
    }
}

// Declared after what frames use: those that are under way end before it goes, in whatever way.
struct AtEnd {
    Vulkan& vulkan;
    ~AtEnd() {
        const std::lock_guard lock(vulkan.queue_mutex());
        vkQueueWaitIdle(vulkan.queue());
    }
};

void run(const Options& options) {
    const VkExtent2D extent{options.width, options.height};
    std::optional<Window> window;
    Vulkan::Wanted wanted{.number = options.device, .validate = options.validate};
    if (!options.headless) {
        window.emplace(extent);
        wanted.instance_extensions = Window::instance_extensions();
        wanted.device_extensions = {VK_KHR_SWAPCHAIN_EXTENSION_NAME};
    }
    const Window* const shown = window ? &*window : nullptr;
    Vulkan vulkan(wanted);
    Screen screen(vulkan, extent, shown);
    Scene scene(vulkan, {.extent = extent,
                         .format = screen.canvas().format,
                         .samples = options.samples,
                         .seed = options.seed});
    Overlay overlay(vulkan, screen.canvas(), shown, options.budget_us);
    Characters characters(
        vulkan, scene.painting(),
        {.model = options.model, .cache_folder = options.cache_folder, .seed = options.seed});
    Measured measured;
    const AtEnd at_end{vulkan};

    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    Clock::time_point last = start;
    for (uint64_t frame = 0; !interrupted && (!window || window->poll()); ++frame) {
        const Phase phase = !characters.ready() ? Phase::loading
                            : characters.busy() ? Phase::busy
                                                : Phase::idle;
        screen.wait();  // so that the slices of olv_tick() do not queue up behind the last frame
        characters.tick(overlay.budget_us());
        if (measured.frames() >= options.frames / 4 && measured.frames() < options.frames)
            keep_asking(characters, scene);
        for (size_t i = 0; i < kActors; ++i)
            scene.actors()[i].talking = characters.ready() && characters.all()[i].busy;
        overlay.update(scene, characters);

        const std::chrono::duration<float> since = Clock::now() - start;
        const VkCommandBuffer commands = screen.begin();
        scene.draw(commands, screen.canvas().view.get(),
                   options.headless ? static_cast<float>(frame) / 60 : since.count());
        overlay.draw(commands, screen.canvas().view.get());
        screen.end();

        const Clock::time_point now = Clock::now();
        const double frame_ms = std::chrono::duration<double, std::milli>(now - last).count();
        last = now;
        measured.add(phase, frame_ms, characters.work());
        overlay.add_frame(static_cast<float>(frame_ms),
                          static_cast<float>(characters.work().tick_ms), phase == Phase::busy);
        if (options.frames > 0 && measured.frames() >= options.frames && !characters.busy())
            break;
    }
    if (!options.screenshot.empty())
        screen.save(options.screenshot);
    if (options.json)
        std::printf("%s\n", measured.json(options, vulkan.name(), characters).c_str());
    if (vulkan.validation_messages() > 0)
        throw std::runtime_error("The validation layer has said something.");
}

}  // namespace

int main(int count, char** arguments) {
    const Options options = read_options(count, arguments);
    std::signal(SIGINT, [](int) { interrupted = 1; });
    std::signal(SIGTERM, [](int) { interrupted = 1; });
    try {
        run(options);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "olivine_sample: %s\n", error.what());
        return 1;
    }
}
