#!/usr/bin/env bash
# Breaks shaders on purpose, each rung's and one at a time, and looks which lane catches it:
# mutations.sh [BIN]
#
# A mutation is a small change in a copy of shaders/, which OLIVINE_SHADER_DIR names. The lane that
# should catch it runs the cases of that operation and must fail; without the change the same cases
# must pass. The table names the lane and the first failure it reports.
# shellcheck source=tests/matrix/common.inc
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.inc"
need_debian13
use_lavapipe 256
cd "$root"  # a folder that is there inside the Debian 13 root, too
readonly copy="$scratch/shaders"

# ---- the lanes, each by what it runs --------------------------------------------------------------

# Runs the self-test's cases whose name RE finds, as a lane does; sets code and log.
run_lane() {  # lane, RE
    local run=("$bin/olivine" selftest --filter "$2" --bundles "$scratch/failures")
    log="$scratch/log"
    launcher=()
    [[ "$1" == lavapipe ]] || launcher=("$here/mesa26.sh" --shell)
    unset OLIVINE_VALIDATION
    [[ "$1" != gpuav ]] || export OLIVINE_VALIDATION=gpu
    run_limited "${run[@]}" >"$log" 2>&1
}

# ---- the mutations --------------------------------------------------------------------------------

readonly row='%-12s %-9s %-44s %s\n'
clean=" "  # lanes and cases that passed without a change

mutate() {  # rung, lane, what is wrong, RE of the cases, file, sed's commands that break it
    local rung=$1 lane=$2 what=$3 cases=$4 file=$5
    if [[ "$clean" != *" $lane:$cases "* ]]; then
        run_lane "$lane" "$cases"
        if ((code != 0)); then
            cat "$log"
            broken "$lane fails for $cases without a change"
            return
        fi
        clean+="$lane:$cases "
    fi
    rm -rf "$copy"
    cp -r "$root/shaders" "$copy"
    sed -i "$6" "$copy/$file"
    if cmp -s "$root/shaders/$file" "$copy/$file"; then
        broken "$rung: $what: nothing to change is found in $file"
        return
    fi
    export OLIVINE_SHADER_DIR=$copy
    run_lane "$lane" "$cases"
    unset OLIVINE_SHADER_DIR
    if ((code == 1)) && grep -q '^FAILED ' "$log"; then
        passed=$((passed + 1))
        # shellcheck disable=SC2059  # the format is a constant
        printf "$row" "$rung" "$lane" "$what" "$(sed -n 's/^FAILED //p' "$log" | head -n 1)"
    else
        cat "$log"
        broken "$rung: $what is not caught by $lane"
    fi
}

# shellcheck disable=SC2059
printf "$row" rung lane mutation "first failure"

mutate tier0 lavapipe "a barrier is missing" '^rms_norm/tier0/' include/reduce.glsl \
    '/reduce_scratch\[lane + half_size\]/{n;s/barrier();/         /}'
mutate tier0 lavapipe "one column too many is written" '^rms_norm/tier0/' rms_norm.comp \
    '/inversesqrt/{n;s/c < p.cols/c <= p.cols/}'
mutate tier0 lavapipe "the last unit of a row is lost" '^linear/tier0 as GPU/f32 35x255, 1 token' matvec.comp \
    's/; unit \* 16 < p.cols;/; unit * 16 + 15 < p.cols;/'
mutate tier0 gpuav "a read past the end, of no effect" '^rms_norm/tier0/' rms_norm.comp \
    's/squares += src\[src_at + c\] /squares += clamp(src[src_at + c + 65536], 0.0, 0.0) + src[src_at + c] /'
mutate subgroup lavapipe "a barrier is missing" '^rms_norm/subgroup as GPU/' include/reduce.glsl \
    '/reduce_scratch\[gl_SubgroupID\]/{n;s/barrier();/         /}'
mutate subgroup lavapipe "a ring wraps one slot late" '^attention/subgroup/f16 .*window 8,' include/kv.glsl \
    's/((slot_before) + 1) % p.capacity == 0/(slot_before) % p.capacity == 0/'
