#!/usr/bin/env bash
# Every operation on Mesa's software driver with subgroups of 16: lavapipe16.sh [BIN]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_lavapipe 512
export OLIVINE_VALIDATION=1
run_ops ""
finish
