#version 450
// sample: second half of sampling, one workgroup per row.
//   top-k: the k largest; top-p: the shortest prefix of those, in falling order, whose probability
//   reaches p; min-p: of those, the ones at least min-p times as probable as the best. Ties go to
//   the lower id. Then one id is drawn.
//
// Each filter keeps a prefix of the order (value falling, id rising), so all three together are one
// threshold: a value, and how many of the ids that equal it are kept.
//   top-k   32 halvings of the ordered bits of the value, counting. Before that, where k is at most
//           the number of shards, every thread lists which of its logits are at least the k-th
//           largest of the shards' peaks: each of those k shards holds one such logit, so the k
//           largest are among them. Where k is larger or a list overflows, the whole vocabulary is
//           walked, and the survivors are listed afterwards.
//   top-p   the same halvings, adding up exp(value - max)
// No sort, no read-back. Sums run in a fixed order, so the same seed gives the same id.
//
// The draw is exponential racing: each kept id gets e = -log(1 - u) with u from Philox(seed,
// position, id), and the smallest e / probability wins, which is a draw from the kept distribution.
//
//   binding 0  logits   [rows][logits_stride]   f32, filtered      read
//   binding 1  params   [rows]                  SampleParams       read
//   binding 2  peaks    [rows][shards]          float bits, id     read
//   binding 3  rows     [rows]                  Row                read
//   binding 4  chosen   [rows]                  id, 0xffffffff = no finite logit   write
//
// C++ side: engine/ops/sampling.cpp      Test: tests/ops/sampling_test.cpp
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "params.h"

layout(local_size_x_id = 0) in;
#include "include/reduce.glsl"
#include "include/random.glsl"

layout(binding = 0) readonly buffer Logits { float logits[]; };
layout(binding = 1) readonly buffer Params { SampleParams params[]; };
layout(binding = 2) readonly buffer Peaks { uvec2 peaks[]; };
layout(binding = 3) readonly buffer Rows { Row rows[]; };
layout(binding = 4) writeonly buffer Chosen { uint chosen[]; };
layout(push_constant) uniform Push { SampleSelectParams p; };

const float kMinusInfinity = -3.0e38;
const uint kLogits = 0, kList = 1, kPeaks = 2;
const uint kNoLimit = 0xffffffffu;
const uint kListed = gl_WorkGroupSize.x < 64 ? 512 / gl_WorkGroupSize.x : 8;  // ids a thread lists

// Of each thread, [kListed][threads]. A thread reads its own alone, so no barrier is needed.
shared uint listed[kListed * gl_WorkGroupSize.x];

uint row_at;      // first logit of the row
uint walked;      // what candidates are: kLogits, the whole vocabulary; kList, `listed`; kPeaks
uint candidates;  // how many there are for this thread to walk
float peak;

// Bits that order like the float they come from.
uint ordered(float value) {
    const uint bits = floatBitsToUint(value);
    return (bits & 0x80000000u) != 0u ? ~bits : bits | 0x80000000u;
}

float unordered(uint key) {
    return uintBitsToFloat((key & 0x80000000u) != 0u ? key & 0x7fffffffu : ~key);
}

uint nth_of_thread(uint n) { return n * gl_WorkGroupSize.x + gl_LocalInvocationID.x; }
uint count_of_thread(uint all) {
    return (all + gl_WorkGroupSize.x - 1 - gl_LocalInvocationID.x) / gl_WorkGroupSize.x;
}
uint candidate_id(uint n) { return walked == kList ? listed[nth_of_thread(n)] : nth_of_thread(n); }
uint candidate_key(uint id) {
    return ordered(walked == kPeaks ? uintBitsToFloat(peaks[gl_WorkGroupID.x * p.shards + id].x)
                                    : logits[row_at + id]);
}
float weight_of(uint key) { return exp(unordered(key) - peak); }

// How many candidates lie above this key, or equal it with an id below the limit, and the sum of
// their weights. Counts are below 2^24, so a float holds them exactly.
vec2 kept(uint key, uint tie_limit) {
    float count = 0.0, mass = 0.0;
    for (uint n = 0; n < candidates; ++n) {
        const uint id = candidate_id(n), own = candidate_key(id);
        if (own > key || (own == key && id < tie_limit)) {
            count += 1.0;
            mass += weight_of(own);
        }
    }
    return vec2(group_sum(count), group_sum(mass));
}

// Lists what is kept so far and walks that from now on, unless it is too much for a thread's list.
void list_kept(uint threshold, uint tie_limit) {
    uint count = 0;
    for (uint n = 0; n < candidates; ++n) {
        const uint id = candidate_id(n), key = candidate_key(id);
        if (key > threshold || (key == threshold && id < tie_limit)) {
            if (count < kListed)
                listed[nth_of_thread(count)] = id;
            ++count;
        }
    }
    if (group_max(float(count)) > float(kListed))
        return;
    walked = kList;
    candidates = count;
}

