#!/usr/bin/env bash
# The scripts tests/cli/*.sh, each given the path of olivine (exit code 77: skipped): cli.sh [BIN]
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
use_lavapipe 256
for script in "$root"/tests/cli/*.sh; do
    echo "== ${script##*/}"
    run_limited "$script" "$bin/olivine" 2>&1
    case $code in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    124) ;;  # counted
    *) broken "${script##*/} ended with exit code $code" ;;
    esac
done
finish
