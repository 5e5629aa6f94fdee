#!/usr/bin/env bash
# All tests that need a device, on the machine's GPU, under core and synchronization validation:
# gpu.sh [BIN [FILTER]]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
"$root/cmake/setup.sh" --has-gpu || cannot_run "there is no GPU with a Vulkan driver"
export VK_LOADER_DRIVERS_DISABLE='*lvp*,*swiftshader*'
name_driver
export OLIVINE_VALIDATION=1
run_tests "$bin/olivine_tests" "~[cpu]"
finish
