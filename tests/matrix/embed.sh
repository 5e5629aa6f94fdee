#!/usr/bin/env bash
# libolivine: its tests, with sanitizers too, a program in C99 and one in Python, what it exports, and both
# libraries as they are installed: embed.sh [BIN]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_lavapipe 256
build=$(dirname "$bin")
library="$build/lib/libolivine.so"
model="$root/assets/pebble"
run_tests "$bin/olivine_embed_tests" ""
run_tests "$bin/olivine_executor_tests" ""  # with ThreadSanitizer
# Once more with the address and undefined-behaviour sanitizers, where leaks count too.
sanitized="$root/build-asan/bin/olivine_embed_tests"
if [[ -x "$sanitized" ]]; then
    UBSAN_OPTIONS=print_stacktrace=1 run_tests "$sanitized" ""
else
    broken "$sanitized is not built"
fi

expect() {  # what, command...
    local what=$1
    shift
    echo "== $what"
    local code=0
    ("$@") 2>&1 || code=$?
    if ((code == 0)); then passed=$((passed + 1)); else broken "$what: exit code $code"; fi
}
expect "a program in C99" "$bin/olivine_embed_c99" "$model"
expect "the same with the static library" "$bin/olivine_embed_static" "$model"
expect "a script in Python" python3 "$root/tests/embed/talk.py" "$library" "$model" "Tell me a story."

same_symbols() {
    diff <(nm -D --defined-only "$library" | awk '{ print $3 }' | sort) "$root/tests/embed/exported.txt"
}
expect "what it exports" same_symbols
same_layout() {
    diff <(python3 "$root/tests/embed/abi.py" "$root/app/embed/olivine.h") "$root/tests/embed/abi.txt"
}
expect "what programs have compiled in of its header (see tests/embed/abi.py)" same_layout

# As others find it: with pkg-config and with CMake, from a folder that knows nothing of this one.
prefix="$scratch/prefix"
installed() {
    cmake --install "$build" --prefix "$prefix" >"$scratch/install.log" || return
    local folder
    folder=$(dirname "$(find "$prefix" -name olivine.pc)")
    mkdir "$scratch/program" && cp "$root/tests/embed/c99.c" "$scratch/program/" || return
    cd "$scratch/program" || return
    export PKG_CONFIG_PATH="$folder" LD_LIBRARY_PATH="${folder%/pkgconfig}"
    # shellcheck disable=SC2046
    cc -std=c99 c99.c -o shared $(pkg-config --cflags --libs olivine) && ./shared "$model"
}
expect "with pkg-config" installed
first_page() {  # the program of docs/embedding.md
    local folder
    folder=$(dirname "$(find "$prefix" -name olivine.pc)")
    sed -n '/^```c$/,/^```$/p' "$root/docs/embedding.md" | sed '1d; /^```$/,$d' >"$scratch/program/page.c"
    export PKG_CONFIG_PATH="$folder" LD_LIBRARY_PATH="${folder%/pkgconfig}"
    # shellcheck disable=SC2046
    cc -std=c99 -Wall -Werror "$scratch/program/page.c" -o "$scratch/program/page" \
        $(pkg-config --cflags --libs olivine) || return
    (($(wc -l <"$scratch/program/page.c") <= 60)) && cd "$root" &&
        "$scratch/program/page" | tee /dev/stderr | grep -q '[a-z]'
}
expect "the first program of docs/embedding.md" first_page
with_cmake() {
    cd "$scratch/program" || return
    cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.25)
project(program LANGUAGES C CXX)
find_package(olivine 0.1 REQUIRED)
foreach(kind shared static)
  add_executable(with_${kind} c99.c)
  target_link_libraries(with_${kind} olivine::${kind})
endforeach()
END
    cmake -S . -B build -DCMAKE_PREFIX_PATH="$prefix" >"$scratch/cmake.log" &&
        cmake --build build >>"$scratch/cmake.log" &&
        ./build/with_shared "$model" && ./build/with_static "$model"
}
expect "with CMake" with_cmake

# The sample game, from a copy of its folder alone. Shared after static is linked anew, and no more.
toolchain="${OLIVINE_TOOLCHAIN:-$cache/toolchain}"  # has glslang where the system's is too old
export CCACHE_BASEDIR="$scratch" CCACHE_NOHASHDIR=1
build_sample() {  # ON: with the static library, or OFF
    cd "$scratch/sample" &&
        cmake -S . -B build -G Ninja -DCMAKE_PREFIX_PATH="$prefix;$toolchain" -DOLIVINE_SAMPLE_STATIC="$1" \
            -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache)" && cmake --build build
}
sample() {  # ON or OFF, options...
    [[ -e "$scratch/sample" ]] || cp -r "$root/app/embed/sample" "$scratch/sample" || return
    build_sample "$1" >"$scratch/cmake.log" || { cat "$scratch/cmake.log"; return 1; }
    shift
    "$scratch/sample/build/olivine_sample" --model "$model" --headless --json --width 640 --height 360 \
        --samples 1 "$@" >"$scratch/report.json"
}
expect "the sample game with the static library, validated" sample ON --frames 60 --validate
expect "the sample game, 600 frames" sample OFF --frames 600
expect "its report" python3 "$root/tests/embed/check_sample.py" "$scratch/report.json"
finish
