#!/usr/bin/env bash
# Every operation on Mesa's software driver with subgroups of 4: lavapipe4.sh [BIN]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_lavapipe 128
export OLIVINE_VALIDATION=1
run_ops ""
finish
