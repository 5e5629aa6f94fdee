#!/usr/bin/env bash
# Exit codes and messages for everything that can go wrong: contract.sh OLIVINE
set -eu
# shellcheck source=tests/cli/common.inc
. "$(dirname "${BASH_SOURCE[0]}")/common.inc"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pebble=$root/assets/pebble

# ---- help and version -------------------------------------------------------------------------

for command in "" run chat logits tokenize bench devices info; do
    # shellcheck disable=SC2086
    expect 0 "help" $command --help
    check "$command --help is on standard output" -s "$scratch/out"
    # shellcheck disable=SC2086
    expect 0 "version" $command --version
    check "$command --version" "$(cat "$scratch/out")" = "olivine 0.1.0"
done

# ---- wrong usage: 2 ---------------------------------------------------------------------------

expect 2 "no subcommand"
expect 2 "unknown subcommand" sing
expect 2 "unknown flag" run --loud -p hello
expect 2 "missing value" run -p
expect 2 "stray word" run hello
expect 2 "two prompts" run -p hello -
expect 2 "logits without tokens" logits --out "$scratch/x.npy"
expect 2 "logits without a file" logits --tokens 2
expect 2 "a token that is no number" logits --tokens 2,x --out "$scratch/x.npy"
expect 2 "a negative token" logits --tokens 2,-1 --out "$scratch/x.npy"
expect 2 "no token" logits --tokens "" --out "$scratch/x.npy"
expect 2 "a chunk of nothing" logits --tokens 2 --chunk 0 --out "$scratch/x.npy"
expect 2 "tokenize without a text" tokenize
expect 2 "tokenize with two texts" tokenize -- a b
expect 2 "unknown size" info --synthetic 5b
says "27b"
expect 2 "unknown type" info --synthetic 4b --type q3
expect 2 "a type without a size" info --type q8_0
expect 2 "a size and a model" info --synthetic 4b -m "$pebble"
for value in -1 nan inf 1e9 "" 0x10 1,5 "1 "; do
    expect 2 "temperature '$value'" run -p hello --temp "$value"
    says "--temp is '.*'; it is a number from 0 to 100"
done
expect 2 "top-p above 1" run -p hello --top-p 1.01
expect 2 "min-p below 0" run -p hello --min-p -0.1
expect 2 "no repeat penalty at all" run -p hello --repeat-penalty 0
expect 2 "a negative top-k" run -p hello --top-k -1
expect 2 "a seed beyond 64 bits" run -p hello --seed 18446744073709551616
expect 2 "an unknown way to guess" run -p hello --speculate magic
says "it is off or lookup"
expect 2 "two ways to guess" run -p hello --speculate lookup --draft "$pebble"
expect 4 "a draft model that is not there" run -p hello --draft /nonexistent
expect 2 "no tokens wanted" run -p hello -n 0
expect 2 "an empty stop text" run -p hello --stop ""
expect 2 "a context of nothing" run -p hello --ctx 0
expect 2 "a context beyond the limit" run -p hello --ctx 1000001
expect 2 "an unknown rung" run -p hello --disable warp9
says "coopmat_int8"
expect 2 "an unknown precision" run -p hello --precision f64
expect 2 "an unknown kind of cache" run -p hello --kv f8
for value in 0 -1 12X 1KK G "" 99999999G; do
    expect 2 "a budget of '$value'" run -p hello --vram-budget "$value"
done
expect 2 "a list with a gap" bench -p 16,,32

# ---- requests that cannot be met: 1 -----------------------------------------------------------

expect 0 "a cache of int8" run -p hello --kv q8_0 --seed 1
expect 2 "a cache of another type" run -p hello --kv q4_0
says "f32, f16 or q8_0"
expect 1 "an empty prompt" run -p ""
expect 1 "an empty standard input" run
expect 1 "a device that is not there" run -p hello --device 99
expect 1 "a token outside of the vocabulary" logits --tokens 2,99999999 --out "$scratch/x.npy"
says "99999999"
check "no file is left behind" ! -e "$scratch/x.npy"
expect 1 "more tokens than the context" logits --tokens 2,5,7 --ctx 2 --out "$scratch/x.npy"
silent "logits"
expect 1 "more to generate than the context" \
    logits --tokens 2,5 --gen 4 --ctx 5 --out "$scratch/x.npy"
expect 1 "a folder that is not there" logits --tokens 2,5 --out "$scratch/none/x.npy"
says "none/x.npy cannot be written: No such file"
expect 1 "a folder as file" logits --tokens 2,5 --out "$scratch"
long=$(printf 'word %.0s' {1..2000})
expect 1 "a prompt longer than the context" run --ctx 64 -p "$long"
says "[0-9]{3,} tokens.* 64 "
silent "prompt longer than the context"
expect 1 "more measured than the context holds" bench -p 16 -n 4 --ctx 8
if [[ -e /dev/full ]]; then
    code=0
    "$olivine" run -p hello >/dev/full 2>"$scratch/err" || code=$?
    check "a full disk on standard output" $code = 1
    says "Standard output cannot be written: No space"
