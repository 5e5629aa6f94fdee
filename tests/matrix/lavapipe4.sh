#!/usr/bin/env bash
# A few cases of every operation on Mesa's software driver with subgroups of 4: lavapipe4.sh [BIN]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_lavapipe 128
export OLIVINE_VALIDATION=1
run_selftest --quick
finish
