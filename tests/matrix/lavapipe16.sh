#!/usr/bin/env bash
# Every case of the rung "subgroup" on Mesa's software driver with subgroups of 16, under validation:
# lavapipe16.sh [BIN]
#
# Without a GPU's workgroups: LLVM takes minutes to compile one such shader for vectors of 512 bits.
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_lavapipe 512
export OLIVINE_VALIDATION=1
run_selftest --rungs subgroup --filter '^(?!.*as GPU)'
finish
