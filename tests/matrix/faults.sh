#!/usr/bin/env bash
# Makes every Vulkan call fail in turn: tests/matrix/faults.sh FOLDER
#
# FOLDER holds olivine_faults, best built with sanitizers (build-asan/bin). It runs on lavapipe and
# on SwiftShader, where leaks count too. Exit code 0: all passed, 1: one failed, 77: cannot run.
set -euo pipefail
readonly folder=${1:-build-asan/bin}
readonly program="$folder/olivine_faults"
readonly cache="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/olivine"

cannot_run() {
    echo "faults.sh cannot run: $*"
    exit 77
}
[[ -x "$program" ]] || cannot_run "$program is not built"

passed=0 failed=0
# Functions of Vulkan that the program still takes from the loader must be those that cannot fail.
readonly cannot_fail='^vk(Cmd[A-Za-z0-9]*|Destroy[A-Za-z]*|GetDeviceQueue|UpdateDescriptorSets|GetPhysicalDevice(Features2|MemoryProperties2?|Properties2?|QueueFamilyProperties))$'
if command -v nm >/dev/null; then
    missed=$(nm -D --undefined-only "$program" | awk '{ print $2 }' | grep '^vk' |
        grep -vE "$cannot_fail" || true)
    if [[ -n "$missed" ]]; then
        echo "tests/faults/vulkan_faults.cpp lacks $missed"
        failed=1
    fi
fi

run_on() {  # driver's name, ICD file, scenarios...
    local name=$1 icd=$2 code=0 log counts
    shift 2
    if [[ ! -e "$icd" ]]; then
        echo "$name: skipped, $icd does not exist"
        return
    fi
    echo "== $name"
    log=$(mktemp)
    # A hang is a failure.
    VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd timeout --foreground --kill-after=10 \
        "${OLIVINE_LANE_SECONDS:-900}" "$program" "$@" 2>&1 | tee "$log" || code=$?
    counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1 || true)
    rm -f "$log"
    if [[ $counts =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        # A leak is found after the counts.
        ((code == 0 || BASH_REMATCH[2] > 0)) || failed=$((failed + 1))
    else
        failed=$((failed + 1))
    fi
    ((code == 0)) || echo "$name: exit code $code"
}

lavapipe=""
for file in {/etc,/usr/local/share,/usr/share}/vulkan/icd.d/lvp_icd*.json; do
    [[ -e "$file" && -z "$lavapipe" ]] && lavapipe=$file
done
[[ -n "$lavapipe" || -e "$cache/swiftshader/vk_swiftshader_icd.json" ]] ||
    cannot_run "neither lavapipe nor SwiftShader is here"
run_on lavapipe "${lavapipe:-lvp_icd.json}"
run_on swiftshader "$cache/swiftshader/vk_swiftshader_icd.json" list run
echo "$passed passed, $failed failed"
((failed == 0))