fi
code=0
"$olivine" tokenize hello >&- 2>"$scratch/err" || code=$?
check "a closed standard output" $code = 1
: >"$scratch/out"
expect 0 "a device as output file" logits --tokens 2,5 --out /dev/null
check "the device is still one" -c /dev/null

# ---- files: 4 ---------------------------------------------------------------------------------

expect 4 "no such model" run -m "$scratch/nothing" -p hello
expect 4 "no such model" tokenize -m "$scratch/nothing" hello
expect 4 "no such model" info -m "$scratch/nothing.gguf"
mkdir "$scratch/empty"
expect 4 "an empty folder" info -m "$scratch/empty"
damaged() {  # a fresh copy of the model
    rm -rf "$scratch/model"
    mkdir "$scratch/model"
    cp "$pebble"/{config.json,model.safetensors,tokenizer.model} "$scratch/model"
}
damaged
expect 0 "the copy" info -m "$scratch/model/"
check "its name" "$(head -n 1 "$scratch/out" | grep -c '  model ')" = 1
head -c 100000 "$pebble/model.safetensors" >"$scratch/model/model.safetensors"
expect 4 "truncated weights" run -m "$scratch/model" -p hello
says "model.safetensors"
silent "truncated weights"
damaged
printf '\xff\xff\xff\xff\xff\xff\xff\x7f' |
    dd of="$scratch/model/model.safetensors" conv=notrunc status=none
expect 4 "a header longer than the file" info -m "$scratch/model"
damaged
echo '{"model_type": "gemma3_text", "hidden_size": -1}' >"$scratch/model/config.json"
expect 4 "a negative size" info -m "$scratch/model"
echo '{"model_type": "llama"}' >"$scratch/model/config.json"
expect 4 "another architecture" info -m "$scratch/model"
says "llama"
echo '{' >"$scratch/model/config.json"
expect 4 "cut JSON" info -m "$scratch/model"
damaged
head -c 5000 "$pebble/tokenizer.model" >"$scratch/model/tokenizer.model"
expect 4 "a cut vocabulary" tokenize -m "$scratch/model" hello
expect 4 "a cut vocabulary" run -m "$scratch/model" -p hello
rm "$scratch/model/tokenizer.model"
expect 4 "no vocabulary" run -m "$scratch/model" -p hello
expect 0 "logits need no vocabulary" logits -m "$scratch/model" --tokens 2,5 --out "$scratch/y.npy"
printf 'GGUF\3\0\0\0\377\377\377\377\377\377\377\377' >"$scratch/bad.gguf"
expect 4 "a damaged GGUF" info -m "$scratch/bad.gguf"
says "bad.gguf"
printf 'GGUF' >"$scratch/bad.gguf"
expect 4 "a cut GGUF" run -m "$scratch/bad.gguf" -p hello
# What a file says reaches the terminal without its control characters.
damaged
printf '{"model_type": "x\\u001b[31mred"}' >"$scratch/model/config.json"
expect 4 "escape sequences in a file" info -m "$scratch/model"
check "escape sequences are taken out" "$(grep -c $'\e' "$scratch/err")" = 0

# ---- no driver: 3 -----------------------------------------------------------------------------

none=(env VK_DRIVER_FILES=/nonexistent VK_ICD_FILENAMES=/nonexistent)
for arguments in "run -p hello" chat devices "devices --json" "bench -p 16 -n 1" \
    "logits --tokens 2 --out $scratch/x.npy"; do
    # shellcheck disable=SC2086
    try "${none[@]}" "$olivine" $arguments
    check "no driver: $arguments" $code = 3
    says "mesa-vulkan-drivers"
done
for arguments in "tokenize hello" info "info --synthetic 27b --type q4_0 --ctx 131072 --json"; do
    # shellcheck disable=SC2086
    try "${none[@]}" "$olivine" $arguments
    check "no driver is needed: $arguments" $code = 0
done

# ---- memory: 5 --------------------------------------------------------------------------------

expect 5 "a budget of 100 KiB" run -p hello --vram-budget 100K
says "needs [0-9]+ bytes.* 102400 are available"
expect 5 "too long a context" run -p hello --vram-budget 5M --ctx 100000
says "longest context that fits is [1-9][0-9]* tokens"
longest=$(sed -n 's/.*that fits is \([0-9]*\) tokens.*/\1/p' "$scratch/err")
expect 0 "the longest context that fits" run -p hello --vram-budget 5M --ctx "$longest"
expect 5 "one token more" run -p hello --vram-budget 5M --ctx $((longest + 1))

