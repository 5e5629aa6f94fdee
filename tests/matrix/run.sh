#!/usr/bin/env bash
# Runs the lanes of the device matrix, two at a time but for one that measures, and prints one table of them:
#
#   tests/matrix/run.sh [--only LANE]... [FILTER...]
#
#   --only LANE   runs this lane alone (may be repeated)
#   FILTER        test names or tags for Catch2, such as "[rms_norm]" (lanes that run other programs
#                 are then left out)
#
# It sets nothing up and builds nothing: tests/run.sh does, and then calls it. The logs are in
# build/logs/. The last line counts over all lanes. A lane that cannot run is a skipped one, and a
# failed one with CI=true. common.inc beside it says what a lane is.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
root=$(cd "$here/../.." && pwd)
readonly here root
readonly logs="$root/build/logs"

# The longest first. A lane that filters runs olivine_tests and nothing else. The one that measures how
# long the window is held comes before all others, and has the machine to itself.
readonly alone=desktop
lanes=(
    desktop
    sanitizers
    selftest
    mesa26
    swiftshader
    lavapipe16
    gpuav
    faults
    fuzz
    lavapipe4
    mutations
    tsan
    lavapipe
    cli
    embed
    radv
    cpu
)
readonly filtering=" sanitizers swiftshader lavapipe cpu gpu "
! "$root/cmake/setup.sh" --has-gpu || lanes+=(gpu)

only=() filter=""
while (($#)); do
    case "$1" in
    --only)
        only+=("${2:?--only needs the name of a lane}")
        shift
        ;;
    *) filter+=$1 ;;
    esac
    shift
done

wanted=()
for lane in "${lanes[@]}"; do
    ((${#only[@]} == 0)) || [[ " ${only[*]} " == *" $lane "* ]] || continue
    [[ -z "$filter" || "$filtering" == *" $lane "* ]] || continue
    wanted+=("$lane")
done
if ((${#wanted[@]} == 0)); then
    echo "tests/matrix/run.sh: no lane here fits (there are ${lanes[*]};" \
        "a filter goes to$filtering)." >&2
    echo "0 passed, 1 failed"
    exit 1
fi

# ---- one lane ---------------------------------------------------------------------------------

# Leaves a row of the table: lane, driver, seconds, passed, failed, skipped, remark, tabs between.
run_lane() {  # lane
    local log="$logs/$1.log" code=0 last driver passed=0 failed=0 skipped=0 remark=""
    SECONDS=0
    "$here/$1.sh" "" "$filter" >"$log" 2>&1 </dev/null || code=$?
    last=$(tail -n 1 "$log")
    driver=$(sed -n 's/^driver: //p' "$log" | tail -n 1)
    if [[ "$last" =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped(\ \((.*)\))?$ ]]; then
        passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]} skipped=${BASH_REMATCH[3]}
        remark=${BASH_REMATCH[5]}
        if ((code != 0 && failed == 0)); then
            failed=1 remark+="${remark:+; }exit code $code, though nothing failed"
        fi
    elif [[ $code == 77 ]]; then
        remark=$last
        if [[ "${CI:-}" == true ]]; then failed=1; else skipped=1; fi
    else
        failed=1 remark="broke off with exit code $code"
    fi
    {
        flock 9  # two lanes may end at once
        if ((failed)); then
            printf -- '---- %s\n%s\n----\n' "$log" "$(<"$log")"
        fi
        echo "olivine: $1 is done after $SECONDS s: $passed passed, $failed failed, $skipped skipped"
    } 9>"$logs/lock" >&2
    printf '%s\t%s\t%d\t%d\t%d\t%d\t%s\n' "$1" "${driver:-none}" "$SECONDS" \
        "$passed" "$failed" "$skipped" "$remark" >"$logs/$1.row"
}

rm -rf "$logs"
mkdir -p "$logs"
set -m  # a process group for each lane, so that an interrupt reaches its tests
trap 'jobs -p | sed "s/^/-/" | xargs -r kill -- ; exit 130' INT TERM
for lane in "${wanted[@]}"; do
    while (($(jobs -rp | wc -l) >= 2)); do
        wait -n || true
    done
    run_lane "$lane" &
    [[ "$lane" != "$alone" ]] || wait || true
done
wait || true

# ---- the table --------------------------------------------------------------------------------

passed=0 failed=0 skipped=0
readonly row='%-11s %-44s %7s %7s %7s %7s  %s\n'
# shellcheck disable=SC2059  # the format is a constant
printf "$row" lane driver seconds passed failed skipped remark | sed 's/ *$//'
for lane in "${wanted[@]}"; do
    IFS=$'\t' read -r name driver took p f s remark 2>/dev/null <"$logs/$lane.row" ||
        { name=$lane driver="" took=0 p=0 f=1 s=0 remark="left no result"; }
    # shellcheck disable=SC2059
    printf "$row" "$name" "$driver" "$took" "$p" "$f" "$s" "$remark" | sed 's/ *$//'
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
if [[ -n "$filter" ]] && ((passed + failed + skipped == 0)); then
    echo "tests/matrix/run.sh: no test fits '$filter'." >&2
    failed=1
fi
echo "$passed passed, $failed failed$( ((skipped == 0)) || echo ", $skipped skipped")"
((failed == 0))
