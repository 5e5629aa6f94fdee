#!/usr/bin/env bash
# Core, synchronization and GPU-assisted validation on Mesa's software driver: accesses past the end
# of a buffer, which are silent otherwise, are reported: gpuav.sh [BIN [FILTER]]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_lavapipe 256
export OLIVINE_VALIDATION=gpu
run_tests "$bin/olivine_tests" "[op]"
finish
