#!/usr/bin/env bash
# A few cases of every operation, and all that multiply by cooperative matrices, on Mesa 26.1's
# lavapipe, which runs both kinds of them on a CPU, under validation, in the Debian 13 root that
# cmake/setup.sh --mesa26 makes. Attention's are those of olivine_tests: the self-test's compile wide heads
# for minutes.
#
#   tests/matrix/mesa26.sh [BIN [FILTER]]
#   tests/matrix/mesa26.sh --shell COMMAND...   any command in there, in the current folder
#
# The project, /tmp and the shader compiler are mounted at the paths they have outside; variables named OLIVINE_*, LP_*
# and MESA_* are passed on. The mounts live in a namespace of their own and end with the command.
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
if [[ "${1:-}" == --shell ]]; then
    shift
    passed_on=()
    while read -r name; do
        passed_on+=("$name=${!name}")
    done < <(compgen -e | grep -E '^(OLIVINE|LP|MESA)_')
    # shellcheck disable=SC2016  # the inner shell expands it
    exec "${as_root[@]}" unshare --mount sh -euc '
        inside=$1 project=$2 compiler=$3 user=$4
        shift 4
        mount -t proc proc "$inside/proc"
        mount --rbind /dev "$inside/dev"
        mount --bind /tmp "$inside/tmp"
        for folder in "$project" "$compiler"; do
            [ -e "$folder" ] || continue
            mkdir -p "$inside$folder"
            mount --bind "$folder" "$inside$folder"
        done
        exec chroot --userspec="$user" "$inside" /usr/bin/env -i "$@"
        ' sh "$debian13/root" "$root" "$cache/toolchain" "$(id -u):$(id -g)" -C "$PWD" HOME=/home/olivine \
        PATH=/usr/bin:/usr/sbin LANG=C.UTF-8 VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json \
        "${passed_on[@]}" "$@"
fi

use_mesa26
export OLIVINE_VALIDATION=1
run_selftest --quick
run_selftest --rungs coopmat,coopmat_int8,coopmat2 --filter '^linear/'
run_tests "$bin/olivine_tests" "[rungs],[coopmat]"
# A rung counts only where its shaders have run.
for rung in coopmat coopmat_int8 coopmat2; do
    awk -v rung="$rung" '$2 == rung && $3 > 0 { found = 1 } END { exit !found }' \
        "$scratch/selftest" || broken "no case of $rung passed"
done
finish
