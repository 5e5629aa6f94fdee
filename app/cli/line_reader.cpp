#include "app/cli/line_reader.h"

#include <histedit.h>

#include <cstdio>
#include <cwchar>
#include <vector>

#include "app/platform.h"
#include "engine/error.h"

namespace olivine {
namespace {

constexpr int kHistoryLines = 1000;
constexpr size_t kMostLineBytes = size_t{64} << 20;

}  // namespace

struct LineReader::Editor {
    EditLine* line = nullptr;
    History* history = nullptr;
    std::string history_file;
    std::FILE* screen = nullptr;
    const char* prompt = "";
    std::mbstate_t partial{};  // of a character whose first bytes have come
    bool interrupted = false;

    explicit Editor(const std::string& file);
    ~Editor();
    Editor(const Editor&) = delete;
    Editor& operator=(const Editor&) = delete;

    Outcome read(const char* with_prompt, std::string& text);
    void remember(const std::string& text);

    static Editor& of(EditLine* line);
    static char* show_prompt(EditLine* line);
    static int read_character(EditLine* line, wchar_t* character);
};

LineReader::Editor::Editor(const std::string& file) : history_file(file) {
    // The prompt and what is typed are no answers: they go to standard error where it is seen.
    screen = platform::error_is_terminal() ? stderr : stdout;
    line = el_init("olivine", stdin, screen, stderr);
    history = history_init();
    if (!line || !history)
        throw std::bad_alloc();
    HistEvent event;
    ::history(history, &event, H_SETSIZE, kHistoryLines);
    ::history(history, &event, H_SETUNIQUE, 1);
    if (!history_file.empty())
        ::history(history, &event, H_LOAD, history_file.c_str());
    el_set(line, EL_CLIENTDATA, this);
    el_set(line, EL_PROMPT, &Editor::show_prompt);
    el_set(line, EL_SIGNAL, 0);  // Ctrl-C and the window's size come through read_character
    el_set(line, EL_HIST, ::history, history);
    el_set(line, EL_EDITOR, "emacs");
    el_set(line, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_wset(line, EL_GETCFN, &Editor::read_character);
    el_source(line, nullptr);
}

LineReader::Editor::~Editor() {
    if (line)
        el_end(line);
    if (history)
        history_end(history);
}

LineReader::Editor& LineReader::Editor::of(EditLine* line) {
    void* data = nullptr;
    el_get(line, EL_CLIENTDATA, &data);
    return *static_cast<Editor*>(data);
}

char* LineReader::Editor::show_prompt(EditLine* line) {
    return const_cast<char*>(of(line).prompt);  // the library's type; it only reads
}

// 1: a character, 0: end of input, -1: stop reading the line.
int LineReader::Editor::read_character(EditLine* line, wchar_t* character) {
    Editor& editor = of(line);
    for (;;) {
        char byte = 0;
        const platform::Input input = platform::read_input({&byte, 1});
        switch (input.wake) {
        case platform::Wake::end: return 0;
        case platform::Wake::interrupted: editor.interrupted = true; return -1;
        case platform::Wake::redraw:
            // After a stop the shell may have left the terminal in another mode. What was drawn for
            // another width is not where the library thinks: begin at the left, with nothing below.
            el_set(line, EL_PREP_TERM, 1);
            std::fputs("\r\033[J", editor.screen);
            std::fflush(editor.screen);
            el_resize(line);
            el_set(line, EL_REFRESH);
            continue;
        case platform::Wake::bytes: break;
        }
        const size_t length = std::mbrtowc(character, &byte, 1, &editor.partial);
        if (length == static_cast<size_t>(-2))
            continue;  // the character has further bytes
        if (length == static_cast<size_t>(-1)) {
            editor.partial = {};
            *character = L'\uFFFD';
        }
        return 1;
    }
}

LineReader::Outcome LineReader::Editor::read(const char* with_prompt, std::string& text) {
    prompt = with_prompt;
    interrupted = false;
    partial = {};
    int count = 0;
    const char* typed = el_gets(line, &count);
    if (interrupted || !typed || count <= 0) {
        std::fputs("\n", screen);
        std::fflush(screen);
        el_reset(line);
        return interrupted ? Outcome::interrupted : Outcome::end;
    }
    text.assign(typed, static_cast<size_t>(count));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
        text.pop_back();
    remember(text);
    return Outcome::line;
}

// Saved line by line, since closing the terminal's window ends the process; and under another name
// first, so that it never ends with half a file.
void LineReader::Editor::remember(const std::string& text) {
    if (text.empty())
        return;
    HistEvent event;
    ::history(history, &event, H_ENTER, text.c_str());
    if (history_file.empty())
        return;
    const platform::PrivateFiles only_here;
    const std::string draft = history_file + format_text(".%d", platform::process_id());
    if (::history(history, &event, H_SAVE, draft.c_str()) < 0 ||
        std::rename(draft.c_str(), history_file.c_str()) != 0)
        std::remove(draft.c_str());  // a history that cannot be kept is no reason to stop
}

LineReader::LineReader(const std::string& history_file) {
    if (platform::input_is_terminal() &&
        (platform::error_is_terminal() || platform::output_is_terminal()))
        editor_ = std::make_unique<Editor>(history_file);
}

LineReader::~LineReader() = default;

LineReader::Outcome LineReader::read(const char* prompt, std::string& line) {
    return editor_ ? editor_->read(prompt, line) : read_plain(line);
}

LineReader::Outcome LineReader::read_plain(std::string& line) {
    std::vector<char> buffer(1 << 16);
    size_t searched = 0;
    for (;;) {
        const size_t newline = pending_.find('\n', searched);
        if (newline != std::string::npos || (at_end_ && !pending_.empty())) {
            line = pending_.substr(0, newline);
            pending_.erase(0, newline == std::string::npos ? newline : newline + 1);
            if (!line.empty() && line.back() == '\r')
                line.pop_back();
            return Outcome::line;
        }
        if (at_end_)
            return Outcome::end;
        searched = pending_.size();
        if (searched > kMostLineBytes)
            fail(Fault::bad_input, "A line on standard input is longer than %zu bytes.",
                 kMostLineBytes);
        const platform::Input input = platform::read_input(buffer);
        switch (input.wake) {
        case platform::Wake::bytes: pending_.append(buffer.data(), input.count); break;
        case platform::Wake::end: at_end_ = true; break;
        case platform::Wake::interrupted: return Outcome::interrupted;
        case platform::Wake::redraw: break;
        }
    }
}

}  // namespace olivine
