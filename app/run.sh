#!/usr/bin/env bash
# Sets the machine up, builds Olivine and runs it: app/run.sh [--software] [ARGUMENTS...]
#
# The arguments are olivine's; without any it is "chat". --software, as the first one, installs the
# software Vulkan driver even where there is a GPU. Standard input and output are olivine's alone.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)

setup=()
if [[ "${1:-}" == --software ]]; then
    setup+=(--software)
    shift
fi
text=$("$root/cmake/setup.sh" "${setup[@]}")
arguments=()
[[ -z "$text" ]] || mapfile -t arguments <<<"$text"
"$root/cmake/build.sh" "$root/build" olivine -- "${arguments[@]}"

(($#)) || set -- chat
exec "$root/build/bin/olivine" "$@"
