#!/usr/bin/env bash
# Sets the machine up, builds Olivine and runs it: app/run.sh [--software] [ARGUMENTS...]
#
# The arguments are olivine's; without any it is "chat". "desktop" as the first one opens the window,
# olivine-chat, whose arguments then are the others. --software, as the first one, installs the software
# Vulkan driver even where there is a GPU. Standard input and output are the program's alone.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

setup=()
if [[ "${1:-}" == --software ]]; then
    setup+=(--software)
    shift
fi
program=olivine target=olivine
if [[ "${1:-}" == desktop ]]; then
    program=olivine-chat target=olivine_chat
    setup+=(--desktop)
    shift
elif (($# == 0)); then
    set -- chat
fi
text=$("$root/cmake/setup.sh" "${setup[@]}")
arguments=()
[[ -z "$text" ]] || mapfile -t arguments <<<"$text"
"$root/cmake/build.sh" "$root/build" "$target" -- "${arguments[@]}"

exec "$root/build/bin/$program" "$@"
