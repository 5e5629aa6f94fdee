#!/usr/bin/env bash
# The same seed gives the same text; answers alone are on standard output: reproducible.sh OLIVINE
set -eu
# shellcheck source=tests/cli/common.inc
. "$(dirname "${BASH_SOURCE[0]}")/common.inc"

pebble=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/assets/pebble
ask() { "$olivine" run -p "Tell me a story." "$@" 2>"$scratch/err"; }

first=$(ask --seed 1)
check "an answer" -n "$first"
check "the same seed" "$(ask --seed 1)" = "$first"
check "another seed" "$(ask --seed 2)" != "$first"
check "-v changes no answer" "$(ask --seed 1 -v)" = "$first"
says "seed 1$"
seed=""
random=$(ask -v)
seed=$(sed -n 's/^olivine: seed \([0-9]*\)$/\1/p' "$scratch/err")
check "a random seed is said" -n "$seed"
check "and gives the same again" "$(ask --seed "$seed")" = "$random"
twice() { printf 'What is Olivine?\nWhat is Olivine?\n' | "$olivine" chat --temp 0 "$@" 2>"$scratch/err"; }
check "guesses change no answer" "$(twice)" = "$(twice --speculate lookup -v)"
says "tokens guessed, [1-9][0-9]* of them right$"
check "guesses of a draft model change no answer" "$(twice)" = "$(twice --draft "$pebble" -v)"
says "tokens guessed, [1-9][0-9]* of them right$"
check "temperature 0 needs no seed" "$(ask --temp 0)" = "$(ask --temp 0)"
check "one candidate is the likeliest" "$(ask --top-k 1)" = "$(ask --temp 0)"

check "the prompt on standard input" "$(echo "Tell me a story." |
    "$olivine" run --seed 1 2>/dev/null)" = "$first"
check "the prompt at -p -" "$(echo "Tell me a story." |
    "$olivine" run --seed 1 -p - 2>/dev/null)" = "$first"
check "the prompt at -" "$(echo "Tell me a story." |
    "$olivine" run --seed 1 - 2>/dev/null)" = "$first"
check "the chat says the same" "$(echo "Tell me a story." |
    "$olivine" chat --seed 1 2>/dev/null)" = "$first"
check "a newline ends it" "$(ask --seed 1 | tail -c 1 | od -An -c | tr -d ' ')" = '\n'

# Logits: whatever the chunks, to what f32 sums give; the greedy ids agree.
for chunk in 1 2 7 1000; do
    ids=$("$olivine" logits --tokens 2,5,7,11,13,17,19,23 --gen 4 --chunk $chunk \
        --out "$scratch/$chunk.npy" 2>/dev/null)
    check "ids in chunks of $chunk" "$ids" = "${all_ids:=$ids}"
done
"$olivine" logits --tokens 2,5,7,11,13,17,19,23 --last --out "$scratch/last.npy" 2>/dev/null
"$olivine" logits --tokens "[2, 5, 7, 11, 13, 17, 19, 23]" --out "$scratch/all.npy" 2>/dev/null
code=0
python=python3  # Debian's has the numpy that the set-up installs, another one in PATH may not
[[ ! -x /usr/bin/python3 ]] || python=/usr/bin/python3
$python - "$scratch" >"$scratch/out" 2>"$scratch/err" <<'END' || code=$?
import sys
try:
    import numpy as np
except ImportError:
    sys.exit(0)
folder = sys.argv[1]
load = lambda name: np.load(f"{folder}/{name}.npy")
whole = load("1000")
assert whole.dtype == np.float32 and whole.shape[0] == 12 and np.isfinite(whole).all()
for name in "1", "2", "7":
    assert np.abs(load(name) - whole).max() <= 1e-4, name
assert load("last").shape == (1, whole.shape[1])
assert np.abs(load("last")[0] - whole[7]).max() <= 1e-4
assert np.abs(load("all") - whole[:8]).max() <= 1e-4
END
check "logits agree" $code = 0

"$olivine" bench -p 16 -n 8 --depth 0,32 -r 1 --json >"$scratch/out" 2>"$scratch/err"
for key in device driver model type params prefill decode load_s first_token_s device_bytes_peak \
    host_bytes_peak dispatches_per_token recordings_per_token descriptor_updates_per_token \
    allocations_per_token submissions_per_token host_us_per_token bytes_per_token; do
    check "bench prints $key" "$(grep -c "\"$key\":" "$scratch/out")" = 1
done
for key in recordings descriptor_updates allocations; do
    check "a warm token costs no $key" "$(grep -c "\"${key}_per_token\": 0.0" "$scratch/out")" = 1
done

summary
