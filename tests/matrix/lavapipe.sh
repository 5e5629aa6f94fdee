#!/usr/bin/env bash
# All tests that need a device, on Mesa's software driver with subgroups of 8, under core and
# synchronization validation: lavapipe.sh [BIN [FILTER]]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_lavapipe 256
export OLIVINE_VALIDATION=1
run_tests "$bin/olivine_tests" "~[cpu]~[coopmat]"
finish
