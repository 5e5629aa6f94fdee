// olivine chat: a conversation in the terminal, or line by line through a pipe.
#include <cstdio>
#include <memory>

#include "app/cli/command.h"
#include "app/cli/conversation.h"
#include "app/cli/line_reader.h"
#include "app/cli/output.h"
#include "app/cli/pictures.h"
#include "app/platform.h"
#include "engine/error.h"

namespace olivine {
namespace {

constexpr const char* kHelp =
    "  /help          this list\n"
    "  /image FILE    show a picture with the next message\n"
    "  /regen         answer the last message again\n"
    "  /save FILE     keep the conversation in a file\n"
    "  /load FILE     go on with one that was kept\n"
    "  /clear         begin anew\n"
    "  /system TEXT   begin anew with this said to the model before; no TEXT: nothing\n"
    "  /quit          end (also Ctrl-D)\n"
    "  Ctrl-C stops an answer. A line that ends with \\ goes on in the next one.\n"
    "  A blank before a slash makes it part of a message.\n";

std::string history_file() {
    const std::string folder = platform::data_folder();
    if (folder.empty() || !platform::make_private_folder(folder))
        return {};
    return folder + "/history";
}

class Talk {
public:
    explicit Talk(const Flags& flags)
        : conversation_(flags), lines_(platform::input_is_terminal() ? history_file() : "") {}

    int run();

private:
    using Answer = std::function<void(const std::function<void(std::string_view)>& on_text)>;

    LineReader::Outcome read_message(std::string& message);
    bool command(const std::string& line);  // false ends the talk
    void say(const Answer& answer);
    void show_picture(const std::string& file);
    void save_or_load(bool save, const std::string& file);

    Conversation conversation_;
    LineReader lines_;
    bool failed_ = false;   // a message in a pipe had no answer
    bool stopped_ = false;  // the last answer, by Ctrl-C
};

int Talk::run() {
    if (lines_.is_terminal())
        std::fputs("Ask something. /help lists the commands, Ctrl-D ends.\n", stderr);
    std::string message;
    for (;;) {
        const LineReader::Outcome outcome = read_message(message);
        if (outcome == LineReader::Outcome::end)
            break;
        if (outcome == LineReader::Outcome::interrupted) {
            if (!lines_.is_terminal())
                return kExitInterrupted;
            platform::clear_interrupt();
        } else if (message.starts_with('/')) {
            if (!command(message))
                break;
        } else if (!ChatTemplate::strip(message).empty()) {
            say([&](const auto& on_text) {
                conversation_.chat().ask(message, on_text, platform::interrupted);
            });
        }
    }
    if (lines_.is_terminal())
        return kExitDone;
    return stopped_ ? kExitInterrupted : failed_ ? kExitFailed : kExitDone;
}

// A backslash at a line's end joins it with the next one.
LineReader::Outcome Talk::read_message(std::string& message) {
    message.clear();
    std::string line;
    for (const char* prompt = "> ";; prompt = ". ") {
        const LineReader::Outcome outcome = lines_.read(prompt, line);
        if (outcome == LineReader::Outcome::interrupted)
            return outcome;
        if (outcome == LineReader::Outcome::end)
            return message.empty() ? outcome : LineReader::Outcome::line;
        const bool goes_on = line.ends_with('\\');
        if (goes_on)
            line.back() = '\n';
        message += line;
        if (!goes_on)
            return LineReader::Outcome::line;
    }
}

bool Talk::command(const std::string& line) {
    const size_t blank = line.find_first_of(" \t\n");
    const std::string word = line.substr(0, blank);
    const std::string rest(ChatTemplate::strip(
        blank == std::string::npos ? "" : std::string_view(line).substr(blank)));
    if (word == "/quit" || word == "/exit")
        return false;
    if (word == "/help") {
        std::fputs(kHelp, stderr);
    } else if (word == "/clear") {
        conversation_.chat().clear();
    } else if (word == "/regen") {
        say([&](const auto& on_text) {
            conversation_.chat().regenerate(on_text, platform::interrupted);
        });
    } else if (word == "/save" || word == "/load") {
        save_or_load(word == "/save", rest);
    } else if (word == "/image") {
        show_picture(rest);
    } else if (word == "/system") {
        try {
            conversation_.chat().set_system(rest);
        } catch (const Error& error) {  // a model that takes none: the talk goes on
            if (error.fault() != Fault::bad_input)
                throw;
            failed_ = true;
            note(error.what());
        }
    } else {
        failed_ = true;
        note("There is no command " + word + "; /help lists them.");
    }
    return true;
}

void Talk::show_picture(const std::string& file) {
    platform::clear_interrupt();
    try {
        if (file.empty())
            fail(Fault::bad_input, "/image takes the name of a picture file.");
        const std::string path = file_as_typed(file);
        const Picture picture = read_picture(path);
        conversation_.attach(std::span(&picture, 1), std::span(&path, 1));
        note(path + " goes with the next message.");
    } catch (const Error& error) {
        // A picture that cannot be read or was stopped is not part of the talk, which goes on.
        if (error.fault() != Fault::bad_input && error.fault() != Fault::bad_file &&
            error.fault() != Fault::cancelled)
            throw;
        failed_ = failed_ || error.fault() != Fault::cancelled;
        note(error.what());
        platform::clear_interrupt();
    }
}

void Talk::save_or_load(bool save, const std::string& file) {
    try {
        if (file.empty())
            fail(Fault::bad_input, "%s takes the name of a file.", save ? "/save" : "/load");
        const std::string path = file_as_typed(file);
        if (save)
            conversation_.chat().save(path);
        else
            conversation_.chat().load(File::open(path));
        const size_t turns = conversation_.chat().turns().size();
        note(format_text("%s: %zu %s, %u tokens.", path.c_str(), turns, turns == 1 ? "turn" : "turns",
                         conversation_.chat().context_used()));
    } catch (const Error& error) {
        // A file that cannot be written or read leaves the talk as it was; it goes on.
        if (error.fault() != Fault::bad_input && error.fault() != Fault::bad_file)
            throw;
        failed_ = true;
        note(error.what());
    }
}

void Talk::say(const Answer& answer) {
    platform::clear_interrupt();
    bool line_is_open = true;  // an answer without a word still gets its line
    try {
        answer([&](std::string_view text) {
            put_answer(text);
            if (!text.empty())
                line_is_open = text.back() != '\n';
        });
    } catch (const Error& error) {
        // A message that does not fit leaves the conversation as it was; the talk goes on.
        if (error.fault() != Fault::bad_input)
            throw;
        failed_ = true;
        note(error.what());
        return;
    }
    if (line_is_open)
        put("\n");
    stopped_ = platform::interrupted();
    platform::clear_interrupt();
    conversation_.report();
}

int chat(const Flags& flags) {
    platform::watch_interrupts();
    return Talk(flags).run();
}

}  // namespace

Command add_chat(CLI::App& app) {
    const auto flags = std::make_shared<Flags>();
    add_model_flag(app, *flags);
    add_pan_and_scan_flag(app, *flags);
    add_answer_flags(app, *flags);
    add_context_flags(app, *flags);
    add_text(app, "--on-full", "error|shift",
             "When the context is full: end the answer, or let the model forget the oldest turns; "
             "default: error",
             [=](const std::string& text) {
                 if (text != "error" && text != "shift")
                     fail_usage("--on-full is '%s'; it is error or shift.", text.c_str());
                 flags->shift = text == "shift";
             });
    add_device_flags(app, *flags);
    add_verbose_flag(app, *flags);
    return [=] { return chat(*flags); };
}

}  // namespace olivine
