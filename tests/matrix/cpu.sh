#!/usr/bin/env bash
# The tests that need no device, with no Vulkan driver at all: cpu.sh [BIN [FILTER]]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_driver /nonexistent
echo "driver: none"
run_tests "$bin/olivine_tests" "[cpu]"
finish
