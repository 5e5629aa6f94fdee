#!/usr/bin/env bash
# What AMD's compiler makes of every pipeline, without AMD's hardware: Mesa's RADV compiles for a chip
# that is not there. Nothing runs. See docs/radv.md.
#
#   tests/matrix/radv.sh [--update] [BIN]
#
#   BIN        folder of olivine_pipelines (build/bin)
#   --update   writes the tables in docs/radv/ anew
#
arguments=() update=()
for argument in "$@"; do
    if [[ "$argument" == --update ]]; then update=(--update); else arguments+=("$argument"); fi
done
set -- "${arguments[@]}"
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
# RDNA2, Steam Deck (RDNA2), RDNA3, RDNA4, Vega (GCN5), Ryzen 4000 graphics (GCN5).
readonly families=(navi21 vangogh navi31 gfx1201 vega10 renoir)

icd=""
for file in {/etc,/usr/local/share,/usr/share}/vulkan/icd.d/radeon_icd*.json; do
    [[ ! -e "$file" ]] || icd=$file
done
[[ -n "$icd" ]] || cannot_run "RADV is not installed (Debian package mesa-vulkan-drivers)"

# One driver, no cache of its own, and none of the variables that would change its code.
unset "${!RADV_@}" "${!ACO_@}" OLIVINE_DISABLE
use_driver "$icd"
export MESA_SHADER_CACHE_DISABLE=true
echo "driver: RADV, ${families[*]}"
for family in "${families[@]}"; do
    if ! RADV_FORCE_FAMILY=$family timeout --kill-after=10 300 "$bin/olivine_pipelines" \
        >"$scratch/$family.jsonl" 2>"$scratch/log"; then
        ! grep -qi 'unknown family' "$scratch/log" ||
            cannot_run "this Mesa does not know the chip $family"
        cat "$scratch/log"
        broken "olivine_pipelines fails for the chip $family"
        finish
    fi
done
python3 "$here/radv_tables.py" "$root/docs/radv" "$scratch" "${update[@]}"
