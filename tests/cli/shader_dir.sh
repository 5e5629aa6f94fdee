#!/usr/bin/env bash
# Shaders compiled from a folder while they are worked on: shader_dir.sh OLIVINE
set -eu
# shellcheck source=tests/cli/common.inc
. "$(dirname "${BASH_SOURCE[0]}")/common.inc"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
shaders=$scratch/shaders
export TMPDIR=$scratch/tmp
mkdir "$TMPDIR"

fresh() {
    rm -rf "$shaders"
    cp -r "$root/shaders" "$shaders"
}
edit() {  # file, sed program; the file must change
    cp "$shaders/$1" "$scratch/before"
    sed -i "$2" "$shaders/$1"
    check "the edit of $1 changes it" "$(cmp -s "$shaders/$1" "$scratch/before" || echo yes)" = yes
}
compiled() { grep -c '^olivine: compiled shader ' "$scratch/err" || true; }
test_op() {  # exit code, what, regular expression
    expect "$1" "$2" selftest --filter "$3" --shader-dir "$shaders" --bundles "$scratch/bundles"
}
one='^rms_norm/tier0/3x7'

# ---- what is compiled --------------------------------------------------------------------------

fresh
test_op 0 "an unchanged copy" "$one"
check "nothing of it is compiled" "$(compiled)" = 0
edit rms_norm.comp 's|^void main|// A remark.\n&|'
test_op 0 "a changed remark" '^(rms_norm|layer_norm)/(tier0|subgroup)/3x7'
check "it alone is compiled, each variant once" "$(compiled)" = 2
says "compiled shader rms_norm from $shaders$"
says "compiled shader rms_norm_subgroup from $shaders$"
fresh
edit include/reduce.glsl 's|return a + b|return b + a|'
test_op 0 "a changed include" '^(rms_norm|layer_norm|pool)/tier0/'
says "compiled shader rms_norm from"
says "compiled shader layer_norm from"
check "what does not include it is not compiled" "$(compiled)" = 2
try env OLIVINE_SHADER_DIR="$shaders" "$olivine" selftest --filter "$one"
check "the folder of the environment" "$(compiled)" = 1
expect 0 "a model on a changed shader" run --shader-dir "$shaders" -p hello -n 2 --seed 1
check "its shaders are compiled" "$(compiled)" -ge 1
edit rms_norm.comp 's|^#extension.*|&\n#extension GL_FOO_bar : enable|'
test_op 0 "a warning" "$one"
says "^WARNING: .*GL_FOO_bar"

# ---- what is wrong with it -----------------------------------------------------------------------

fresh
edit rms_norm.comp 's|(1.0 + weight|(1.01 + weight|'
test_op 1 "a wrong factor" "$one"
check "the table says so" "$(grep -c '^FAILED rms_norm/tier0/3x7' "$scratch/out")" -ge 1
bundle=$(find "$scratch/bundles" -name 'rms_norm-tier0-3x7*' | head -n 1)
check "it leaves a bundle" -s "$bundle/rms_norm.spv"
expect 1 "its replay" selftest --replay "$bundle"
expect 1 "its replay with the same shader" selftest --replay "$bundle" --shader-dir "$shaders"
fresh
expect 0 "its replay with the repaired shader" selftest --replay "$bundle" --shader-dir "$shaders"

edit rms_norm.comp 's|^void main() {|&\n    oops = 1;|'
line=$(grep -n 'oops' "$shaders/rms_norm.comp" | cut -d: -f1)
test_op 1 "a shader that does not compile" "$one"
says "^olivine: The shader rms_norm does not compile:$"
says "rms_norm.comp:$line: 'oops'"
silent "a shader that does not compile"
fresh
edit include/reduce.glsl 's|return a + b|return a + c|'
line=$(grep -n 'return a + c' "$shaders/include/reduce.glsl" | cut -d: -f1)
test_op 1 "an include that does not compile" "$one"
says "include/reduce.glsl:$line: 'c'"
expect 1 "a model on it" run --shader-dir "$shaders" -p hello -n 2
says "include/reduce.glsl:$line: 'c'"
fresh
edit rms_norm.comp 's|params.h|parameters.h|'
test_op 1 "an include that is not there" "$one"
says "rms_norm.comp:[0-9]+: .*parameters.h"
fresh
edit params.h 's|^struct RmsNormParams {|&\n    uint more;|'
test_op 1 "other push constants than the program's" "$one"
check "the difference is named" \
    "$(grep -c 'rms_norm takes 20 bytes of push constants, its op states 16' "$scratch/out")" -ge 1

check "no scratch files stay" "$(find "$TMPDIR" -mindepth 1 | wc -l)" = 0

# ---- the folder -----------------------------------------------------------------------------------

fresh
rm "$shaders/pool.comp"
test_op 1 "a folder that lacks a shader" "$one"
says "^olivine: The shader folder .* has no pool.comp\.$"
expect 1 "a folder that is not there" selftest --filter "$one" --shader-dir "$scratch/none"
says "^olivine: The shader folder $scratch/none does not exist\.$"
expect 1 "a file for a folder" run -p hello --shader-dir "$root/README.md"
says "is not a folder"
try env OLIVINE_SHADER_DIR="$scratch/none" "$olivine" run -p hello -n 2
check "a folder of the environment that is not there" $code = 1
says "does not exist"
expect 2 "no folder's name" selftest --shader-dir ""
expect 2 "no folder" selftest --shader-dir

summary
