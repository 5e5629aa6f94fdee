#!/usr/bin/env bash
# What bench reports, the traces that every command writes, and two reports side by side: bench.sh OLIVINE
set -eu
# shellcheck source=tests/cli/common.inc
. "$(dirname "${BASH_SOURCE[0]}")/common.inc"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$scratch"

has() {  # what, Python expression of the file's JSON, as j
    check "$1" "$(python3 -c "import json, sys; j = json.load(open(sys.argv[1])); print(bool($3))" "$2")" = True
}

# ---- a report ----------------------------------------------------------------------------------

try "$olivine" bench -p 16 -n 4 -r 1 --json
cp out a.json
has "each operation of a decode step" a.json 'any(o["shader"].startswith("mat") for o in j["operations"])'
has "shares add up" a.json 'abs(sum(o["share"] for o in j["operations"]) - 1) < 1e-6'
has "as many dispatches as the step has" a.json \
    'round(sum(o["dispatches"] for o in j["operations"])) == j["dispatches_per_token"]'
has "matrix multiplies have GB/s, others none" a.json \
    'all((o["gb_per_s"] > 0) == o["shader"].startswith("mat") for o in j["operations"])'
has "the bandwidth of a copy" a.json 'j["copy_gb_per_s"] > 0'
has "its buffers are not the model's" a.json 'j["device_bytes_peak"] < 100e6'
has "a warm step records nothing" a.json \
    'j["recordings_per_token"] == j["descriptor_updates_per_token"] == j["allocations_per_token"] == 0'
expect 0 "the table of operations" bench -p 16 -n 4 -r 1
check "it has a row an operation" "$(grep -c 'mat[a-z]*_' out)" -ge 1
try "$olivine" bench -p 16 -n 4 -r 1 --sequences 3 --json
has "sequences side by side, each step for all" out \
    'j["sequences"] == 3 and 0 < j["submissions_per_token"] <= 1 and j["recordings_per_token"] == 0'
expect 2 "more sequences than there can be" bench --sequences 17
try "$(dirname "$olivine")/olivine_microbench" --seconds 0.01 --only rms_norm --only "1 tokens" --json \
    --against "$root/shaders"
has "one operation alone, beside that of a folder of shaders" out \
    'len(j) == 1 and j[0]["us"] > 0 and j[0]["ratio"] > 0'

# ---- traces ------------------------------------------------------------------------------------

expect 0 "a trace of run" run -p hello -n 3 --seed 1 --trace t.json
has "Chrome's format" t.json 'all(e["ph"] in "XM" and e["pid"] == 1 for e in j["traceEvents"])'
has "operations and slices on rows of their own" t.json \
    '{e["args"]["name"] for e in j["traceEvents"] if e["name"] == "thread_name"} >= {"device: slices", "device: operations", "host"}'
has "submissions, waits, uploads and compilation" t.json \
    'all(any(e["name"].startswith(w) for e in j["traceEvents"]) for w in ("submit ", "wait for ", "upload ", "compile "))'
has "no time is negative" t.json 'all(e["ts"] >= 0 and e["dur"] >= 0 for e in j["traceEvents"] if e["ph"] == "X")'
expect 0 "a trace of bench" bench -p 16 -n 4 -r 1 --trace t.json
has "and its operations" t.json 'any(e["name"].startswith("mat") for e in j["traceEvents"])'
expect 0 "a trace of logits" logits -m "$root/assets/pebble" --tokens 2,5 --out l.npy --trace t.json
has "and its slices" t.json 'any(e["name"] == "prefill" for e in j["traceEvents"])'
expect 1 "a trace that cannot be written" run -p hello --trace missing/t.json
says "missing/t.json cannot be written"
expect 2 "a trace without a name" run -p hello --trace ""
expect 1 "a prompt that does not fit" run -p "$(printf 'word %.0s' {1..99})" --ctx 8 --trace t.json
has "its trace is whole all the same" t.json 'len(j["traceEvents"]) > 0'

# ---- two reports -------------------------------------------------------------------------------

python3 - <<'END'
import json
report = json.load(open("a.json"))
report["decode"][0]["tokens_per_s"] *= 2
report["prefill"].append({"tokens": 99, "tokens_per_s": 1})
json.dump(report, open("b.json", "w"))
END
expect 0 "two reports" bench --compare a.json b.json
check "the ratio" "$(awk '/^decode 4 after 0/ { print $NF }' out)" = 2.000
check "what one alone has" "$(awk '/^prefill 99/ { print $4 }' out)" = -
expect 2 "one report" bench --compare a.json
expect 1 "a report that is not there" bench --compare a.json c.json
says "c.json cannot be read"
echo '{"model": 1}' >c.json
expect 1 "no report" bench --compare a.json c.json
says "c.json is no report"
echo 'x' >c.json
expect 1 "no JSON" bench --compare c.json a.json
says "c.json is no report"
summary
