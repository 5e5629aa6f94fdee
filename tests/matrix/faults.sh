#!/usr/bin/env bash
# Makes every Vulkan call fail in turn, on lavapipe and on SwiftShader, built with the sanitizers, where
# leaks count too: faults.sh [BIN]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
readonly program="${1:-$root/build-asan/bin}/olivine_faults"
olivine="$root/build/bin/olivine"
[[ -x "$program" ]] || cannot_run "$program is not built"
use_lavapipe 256
lavapipe=$VK_DRIVER_FILES

# Functions of Vulkan that the program still takes from the loader must be those that cannot fail.
readonly cannot_fail='^vk(Cmd[A-Za-z0-9]*|Destroy[A-Za-z]*|GetDeviceQueue|GetBufferMemoryRequirements|GetBufferDeviceAddress|UpdateDescriptorSets|GetPhysicalDevice(Features2|MemoryProperties2?|Properties2?|QueueFamilyProperties2?))$'
if command -v nm >/dev/null; then
    missed=$(nm -D --undefined-only "$program" | awk '{ print $2 }' | grep '^vk' |
        grep -vE "$cannot_fail" || true)
    if [[ -n "$missed" ]]; then
        broken "tests/faults/vulkan_faults.cpp lacks $missed"
    fi
fi

run_on() {  # driver's name, ICD file, scenarios...
    local name=$1 icd=$2 counts
    shift 2
    [[ -e "$icd" ]] || cannot_run "$icd does not exist"
    echo "== $name"
    use_driver "$icd"
    run_limited "$program" "$@" >"$scratch/log" 2>&1
    cat "$scratch/log"
    counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$scratch/log" | tail -n 1 || true)
    if [[ $counts =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        # A leak shows in the exit code.
        add_counts "$name" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}"
    else
        broken "$name: olivine_faults ended with exit code $code"
    fi
}
run_on lavapipe "$lavapipe"
run_on swiftshader "$cache/swiftshader/vk_swiftshader_icd.json" list checked
finish
