// What differs from one operating system to the next: signals, terminals, folders, processes.
// platform.cpp is the only file of the programs that knows POSIX.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace olivine::platform {

// Before anything else: opens what the caller closed of the three standard streams, so that no
// other file takes their numbers, and reads the locale's character set (UTF-8 where it has none).
void start();

// From now on Ctrl-C sets a flag. A second one, while the flag is still set, ends the process.
void watch_interrupts();
bool interrupted();
void clear_interrupt();

bool input_is_terminal();
bool output_is_terminal();
bool error_is_terminal();
uint32_t terminal_columns();  // of standard error's terminal; 80 when it does not say

enum class Wake : uint8_t { bytes, end, interrupted, redraw };
struct Input {
    Wake wake = Wake::end;
    size_t count = 0;  // bytes read, with Wake::bytes
};
// Waits for standard input. `interrupted` once a Ctrl-C has come (the flag stays set), `redraw`
// when the terminal has another size or the process was stopped and goes on.
Input read_input(std::span<char> buffer);

// "" where the environment names no home. Not created.
std::string cache_folder();  // $XDG_CACHE_HOME/olivine or ~/.cache/olivine
std::string data_folder();   // $XDG_DATA_HOME/olivine or ~/.local/share/olivine
// Makes a folder that only the user can read. False when it cannot.
bool make_private_folder(const std::string& path);
// From now on files are made so that only the user can read them; for the history of questions.
class PrivateFiles {
public:
    PrivateFiles();
    ~PrivateFiles();

private:
    unsigned before_;
};

// The model that comes with Olivine: beside the build, beside an installed program, or in the
// source tree that it was built from. Throws bad_file when it is in none of them.
std::string built_in_model();

// Whether the environment names a display for windows.
bool has_display();

// Whether there is a GPU that draws: a node of the kernel's.
bool has_render_node();

// The calling thread, and threads that it starts from now on, run when nothing else wants to.
void give_way();

std::string system_error(int number);  // "No space left on device"
int process_id();
// Bytes of memory that the process has had at most; 0 when the system does not say.
uint64_t peak_memory_bytes();
// Seconds since the process was started, to 10 ms.
double process_seconds();

}  // namespace olivine::platform
