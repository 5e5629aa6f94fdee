// olivine run: one answer to standard output.
#include <memory>

#include "app/cli/command.h"
#include "app/cli/conversation.h"
#include "app/cli/output.h"
#include "app/cli/pictures.h"
#include "app/platform.h"
#include "engine/error.h"

namespace olivine {
namespace {

constexpr size_t kMostPromptBytes = size_t{64} << 20;  // many times the longest context

struct RunFlags : Flags {
    std::optional<std::string> prompt;  // none, or "-": standard input
    std::vector<std::string> rest;      // what is no flag: a lone "-" asks for standard input
};

std::string read_all_input() {
    std::string text;
    std::vector<char> buffer(1 << 16);
    for (;;) {
        const platform::Input input = platform::read_input(buffer);
        switch (input.wake) {
        case platform::Wake::bytes: text.append(buffer.data(), input.count); break;
        case platform::Wake::end: return text;
        case platform::Wake::interrupted:
            fail(Fault::cancelled, "Stopped while reading the prompt.");
        case platform::Wake::redraw: break;
        }
        if (text.size() > kMostPromptBytes)
            fail(Fault::bad_input, "The prompt on standard input is longer than %zu bytes.",
                 kMostPromptBytes);
    }
}

std::string read_prompt(const RunFlags& flags) {
    for (const std::string& each : flags.rest)
        if (each != "-")
            fail_usage("'%s' is no flag of run; the prompt is given by -p TEXT.", each.c_str());
    const bool asked = !flags.rest.empty() || flags.prompt == "-";
    if (!flags.rest.empty() && flags.prompt && flags.prompt != "-")
        fail_usage("The prompt is given by -p and asked from standard input by -.");
    std::string text;
    if (flags.prompt && !asked) {
        text = *flags.prompt;
    } else {
        if (!asked && platform::input_is_terminal())
            fail_usage("There is no prompt; give one with -p TEXT, or on standard input.");
        text = read_all_input();
    }
    if (ChatTemplate::strip(text).empty())
        fail(Fault::bad_input, "The prompt is empty.");
    return text;
}

int run(const RunFlags& flags) {
    platform::watch_interrupts();
    const std::string prompt = read_prompt(flags);
    const std::vector<Picture> pictures = read_pictures(flags);
    RunFlags once = flags;
    once.context.checkpoint_bytes = 0;  // nobody goes back
    once.as_needed = true;
    Conversation conversation(once);
    conversation.attach(pictures, flags.images);
    bool line_is_open = false;  // Ctrl-C leaves no half line behind either
    conversation.chat().ask(
        prompt,
        [&](std::string_view text) {
            put_answer(text);
            line_is_open = !text.empty() ? text.back() != '\n' : line_is_open;
        },
        platform::interrupted);
    if (line_is_open)
        put("\n");
    conversation.report();
    return platform::interrupted() ? kExitInterrupted : kExitDone;
}

}  // namespace

Command add_run(CLI::App& app) {
    const auto flags = std::make_shared<RunFlags>();
    add_model_flag(app, *flags);
    add_text(app, "-p,--prompt", "TEXT", "What to ask; - or nothing: what standard input has",
             [=](const std::string& text) { flags->prompt = text; });
    app.allow_extras();
    add_image_flag(app, *flags);
    add_pan_and_scan_flag(app, *flags);
    add_answer_flags(app, *flags);
    add_context_flags(app, *flags);
    add_device_flags(app, *flags);
    add_verbose_flag(app, *flags);
    return [=, &app] {
        flags->rest = app.remaining();
        return run(*flags);
    };
}

}  // namespace olivine
