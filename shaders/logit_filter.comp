#version 450
// logit_filter: first half of sampling. Per logit, in this order:
//   not in the allowed mask  -> -inf
//   repetition penalty, for ids seen before: l > 0 ? l / penalty : l * penalty
//   temperature: l * inverse_temperature, unless greedy
// and the largest result of each shard with its id, ties to the lower id.
//
// A logit that is not a number counts as -inf, so it is never chosen; `finite` in a shard's record
// says whether there was any number at all, and the host reports a model that has none.
//
//   binding 0  logits   [rows][logits_stride]   f32                  read and write
//   binding 1  params   [rows]                  SampleParams         read
//   binding 2  seen     [rows][mask_words]      bits                 read
//   binding 3  allowed  [rows][mask_words]      bits                 read
//   binding 4  peaks    [rows][shards]          float bits, id       write
//
// C++ side: engine/ops/sampling.cpp      Test: tests/ops/sampling_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"

layout(local_size_x_id = 0) in;
#include "include/reduce.glsl"

layout(binding = 0) buffer Logits { float logits[]; };
layout(binding = 1) readonly buffer Params { SampleParams params[]; };
layout(binding = 2) readonly buffer Seen { uint seen[]; };
layout(binding = 3) readonly buffer Allowed { uint allowed[]; };
layout(binding = 4) writeonly buffer Peaks { uvec2 peaks[]; };
layout(push_constant) uniform Push { LogitFilterParams p; };

const float kMinusInfinity = -3.0e38;

void main() {
    const uint r = gl_WorkGroupID.y;
    const SampleParams sampling = params[r];
    const uint shard_size = (p.vocab + p.shards - 1) / p.shards;
    const uint begin = gl_WorkGroupID.x * shard_size;
    const uint end = min(begin + shard_size, p.vocab);

    float best = kMinusInfinity;
    uint best_id = 0xffffffffu;
    for (uint id = begin + gl_LocalInvocationID.x; id < end; id += gl_WorkGroupSize.x) {
        const uint word = r * p.mask_words + id / 32, bit = 1u << (id % 32);
        float l = logits[r * p.logits_stride + id];
        if (isnan(l) || (allowed[word] & bit) == 0u)
            l = kMinusInfinity;
        else {
            if ((seen[word] & bit) != 0u)
                l = l > 0.0 ? l / sampling.repeat_penalty : l * sampling.repeat_penalty;
            if (sampling.inverse_temperature > 0.0)
                l *= sampling.inverse_temperature;
            l = clamp(l, kMinusInfinity, -kMinusInfinity);
        }
        logits[r * p.logits_stride + id] = l;
        if (l > best) {
            best = l;
            best_id = id;
        }
    }
    // The lowest id among the threads that hold the largest value. Ids fit in a float exactly.
    const float largest = group_max(best);
    const float lowest = -group_max(best == largest && best_id != 0xffffffffu ? -float(best_id)
                                                                              : kMinusInfinity);
    if (gl_LocalInvocationID.x == 0)
        peaks[r * p.shards + gl_WorkGroupID.x] =
            uvec2(floatBitsToUint(largest), largest > kMinusInfinity ? uint(lowest) : 0xffffffffu);
}
