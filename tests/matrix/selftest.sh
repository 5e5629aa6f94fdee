#!/usr/bin/env bash
# The whole self-test on Mesa's software driver with subgroups of 8, as a GPU too: every shader that the
# driver can run, at every shape: selftest.sh [BIN]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_lavapipe 256
run_selftest
finish