mutate subgroup lavapipe "a page is a slot short" '^attention/subgroup/f16 .*in pages' include/kv.glsl \
    's/\/ kPage\] \* kPage/\/ kPage] * (kPage - 1)/'
mutate subgroup lavapipe "two blocks have the scale of the first" '^attention/subgroup/q8_0 .*17 rows' \
    include/kv.glsl 's/block % 2 == 0 ? both.x : both.y/both.x/'
mutate subgroup lavapipe "the last row is lost" '^linear/subgroup/q8_0 35x160, 70 tokens' \
    matmul_straight.comp 's/row < p.rows/row + 1 < p.rows/'
mutate tier0 lavapipe "the last row of a tile is lost" '^linear/tier0/q8_0 35x160, 70 tokens' \
    matmul_direct.comp 's/rows\[r\] < p.rows/rows[r] + 1 < p.rows/'
mutate subgroup lavapipe "who comes last but one norms" '^linear/subgroup/q8_0 35x96 branch, 1 token' \
    include/linear_out.glsl 's/arrived + 1 < groups/arrived + 2 < groups/'
mutate subgroup lavapipe "a stop id is not seen" '^advance/subgroup/3 rows, position 255, a stop id' advance.comp \
    's/if (id == stops\[r/if (id + 2 == stops[r/;s/if (id == 0xffffffffu)/if (id == 0xfffffffeu)/'
mutate subgroup lavapipe "equals go to the higher id" '^sampling/subgroup/33 ids' sample.comp \
    's/(uintBitsToFloat(shard.x) > best)/(uintBitsToFloat(shard.x) >= best)/'
mutate subgroup lavapipe "tiles are read before they are written" \
    '^linear/subgroup as GPU/q8_0 35x160, 70 tokens' matmul.comp '0,/sync_group();/s///'
mutate storage16 lavapipe "two values are exchanged" \
    '^attention/storage16/f16 4/2 .*a prompt of 9' include/kv.glsl \
    's/define kv_unpack(e) vec4(e)$/define kv_unpack(e) vec4(e).yxzw/'
mutate fp16 lavapipe "a scale has the wrong index" '^linear/fp16/q8_0 35x160, 70' matmul_packed.comp \
    's/scales_w\[half_index \* kTileRows + row\]/scales_w[row]/'
mutate fp16 lavapipe "tiles are read before they are written" '^linear/fp16/q8_0 35x160, 70' \
    matmul_packed.comp '0,/barrier();/s///'
mutate int_dot lavapipe "the last block is lost" '^linear/int_dot/q8_0 35x160, 70 tokens' matmul_packed.comp \
    's/block < blocks; /block + 1 < blocks; /'
mutate int_dot lavapipe "half of the activations come twice" '^linear/int_dot/q8_0 35x160, 1 token' \
    matvec.comp 's/int(bytes\[i \/ 4\]/int(bytes[0]/'
mutate coopmat mesa26 "tiles are read before they are written" '^linear/coopmat/q8_0 35x160, 70' \
    matmul_coopmat.comp '0,/barrier();/s///'
mutate coopmat mesa26 "the output is not scaled when the maximum grows" \
    '^attention/coopmat/f16 4/2 .*17 rows after 61$' attention_coopmat.comp '0,/        multiply_rows();/s///'
mutate coopmat_int8 mesa26 "a scale has the wrong index" '^linear/coopmat_int8/q8_0 35x160, 70' \
    matmul_coopmat.comp 's/x_scales\[source \* blocks + block\]/x_scales[source * blocks]/'
mutate coopmat2 mesa26 "the last row is lost" '^linear/coopmat2/q8_0 35x160, 70' matmul_coopmat.comp \
    's/t < p.tokens \&\& r < p.rows/t < p.tokens \&\& r + 1 < p.rows/'
mutate coopmat2 mesa26 "a key too many is masked" '^attention/coopmat2/f16 4/2 .*a prompt of 9' \
    include/attention_tile.glsl 's/key > q_last\[i\]/key >= q_last[i]/'
finish
