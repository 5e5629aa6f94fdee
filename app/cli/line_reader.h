// Lines of standard input: with editing and history on a terminal, as they come in a pipe.
#pragma once

#include <memory>
#include <string>

namespace olivine {

class LineReader {
public:
    // history_file: where the lines typed on a terminal are kept; "" = nowhere.
    explicit LineReader(const std::string& history_file);
    ~LineReader();

    bool is_terminal() const { return editor_ != nullptr; }

    enum class Outcome { line, end, interrupted };
    // The next line without its end. The prompt shows on a terminal only. `interrupted` after a
    // Ctrl-C, whose flag stays set; what was typed so far is gone then.
    // Throws bad_input when a line in a pipe is longer than 64 MiB.
    Outcome read(const char* prompt, std::string& line);

private:
    struct Editor;
    Outcome read_plain(std::string& line);

    std::unique_ptr<Editor> editor_;
    std::string pending_;  // read from the pipe and not handed out yet
    bool at_end_ = false;
};

}  // namespace olivine
