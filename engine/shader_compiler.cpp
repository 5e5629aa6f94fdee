// The one file of the engine that knows how this system (POSIX) starts another program.
#include "engine/shader_compiler.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "engine/error.h"
#include "shader_tools.inc"

namespace olivine {
namespace {

namespace fs = std::filesystem;

class ScratchFolder {
public:
    ScratchFolder() {
        std::error_code error;
        const fs::path parent = fs::temp_directory_path(error);
        std::string name = (error ? fs::path("/tmp") : parent) / "olivine-shader-XXXXXX";
        if (!mkdtemp(name.data()))
            fail(Fault::bad_input, "A folder for compiled shaders, %s, cannot be made: %s.",
                 name.c_str(), std::strerror(errno));
        path = name;
    }
    ~ScratchFolder() {
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;

    fs::path path;
};

// Runs a program with what it says in `log`. Returns 0 for its success, else an errno number where
// it does not start, and -1 where it fails.
int run(const std::vector<std::string>& command, const fs::path& log) {
    std::vector<char*> arguments;
    for (const std::string& each : command)
        arguments.push_back(const_cast<char*>(each.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t streams;
    posix_spawn_file_actions_init(&streams);
    posix_spawn_file_actions_addopen(&streams, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&streams, STDOUT_FILENO, log.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&streams, STDOUT_FILENO, STDERR_FILENO);
    pid_t child = 0;
    const int failure =
        posix_spawn(&child, arguments[0], &streams, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&streams);
    if (failure != 0)
        return failure;
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

std::string text_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

// The lines that say something, each after a newline.
std::string lines_of(const fs::path& log) {
    std::istringstream text(text_of(log));
    std::string lines;
    for (std::string line; std::getline(text, line);)
        if (line.find_first_not_of(" \t\r") != std::string::npos)
            lines += "\n" + line;
    return lines;
}

}  // namespace

std::vector<uint32_t> compile_shader(const ShaderVariant& variant, const fs::path& folder) {
    const std::string name(variant.name);
    const ScratchFolder scratch;
    const fs::path binary = scratch.path / (name + ".spv"), log = scratch.path / "log";

    // As in shaders/CMakeLists.txt.
    std::vector<std::string> compile = {kCompiler, "--quiet", "--target-env", variant.environment,
                                        "-g0"};
    for (const char* define : variant.defines)
        if (define)
            compile.emplace_back(define);
    compile.push_back("-I" + folder.string());
    compile.push_back((folder / variant.source).string());
    compile.insert(compile.end(), {"-o", binary.string()});
    if (const int result = run(compile, log); result > 0)
        fail(Fault::bad_input,
             "The compiler that shaders are built with, %s, cannot be started: %s.", kCompiler,
             std::strerror(result));
    else if (result < 0)
        throw Error(Fault::bad_input, "The shader " + name + " does not compile:" + lines_of(log));
    const std::string warnings = lines_of(log);

    // Where it is not there, the driver's validation layers say the same.
    if (run({kValidator, "--target-env", variant.environment, binary.string()}, log) < 0)
        throw Error(Fault::bad_input,
                    "The SPIR-V of shader " + name + " is not valid:" + lines_of(log));

    const std::string bytes = text_of(binary);
    if (bytes.empty() || bytes.size() % 4 != 0)
        fail(Fault::bad_input, "The compiler leaves no SPIR-V of shader %s.", name.c_str());
    std::vector<uint32_t> words(bytes.size() / 4);
    std::memcpy(words.data(), bytes.data(), bytes.size());
    const char* const bar_away = isatty(STDERR_FILENO) ? "\r\033[K" : "";  // a progress bar's line
    std::fprintf(stderr, "%solivine: compiled shader %s from %s%s\n", bar_away, name.c_str(),
                 folder.c_str(), warnings.c_str());
    return words;
}

}  // namespace olivine
