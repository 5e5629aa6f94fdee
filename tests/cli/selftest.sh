#!/usr/bin/env bash
# What olivine selftest takes and prints: selftest.sh OLIVINE
set -eu
# shellcheck source=tests/cli/common.inc
. "$(dirname "${BASH_SOURCE[0]}")/common.inc"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$scratch" # where failures would be written
python() { python3 -c "$@" || echo failed; }

# ---- flags --------------------------------------------------------------------------------------

expect 0 "help" selftest --help
for flag in --filter --rungs --quick --large --seed --json --junit --bundles --replay --device \
    --shader-dir; do
    check "help names $flag" "$(grep -c -- "$flag" "$scratch/out")" -ge 1
done
expect 1 "an expression that is none" selftest --filter '('
says "^olivine: '\(' is not a regular expression\.$"
silent "an expression that is none"
expect 1 "a filter that fits nothing" selftest --filter 'no such case'
says "No case fits the filter and the rungs"
expect 2 "no filter" selftest --filter ""
expect 2 "an unknown rung" selftest --rungs tier0,warp9
says "there is no rung 'warp9' \(there are tier0, subgroup"
expect 2 "a seed beyond 32 bits" selftest --seed 4294967296
expect 2 "a device that is no number" selftest --device first
expect 1 "a device that is not there" selftest --device 99
says "There is no device 99"
expect 2 "two reports on one stream" selftest --json - --junit -
for flag in --json --junit; do
    expect 1 "a folder that is not there" selftest --filter '^pool/' $flag "$scratch/none/x"
    says "$flag: $scratch/none/x cannot be written"
    silent "a report that cannot be written"
done
try env VK_DRIVER_FILES=/nonexistent VK_ICD_FILENAMES=/nonexistent "$olivine" selftest
check "no driver" $code = 3

# ---- results ------------------------------------------------------------------------------------

expect 0 "one operation, quickly" selftest --quick --filter '^rms_norm/' --json r.json --junit r.xml
says "^olivine: testing "
check "the table" "$(grep -cE '^rms_norm +tier0 +[1-9][0-9]* +0 +0 ' "$scratch/out")" = 1
check "the sum" "$(grep -cE '^[1-9][0-9]* passed, 0 failed, [0-9]+ skipped$' "$scratch/out")" = 1
check "nothing is written where nothing fails" ! -e selftest-failures
check "the JSON list" "$(python '
import json
cases = json.load(open("r.json"))
assert cases
for case in cases:
    assert list(case)[:8] == ["op", "case", "variant", "status", "nmse", "max_abs", "ms", "reason"]
    assert case["op"] == "rms_norm" and case["status"] in ("pass", "fail", "skip")
    assert all(isinstance(case[key], (int, float)) for key in ("nmse", "max_abs", "ms"))
    if case["status"] == "pass":
        assert case["nmse"] < 1e-12 and case["reason"] == "" and case["shaders"]
print("good")')" = good
check "the same in JUnit's format" "$(python '
import json, xml.etree.ElementTree as tree
suite = tree.parse("r.xml").getroot()
cases = json.load(open("r.json"))
assert suite.tag == "testsuite" and int(suite.get("tests")) == len(cases) == len(
    suite.findall("testcase"))
assert int(suite.get("failures")) == 0
assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
print("good")')" = good
expect 0 "JSON on standard output" selftest --quick --filter '^pool/tier0/' --json -
check "and nothing else" "$(python 'import json, sys
print(json.load(open(sys.argv[1]))[0]["op"])' "$scratch/out")" = pool
expect 0 "JUnit on standard output" selftest --quick --filter '^pool/tier0/' --junit -
check "and nothing else" "$(python 'import sys, xml.etree.ElementTree as tree
print(tree.parse(sys.argv[1]).getroot().tag)' "$scratch/out")" = testsuite
expect 0 "one rung" selftest --quick --rungs tier0 --filter '^(rms_norm|layer_norm)/' --json r.json
check "no other runs" "$(grep -c '"variant": "subgroup' r.json)" = 0
try env OLIVINE_DISABLE=subgroup "$olivine" selftest --quick --filter '^rms_norm/' --json r.json
check "a rung that is switched off is skipped" "$(python '
import json
print({case["status"] for case in json.load(open("r.json")) if case["variant"] == "subgroup"})')" \
    = "{'skip'}"

# ---- a failure, and its replay --------------------------------------------------------------------

cp -r "$root/shaders" shaders
sed -i 's|(1.0 + weight|(1.01 + weight|' shaders/rms_norm.comp
expect 1 "a wrong shader" selftest --filter '^rms_norm/tier0/3x7' --shader-dir shaders \
    --json r.json --junit r.xml
check "the report has it" "$(grep -c '"status": "fail"' r.json)" = "$(grep -c '<failure ' r.xml)"
bundle=$(sed -n 's|^ *olivine selftest --replay \(.*\)|\1|p' "$scratch/out" | head -n 1)
check "the table says how to repeat it" -s "$bundle/bundle.json"
expect 1 "the replay" selftest --replay "$bundle"
check "what is wrong" "$(grep -c '^FAILED rms_norm/tier0/3x7.*dst: ' "$scratch/out")" = 1

one_line() { check "$1: one line" "$(grep -vc '^olivine: testing ' "$scratch/err")" = 1; }
expect 4 "a bundle that is not there" selftest --replay none
one_line "a bundle that is not there"
says "none/bundle.json cannot be opened"
damaged() {  # what, file, contents
    rm -rf damaged
    cp -r "$bundle" damaged
    printf '%s' "$3" >"damaged/$2"
    expect 4 "$1" selftest --replay damaged
    one_line "$1"
    says "damaged/$2"
}
damaged "no JSON" bundle.json '{'
damaged "a list" bundle.json '[]'
damaged "an empty object" bundle.json '{}'
damaged "cut inputs" 0.before 'abc'
damaged "cut SPIR-V" rms_norm.spv ''
damaged "a range beyond its buffer" bundle.json \
    "$(sed 's/"offset": [0-9]*/"offset": 99999999999/' "$bundle/bundle.json")"
damaged "a size that does not fit" bundle.json \
    "$(sed 's/"stride": [0-9]*/"stride": 4294967295/' "$bundle/bundle.json")"
damaged "a name that leaves the folder" bundle.json \
    "$(sed 's|"shader": "[^"]*"|"shader": "../../x"|' "$bundle/bundle.json")"
rm -rf damaged
cp -r "$bundle" damaged
head -c "$(wc -c <"$bundle/rms_norm.spv")" /dev/zero >damaged/rms_norm.spv
expect 1 "SPIR-V that is none" selftest --replay damaged
one_line "SPIR-V that is none"

# ---- Ctrl-C -----------------------------------------------------------------------------------

# Background jobs of a script ignore Ctrl-C, so a small program resets that first.
: >"$scratch/err"
python3 -c '
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' "$olivine" selftest --filter '^linear/' \
    >"$scratch/out" 2>"$scratch/err" </dev/null &
job=$!
wait_for "$scratch/err" || true
sleep 0.5
kill -INT $job || true
code=0
wait $job || code=$?
check "Ctrl-C" $code = 130
says "stopped on request"

summary
