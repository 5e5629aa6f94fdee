#!/usr/bin/env bash
# What AMD's compiler makes of every pipeline, without AMD's hardware: Mesa's RADV compiles for a chip
# that is not there. Nothing runs. See docs/radv.md.
#
#   tests/matrix/radv.sh [BIN] [--update]
#
#   BIN        folder of olivine_pipelines (build/bin)
#   --update   writes the tables in docs/radv/ anew
#
# Exit code: 0 as in the tables or better, 1 not so, 77 cannot run here (one line says why).
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
readonly root
# RDNA2, Steam Deck (RDNA2), RDNA3, RDNA4, Vega (GCN5), Ryzen 4000 graphics (GCN5).
readonly families=(navi21 vangogh navi31 gfx1201 vega10 renoir)

bin="$root/build/bin" update=()
for argument in "$@"; do
    case "$argument" in
    --update) update=(--update) ;;
    -*)
        echo "radv.sh: there is no option $argument." >&2
        exit 2
        ;;
    *) bin=$argument ;;
    esac
done

cannot_run() {
    echo "radv.sh cannot run: $*"
    exit 77
}

icd=""
for file in {/etc,/usr/local/share,/usr/share}/vulkan/icd.d/radeon_icd*.json; do
    [[ ! -e "$file" ]] || icd=$file
done
[[ -n "$icd" ]] || cannot_run "RADV is not installed (Debian package mesa-vulkan-drivers)."

# One driver, no cache of its own, and none of the variables that would change its code.
unset "${!RADV_@}" "${!ACO_@}" OLIVINE_DISABLE
export VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd MESA_SHADER_CACHE_DISABLE=true

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for family in "${families[@]}"; do
    if ! RADV_FORCE_FAMILY=$family timeout --kill-after=10 300 "$bin/olivine_pipelines" \
        >"$scratch/$family.jsonl" 2>"$scratch/log"; then
        ! grep -qi 'unknown family' "$scratch/log" ||
            cannot_run "this Mesa does not know the chip $family."
        cat "$scratch/log"
        echo "radv.sh: olivine_pipelines fails for the chip $family."
        exit 1
    fi
done
python3 "$root/tests/matrix/radv_tables.py" "$root/docs/radv" "$scratch" "${update[@]}"
