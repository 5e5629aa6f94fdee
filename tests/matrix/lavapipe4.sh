#!/usr/bin/env bash
# Every case of the rungs that know of subgroups, on Mesa's software driver with subgroups of 4, under
# validation: lavapipe4.sh [BIN]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_lavapipe 128
export OLIVINE_VALIDATION=1
run_selftest --rungs subgroup,storage16,fp16,int_dot --filter '^(?!.*as GPU)'
finish
