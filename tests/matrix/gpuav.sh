#!/usr/bin/env bash
# Core, synchronization and GPU-assisted validation, without robust access: reads and writes past the
# end of a bound range, which are silent otherwise, are reported: gpuav.sh [BIN]
#
# It runs in the Debian 13 root: GPU-assisted validation of Debian 12's layers, 1.3.239, waits for
# timeline semaphores forever. Shaders take ten times as long to compile, so a few cases of each operation run, and those
# whose sizes no tile divides.
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_mesa26
export OLIVINE_VALIDATION=gpu
run_selftest --quick
run_selftest --rungs tier0,subgroup \
    --filter '^linear/[^/ ]*/[a-z0-9_]+ (35|130)x|^attention/[^/ ]*/f.. 4/2 heads of 18,'
finish