# Below what the model takes its weights are streamed, with the same logits, down to what `info` says.
fact() { sed -n "s/^ *\"$1\": \([0-9]*\),*$/\1/p" "$scratch/out"; }
expect 0 "the sizes" info --ctx 64 --kv f32 --json
least=$(fact least_bytes)
weights=$(fact weight_bytes)
check "everything is resident without a budget" "$(fact resident_bytes)" = "$weights"
check "nothing is streamed then" "$(fact streamed_bytes)" = 0
expect 0 "the sizes within a budget" info --ctx 64 --kv f32 --vram-budget "$least" --json
check "resident and streamed are all" $(($(fact resident_bytes) + $(fact streamed_bytes))) = "$weights"
check "most is streamed" $(($(fact streamed_bytes) * 2)) -gt "$weights"
check "a context of 64 fits" "$(fact longest_context)" -ge 64
words=(logits --ctx 64 --tokens 2,9,4,7,7,1,30,12 --chunk 3 --gen 3)
expect 0 "resident logits" "${words[@]}" --out "$scratch/resident.npy"
expect 0 "streamed logits" "${words[@]}" --out "$scratch/streamed.npy" --vram-budget "$least"
says "are streamed in every pass"
check "they are equal" "$(cksum <"$scratch/resident.npy")" = "$(cksum <"$scratch/streamed.npy")"
expect 5 "a byte less" "${words[@]}" --out "$scratch/less.npy" --vram-budget $((least - 1))
says "or $least with streamed weights, and $((least - 1)) are available"

# ---- odd text ---------------------------------------------------------------------------------

expect 0 "invalid UTF-8 in the prompt" run -n 8 --seed 1 -p $'hello \xff\xfe\xc3 there'
expect 0 "invalid UTF-8 in a text" tokenize -- $'\xff\xf0\x9f'
for text in "" - -- --help "[1,2]" "{}" "a=b" "'" '"' "%%"; do
    expect 0 "the text '$text'" tokenize -- "$text"
    check "ids of '$text'" "$(grep -c '^\[[0-9,]*\]$' "$scratch/out")" = 1
done

# ---- Ctrl-C -----------------------------------------------------------------------------------

# Background jobs of a script ignore Ctrl-C, so a small program resets that first.
interruptible=(python3 -c '
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])')

# Seldom draws the end of an answer, but may: then the next seed.
endless=(--temp 100 --top-k 0 --top-p 1 --ctx 100000)
for seed in 1 2 3 4 5 6 7 8; do
    : >"$scratch/out"
    "${interruptible[@]}" "$olivine" run "${endless[@]}" --seed $seed -p "Tell me a story." \
        >"$scratch/out" 2>"$scratch/err" </dev/null &
    job=$!
    wait_for "$scratch/out" || break
    kill -INT $job || true
    code=0
    wait $job || code=$?
    [[ $code == 0 ]] || break
done
check "Ctrl-C while answering" $code = 130
check "what was said is there" "$(wc -c <"$scratch/out")" -gt 1
check "its line is ended" "$(tail -c 1 "$scratch/out" | od -An -c | tr -d ' ')" = '\n'

mkfifo "$scratch/in"
"${interruptible[@]}" "$olivine" chat "${endless[@]}" >"$scratch/out" 2>"$scratch/err" \
    <"$scratch/in" &
job=$!
exec 4>"$scratch/in"
echo "Tell me a story." >&4
check "an answer in a chat begins" "$(wait_for "$scratch/out" && echo yes)" = yes
kill -INT $job
sleep 0.5
check "Ctrl-C keeps the chat alive" "$(kill -0 $job && echo yes)" = yes
before=$(wc -c <"$scratch/out")
echo "And another." >&4
for ((i = 0; i < 100; ++i)); do
    (($(wc -c <"$scratch/out") == before)) || break
    sleep 0.1
done
check "the chat goes on" "$(wc -c <"$scratch/out")" -gt "$before"
kill -INT $job
sleep 0.5
kill -INT $job 2>/dev/null || true  # while it waits for the next line
code=0
wait $job || code=$?
check "Ctrl-C while waiting" $code = 130
exec 4>&-

# ---- a reader that leaves ---------------------------------------------------------------------

{ "$olivine" run "${endless[@]}" --seed 1 -p "Tell me a story." 2>"$scratch/err" || true; } |
    head -c 1 >"$scratch/out"
check "a reader that leaves ends the answer" "$(wc -c <"$scratch/out")" = 1
check "and nobody complains" "$(grep -cvE 'software Vulkan driver' "$scratch/err")" = 0

# ---- devices ----------------------------------------------------------------------------------

expect 0 "devices" devices
expect 0 "devices as JSON" devices --json
check "its keys" "$(grep -cE '"(index|name|driver|type|api_version|memory_bytes|rungs|picked)":' \
    "$scratch/out")" -ge 8
expect 0 "a rung switched off" devices --disable subgroup,storage16
check "what is enabled shows" "$(grep -c '^   enabled ' "$scratch/out")" -ge 1

summary
