#!/usr/bin/env bash
# Everything that a person with a graphics card should run, in one go, offline, from a built build/:
#
#   tests/gpu/run.sh [--minutes N] [--device N] [--sizes 270m,1b,...] [--out FILE]
#
# It tests every shader (selftest), then measures the bandwidth of a copy, models with random weights of the
# published sizes that fit, a picture, sixteen sequences side by side, and single operations; --help says more.
# One JSON file comes out: docs/measurements/README.md shows how to add it to the table there.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
readonly root
if [[ ! -x "$root/build/bin/olivine" || ! -x "$root/build/bin/olivine_microbench" ]]; then
    echo "tests/gpu/run.sh: build/bin has no olivine and olivine_microbench; tests/run.sh --only cpu builds them." >&2
    exit 1
fi
exec python3 "$root/tests/gpu/measure.py" --bin "$root/build/bin" "$@"
