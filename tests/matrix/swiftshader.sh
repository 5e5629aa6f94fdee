#!/usr/bin/env bash
# All tests that need a device, and the quick self-test, on SwiftShader, the poorest device, under core
# and synchronization validation: swiftshader.sh [BIN [FILTER]]
# Left out is what only has many tokens ([long]): it takes minutes here, and other lanes run it.
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
icd="$cache/swiftshader/vk_swiftshader_icd.json"
[[ -e "$icd" ]] || cannot_run "$icd does not exist; cmake/setup.sh --tests makes it"
use_driver "$icd"
name_driver
export OLIVINE_VALIDATION=1
run_tests "$bin/olivine_tests" "~[cpu]~[coopmat]~[long]"
[[ -n "$filter" ]] || run_selftest --quick
finish
