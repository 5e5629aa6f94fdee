#!/usr/bin/env bash
# All tests on Mesa's software driver, built with the address and undefined-behaviour sanitizers:
# sanitizers.sh [BIN [FILTER]]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
bin=${1:-$root/build-asan/bin}
olivine="$root/build/bin/olivine"
use_lavapipe 256
# lavapipe allocates a frame for every invocation of a shader with barriers; freed ones, kept to
# catch later uses, would fill the memory.
frames=quarantine_size_mb=16:thread_local_quarantine_size_kb=64
export ASAN_OPTIONS="$frames${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
run_tests "$bin/olivine_tests" "~[coopmat]"
finish
