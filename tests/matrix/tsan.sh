#!/usr/bin/env bash
# libolivine's tests, built with the thread sanitizer: tsan.sh [BIN]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
bin=${1:-$root/build-tsan/bin}
olivine="$root/build/bin/olivine"
use_lavapipe 256
# The sanitizer of GCC 12 does not know the addresses of kernels that shuffle them by more than 28 bits.
! setarch -R true 2>/dev/null || launcher=(setarch -R)
# The locks of the validation layers would put our calls into an order that they do not have.
export VK_LOADER_LAYERS_DISABLE='*validation*'
# It sees LLVM take locks that it does not see it give back, of which its search for deadlocks ends at 64.
options="suppressions=$root/tests/embed/tsan.supp:detect_deadlocks=0"
export TSAN_OPTIONS="$options${TSAN_OPTIONS:+:$TSAN_OPTIONS}"
run_tests "$bin/olivine_embed_tests" ""
finish
