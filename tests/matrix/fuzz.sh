#!/usr/bin/env bash
# Runs every fuzz target, two at a time: fuzz.sh [BIN]
#
# OLIVINE_FUZZ_SECONDS is what each target gets, 30 by default. Beside BIN (build-fuzz/bin;
# tests/fuzz/CMakeLists.txt says how it is built), in corpus/, the inputs that reached new code are kept
# from run to run; an input that makes a target fail is left in crashes/.
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
readonly folder=${1:-$root/build-fuzz/bin} each=${OLIVINE_FUZZ_SECONDS:-30}
echo "driver: none (parsers)"
[[ -x "$folder/fuzz_seeds" ]] || cannot_run "$folder/fuzz_seeds is not built"
work=$(cd "$folder/.." && pwd)
readonly work
mkdir -p "$work/corpus" "$work/crashes"
seeds="$scratch"
"$folder/fuzz_seeds" "$seeds"

# A header may take half a second and 256 MiB; the sanitizers take their share on top.
readonly limits=(-timeout=2 -rss_limit_mb=512 -malloc_limit_mb=256 -max_len=65536)

run_target() {  # name
    local code=0 options=("${limits[@]}" "-max_total_time=$each" -print_final_stats=1
        "-artifact_prefix=$work/crashes/$1-")
    [[ ! -e "$root/tests/fuzz/$1.dict" ]] || options+=("-dict=$root/tests/fuzz/$1.dict")
    mkdir -p "$work/corpus/$1"
    "$folder/${1}_fuzz" "${options[@]}" "$work/corpus/$1" "$seeds/$1" >"$work/$1.log" 2>&1 || code=$?
    local runs coverage
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$1.log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$work/$1.log" | tail -n 1)
    {
        flock 9
        if ((code != 0)); then
            tail -n 60 "$work/$1.log"
            echo "$1 FAILED"
        fi >&2
        printf '%-16s %-6s %9s runs, %6s edges\n' "$1" "$( ((code == 0)) && echo ok || echo FAILED)" \
            "${runs:-0}" "${coverage:-0}"
    } 9>"$work/fuzz.lock"
    echo "$code" >"$seeds/$1.code"
}

# picture_tokens runs a model on a software driver; it takes part where it is built.
targets=(gguf folder tokenizer_json tokenizer_model safetensors picture text pipeline_cache session json_schema)
[[ ! -x "$folder/picture_tokens_fuzz" ]] || targets+=(picture_tokens)
for target in "${targets[@]}"; do
    while (($(jobs -rp | wc -l) >= 2)); do
        wait -n || true
    done
    run_target "$target" &
done
wait

for target in "${targets[@]}"; do
    if [[ "$(cat "$seeds/$target.code" 2>/dev/null)" == 0 ]]; then
        passed=$((passed + 1))
    else
        broken "$target failed"
    fi
done
finish