void main() {
    const uint lane = gl_LocalInvocationID.x;
    const uint r = gl_WorkGroupID.x;
    const SampleParams sampling = params[r];
    row_at = r * p.logits_stride;
    walked = kLogits;
    candidates = count_of_thread(p.vocab);

    float best = kMinusInfinity;
    uint best_id = 0xffffffffu;
    for (uint i = 0; i < p.shards; ++i) {  // the same walk in every thread
        const uvec2 shard = peaks[r * p.shards + i];
        if (uintBitsToFloat(shard.x) > best) {
            best = uintBitsToFloat(shard.x);
            best_id = shard.y;
        }
    }
    peak = best;
    if (best_id == 0xffffffffu || sampling.inverse_temperature == 0.0) {
        if (lane == 0)
            chosen[r] = best_id;
        return;
    }

    uint threshold = ordered(kMinusInfinity) + 1;  // what was masked out is never kept
    uint tie_limit = kNoLimit;                     // ids that equal the threshold are kept below it

    // Top-k over the shards' peaks, top-k, top-p, by the same search: the largest key at which count
    // or mass reaches what is wanted. One loop and not three calls, because every copy of the search
    // is compiled again, which software drivers do at the first token.
    const bool by_count = sampling.top_k > 0 && sampling.top_k < p.vocab;
    [[dont_unroll]] for (uint filter_index = 0; filter_index < 3; ++filter_index) {
        const bool over_peaks = filter_index == 0, by_mass = filter_index == 2;
        if (!(by_mass ? sampling.top_p < 1.0
                      : by_count && (!over_peaks || sampling.top_k <= p.shards)))
            continue;
        if (over_peaks) {
            walked = kPeaks;
            candidates = count_of_thread(p.shards);
        }
        uint low = threshold, high = ordered(best);
        vec2 at_low = vec2(0.0), above = vec2(0.0);  // kept at low, and at high + 1
        float wanted = 0.0;
        for (bool first = true; first || low < high; first = false) {
            const uint middle = first ? low : low + (high - low + 1) / 2;
            const vec2 here = kept(middle, first ? tie_limit : kNoLimit);
            if (first)
                wanted = by_mass ? sampling.top_p * here.y : float(sampling.top_k);
            if (first || (by_mass ? here.y : here.x) >= wanted) {
                low = middle;
                at_low = here;
            } else {
                high = middle - 1;
                above = here;
            }
        }
        if (over_peaks) {
            walked = kLogits;
            candidates = count_of_thread(p.vocab);
        } else {
            if (low > threshold)
                tie_limit = kNoLimit;
            threshold = low;
            const float needed =
                by_mass ? max(1.0, ceil((wanted - above.y) / weight_of(low) - 1e-4))
                        : wanted - above.x;
            if (needed < at_low.x - above.x) {
                uint from = 0, to = p.vocab;  // the smallest limit with which `needed` ties are kept
                while (from < to) {
                    const uint middle = (from + to) / 2;
                    if (kept(low, middle).x - above.x >= needed)
                        to = middle;
                    else
                        from = middle + 1;
                }
                tie_limit = from;
            }
        }
        if (!by_mass && walked != kList)
            list_kept(low, over_peaks ? kNoLimit : tie_limit);
    }

    const float least = best + sampling.log_min_p;
    float best_race = -kMinusInfinity;
    uint winner = best_id;
    for (uint n = 0; n < candidates; ++n) {
        const uint id = candidate_id(n), key = candidate_key(id);
        if (key < threshold || (key == threshold && id >= tie_limit) || unordered(key) < least)
            continue;
        const uvec4 bits = philox(uvec4(id, rows[r].position, 0, 0),
                                  uvec2(sampling.seed_low, sampling.seed_high));
        // u in (0, 1); near zero, where winners come from, -log(1 - u) = u + u^2 / 2 + ... keeps
        // the digits that 1 - u would lose.
        const float u = (float(bits.x) + 0.5) * (1.0 / 4294967296.0);
        const float e = u < 0.01 ? u * (1.0 + u * (0.5 + u * (1.0 / 3.0)))
                                 : -log(max(1.0 - u, 1.0 / 16777216.0));
        const float race = log(e) - (unordered(key) - best);
        if (race < best_race || (race == best_race && id < winner)) {
            best_race = race;
            winner = id;
        }
    }
    const float smallest = -group_max(-best_race);
    const float lowest = -group_max(best_race == smallest ? -float(winner) : kMinusInfinity);
    if (lane == 0)
        chosen[r] = uint(lowest);
}
