#!/usr/bin/env bash
# Configures and builds Olivine, quietly: the output goes to FOLDER/build.log, which is shown only
# when something fails. Nothing is written to standard output.
#
#   cmake/build.sh FOLDER TARGET... [-- CMAKE-ARGUMENTS...]
set -euo pipefail
exec </dev/null >&2  # standard input and output are the program's

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
readonly root
readonly folder=$1
shift
targets=()
while (($#)) && [[ "$1" != -- ]]; do
    targets+=("$1")
    shift
done
(($# == 0)) || shift
arguments=(-S "$root" -B "$folder" -G Ninja "$@")
readonly log="$folder/build.log"
readonly configured="$folder/configured-with"

fail() {
    [[ -t 2 ]] && printf '\r\033[K'
    grep -v '^\[[0-9]*/[0-9]*\] ' "$log" # all but the steps that went well
    echo "olivine: $* (the whole log is $log)"
    exit 1
}

# On a terminal, ninja's lines become one that counts up.
show_progress() {
    if [[ ! -t 2 ]]; then
        cat >/dev/null
        return
    fi
    local line
    while IFS= read -r line; do
        [[ "$line" != "["* ]] || printf '\r\033[Kolivine: building %s' "${line%% *}"
    done
    printf '\r\033[K'
}

mkdir -p "$folder"
exec {lock}>"$folder/build.lock"
flock "$lock" # another run may be building the same folder

# Configured anew when the arguments change, say because Catch2 is there now and brings the tests.
if [[ ! -e "$folder/build.ninja" || ! -e "$configured" ||
    "$(<"$configured")" != "${arguments[*]}" ]]; then
    echo "olivine: configuring $folder"
    rm -f "$configured"
    cmake --fresh "${arguments[@]}" >"$log" 2>&1 || fail "CMake cannot configure the build."
    echo "${arguments[*]}" >"$configured"
fi

if ! ninja -C "$folder" -n "${targets[@]}" 2>/dev/null | grep -q 'no work to do'; then
    echo "olivine: building ${targets[*]} in $folder"
    ninja -C "$folder" "${targets[@]}" 2>&1 | tee "$log" | show_progress ||
        fail "the build of ${targets[*]} fails."
fi
