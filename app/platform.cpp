#include "app/platform.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <clocale>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "engine/error.h"

namespace olivine::platform {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;
volatile std::sig_atomic_t g_redraw = 0;
const std::chrono::steady_clock::time_point g_loaded = std::chrono::steady_clock::now();

void on_interrupt(int) {
    if (g_interrupted) {
        std::signal(SIGINT, SIG_DFL);
        std::raise(SIGINT);  // blocked until this handler returns
    }
    g_interrupted = 1;
}

void on_redraw(int) {
    g_redraw = 1;
}

// ppoll, the one call that waits for people, is interrupted all the same; writes are not.
void handle(int signal, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, nullptr);
}

std::string folder_of(const char* variable, const char* below_home) {
    const char* base = std::getenv(variable);
    if (base && base[0] == '/')
        return std::string(base) + "/olivine";
    const char* home = std::getenv("HOME");
    if (home && home[0] == '/')
        return std::string(home) + below_home + "/olivine";
    return {};
}

}  // namespace

void start() {
    for (int stream = 0; stream <= 2; ++stream)
        if (fcntl(stream, F_GETFD) == -1 && errno == EBADF) {
            // The other way round than the stream is used, so that using it is an error.
            const int opened = open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY);
            if (opened != stream && opened >= 0)
                close(opened);
        }
    if (!std::setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
        std::setlocale(LC_CTYPE, "C.UTF-8");
}

void watch_interrupts() {
    struct sigaction before {};
    sigaction(SIGINT, nullptr, &before);
    // A shell script's background jobs ignore Ctrl-C; it stays theirs to decide.
    if (before.sa_handler != SIG_IGN)
        handle(SIGINT, on_interrupt);
    handle(SIGWINCH, on_redraw);
    handle(SIGCONT, on_redraw);
}

bool interrupted() {
    return g_interrupted != 0;
}
void clear_interrupt() {
    g_interrupted = 0;
}

bool input_is_terminal() {
    return isatty(STDIN_FILENO) == 1;
}
bool output_is_terminal() {
    return isatty(STDOUT_FILENO) == 1;
}
bool error_is_terminal() {
    return isatty(STDERR_FILENO) == 1;
}

uint32_t terminal_columns() {
    winsize size{};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

Input read_input(std::span<char> buffer) {
    // The signals come through only while ppoll waits, so that none is missed between the test of
    // its flag and the wait.
    sigset_t held, before;
    sigemptyset(&held);
    for (const int signal : {SIGINT, SIGWINCH, SIGCONT})
        sigaddset(&held, signal);
    sigprocmask(SIG_BLOCK, &held, &before);
    Input input;
    for (;;) {
        if (g_interrupted) {
            input.wake = Wake::interrupted;
            break;
        }
        if (g_redraw) {
            g_redraw = 0;
            input.wake = Wake::redraw;
            break;
        }
        pollfd ready{STDIN_FILENO, POLLIN, 0};
        if (ppoll(&ready, 1, nullptr, &before) < 0) {
            if (errno == EINTR)
                continue;
            break;
        }
        const ssize_t count = read(STDIN_FILENO, buffer.data(), buffer.size());
        if (count < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (count > 0)
            input = {Wake::bytes, static_cast<size_t>(count)};
        break;
    }
    sigprocmask(SIG_SETMASK, &before, nullptr);
    return input;
}

std::string cache_folder() {
    return folder_of("XDG_CACHE_HOME", "/.cache");
}
std::string data_folder() {
    return folder_of("XDG_DATA_HOME", "/.local/share");
}

bool make_private_folder(const std::string& path) {
    const PrivateFiles only_here;
    std::error_code error;
    std::filesystem::create_directories(path, error);
    return std::filesystem::is_directory(path, error);
}

PrivateFiles::PrivateFiles() : before_(umask(077)) {}
PrivateFiles::~PrivateFiles() {
    umask(static_cast<mode_t>(before_));
}

std::string built_in_model() {
    std::error_code error;
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
    std::vector<std::filesystem::path> places;
    if (!error) {
        places.push_back(program.parent_path() / "../../assets/pebble");
        places.push_back(program.parent_path() / "../share/olivine/pebble");
    }
    places.push_back(std::filesystem::path(OLIVINE_ASSETS) / "pebble");
    std::string looked;
    for (const std::filesystem::path& place : places) {
        const std::filesystem::path plain = place.lexically_normal();
        if (std::filesystem::exists(plain / "config.json", error))
            return plain.string();
        looked += (looked.empty() ? "" : ", ") + plain.string();
    }
    fail(Fault::bad_file, "The built-in model is not found (looked in %s).", looked.c_str());
}

bool has_display() {
    for (const char* variable : {"DISPLAY", "WAYLAND_DISPLAY"})
        if (const char* name = std::getenv(variable); name && *name)
            return true;
    return false;
}

bool has_render_node() {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/dev/dri", error))
        if (entry.path().filename().string().starts_with("renderD"))
            return true;
    return std::filesystem::exists("/dev/nvidiactl", error);
}

void give_way() {
    // On Linux a thread has a nice value of its own, which those that it starts inherit.
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 10);
}

std::string system_error(int number) {
    return std::strerror(number);
}
int process_id() {
    return static_cast<int>(getpid());
}

uint64_t peak_memory_bytes() {
    // Not getrusage: its figure includes what the parent had before exec.
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:"))
            return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
    return 0;
}

double process_seconds() {
    const auto loaded = std::chrono::duration<double>(std::chrono::steady_clock::now() - g_loaded);
    std::ifstream file("/proc/self/stat");
    std::stringstream text;
    text << file.rdbuf();
    const std::string all = text.str();
    const size_t name_end = all.rfind(')');  // the name may hold blanks and brackets
    timespec now{};
    if (name_end == std::string::npos || clock_gettime(CLOCK_BOOTTIME, &now) != 0)
        return loaded.count();
    std::istringstream fields(all.substr(name_end + 1));
    std::string field;
    for (int i = 3; i <= 22; ++i)  // field 22: start time in clock ticks since boot (proc(5))
        fields >> field;
    const double started =
        std::strtod(field.c_str(), nullptr) / static_cast<double>(sysconf(_SC_CLK_TCK));
    const double age =
        static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 - started;
    // In a container whose clock is shifted the two disagree; then ours is right.
    return age >= loaded.count() && age < loaded.count() + 1 ? age : loaded.count();
}

}  // namespace olivine::platform
