#!/usr/bin/env bash
# Breaks shaders on purpose, each rung's and one at a time, and looks which lane catches it:
# mutations.sh [BIN]
#
# A mutation is a change of one line in a copy of shaders/, which --shader-dir compiles. The lane that
# should catch it runs the cases of that operation and must fail; without the change the same cases
# must pass. The table names the lane and the first failure it reports.
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_lavapipe 256
readonly copy="$scratch/shaders"

# ---- the lanes, each by what it runs --------------------------------------------------------------

# Runs the self-test's cases whose name RE finds, as a lane does; sets code and log.
run_lane() {  # lane, RE
    local run=("$bin/olivine" selftest --quick --filter "$2" --bundles "$scratch/failures")
    log="$scratch/log"
    case "$1" in
    lavapipe) run_limited "${run[@]}" ;;
    mesa26) launcher=("$here/mesa26.sh" --shell) run_limited "${run[@]}" ;;
    gpuav) OLIVINE_VALIDATION=gpu launcher=("$here/mesa26.sh" --shell) run_limited "${run[@]}" ;;
    esac >"$log" 2>&1
}

# ---- the mutations --------------------------------------------------------------------------------

readonly row='%-12s %-9s %-44s %s\n'
clean=" "  # lanes and cases that passed without a change

mutate() {  # rung, lane, what is wrong, RE of the cases, file, line of it, line in its place
    local rung=$1 lane=$2 what=$3 cases=$4 file=$5 found
    if [[ "$clean" != *" $lane:$cases "* ]]; then
        unset OLIVINE_SHADER_DIR
        run_lane "$lane" "$cases"
        if ((code != 0)); then
            cat "$log"
            broken "$lane fails for $cases without a change"
            return
        fi
        clean+="$lane:$cases "
    fi
    rm -rf "$copy"
    cp -r "$root/shaders" "$copy"
    found=$(grep -cF -- "$6" "$copy/$file" || true)
    if [[ "$found" != 1 ]]; then
        broken "$file has '$6' $found times"
        return
    fi
    from=$6 to=$7 awk '{ at = index($0, ENVIRON["from"])
        print at ? substr($0, 1, at - 1) ENVIRON["to"] substr($0, at + length(ENVIRON["from"])) : $0 }' \
        "$root/shaders/$file" >"$copy/$file"
    export OLIVINE_SHADER_DIR=$copy
    run_lane "$lane" "$cases"
    unset OLIVINE_SHADER_DIR
    if ((code == 1)) && grep -q '^FAILED ' "$log"; then
        passed=$((passed + 1))
        # shellcheck disable=SC2059  # the format is a constant
        printf "$row" "$rung" "$lane" "$what" "$(sed -n 's/^FAILED //p' "$log" | head -n 1)"
    else
        cat "$log"
        broken "$rung: $what is not caught by $lane"
    fi
}

# shellcheck disable=SC2059
printf "$row" rung lane mutation "first failure"
mutate tier0 lavapipe "a barrier is missing" '^rms_norm/tier0 as GPU/' include/reduce.glsl \
    'reduce_scratch[lane] = value;                                                            \' \
    'reduce_scratch[lane] = value; if (lane > 64) return value;                               \'
finish
