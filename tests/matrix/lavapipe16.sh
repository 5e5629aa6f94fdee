#!/usr/bin/env bash
# A few cases of every operation on Mesa's software driver with subgroups of 16: lavapipe16.sh [BIN]
#
# Without a GPU's workgroups: LLVM takes minutes to compile one such shader for vectors of 512 bits.
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_lavapipe 512
export OLIVINE_VALIDATION=1
run_selftest --quick --rungs tier0,subgroup,storage16 --filter '^(?!.*as GPU)'
finish
