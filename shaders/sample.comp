#version 450
// sample: second half of sampling, one workgroup per row.
//   top-k: the k largest; top-p: the shortest prefix of those, in falling order, whose probability
//   reaches p; min-p: of those, the ones at least min-p times as probable as the best. Ties go to
//   the lower id. Then one id is drawn.
//
// Each filter keeps a prefix of the order (value falling, id rising), so all three together are one
// threshold: a value, and how many of the ids that equal it are kept.
//   top-k   32 halvings of the ordered bits of the value, counting. Before that, where k is at most
//           the number of shards, one pass lists in shared memory what is at least the k-th largest
//           of the shards' peaks: each of those k shards holds one such logit, so the k largest are
//           among them. Where k is larger or the list overflows, the whole vocabulary is walked, and
//           the survivors are listed afterwards.
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
const uint kListed = 512;

shared uint listed_key[kListed];  // in rising order of id
shared uint listed_id[kListed];
shared uint found_key[kListed];   // as they were found
shared uint found_id[kListed];
shared uint found_count;

uint row_at;      // first logit of the row
bool from_list;   // candidates are listed_*, not the whole vocabulary
uint candidates;  // how many there are to walk
float peak;

// Bits that order like the float they come from.
uint ordered(float value) {
    const uint bits = floatBitsToUint(value);
    return (bits & 0x80000000u) != 0u ? ~bits : bits | 0x80000000u;
}

float unordered(uint key) {
    return uintBitsToFloat((key & 0x80000000u) != 0u ? key & 0x7fffffffu : ~key);
}

uint candidate_key(uint i) { return from_list ? listed_key[i] : ordered(logits[row_at + i]); }
uint candidate_id(uint i) { return from_list ? listed_id[i] : i; }
float weight_of(uint key) { return exp(unordered(key) - peak); }

// How many candidates have at least this key, and the sum of their weights. Counts are below 2^24, so
// a float holds them exactly.
vec2 at_least(uint key) {
    float count = 0.0, mass = 0.0;
    for (uint i = gl_LocalInvocationID.x; i < candidates; i += gl_WorkGroupSize.x) {
        const uint k = candidate_key(i);
        if (k >= key) {
            count += 1.0;
            mass += weight_of(k);
        }
    }
    return vec2(group_sum(count), group_sum(mass));
}

// The id limit below which exactly `wanted` candidates equal to `key` lie.
uint limit_of_ties(uint key, float wanted) {
    uint low = 0, high = p.vocab;  // smallest limit with count >= wanted
    while (low < high) {
        const uint middle = (low + high) / 2;
        float count = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < candidates; i += gl_WorkGroupSize.x)
            if (candidate_key(i) == key && candidate_id(i) < middle)
                count += 1.0;
        if (group_sum(count) >= wanted)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// How many shards have a peak of at least this key.
float peaks_at_least(uint key) {
    float count = 0.0;
    for (uint i = gl_LocalInvocationID.x; i < p.shards; i += gl_WorkGroupSize.x)
        if (ordered(uintBitsToFloat(peaks[gl_WorkGroupID.x * p.shards + i].x)) >= key)
            count += 1.0;
    return group_sum(count);
}

// Makes the logits that are kept so far a list in shared memory, unless they are too many for it.
void list_kept(uint threshold, uint tie_limit) {
    if (gl_LocalInvocationID.x == 0)
        found_count = 0;
    barrier();
    for (uint i = gl_LocalInvocationID.x; i < p.vocab; i += gl_WorkGroupSize.x) {
        const uint key = ordered(logits[row_at + i]);
        if (key > threshold || (key == threshold && i < tie_limit)) {
            const uint at = atomicAdd(found_count, 1);
            if (at < kListed) {
                found_key[at] = key;
                found_id[at] = i;
            }
        }
    }
    barrier();
    from_list = found_count <= kListed;
    if (!from_list)
        return;
    candidates = found_count;
    // Threads find in any order; sums over the list must not depend on it.
    for (uint i = gl_LocalInvocationID.x; i < candidates; i += gl_WorkGroupSize.x) {
        uint rank = 0;
        for (uint other = 0; other < candidates; ++other)
            rank += found_id[other] < found_id[i] ? 1u : 0u;
        listed_key[rank] = found_key[i];
        listed_id[rank] = found_id[i];
    }
    barrier();
}

void main() {
    const uint lane = gl_LocalInvocationID.x;
    const uint r = gl_WorkGroupID.x;
    const SampleParams sampling = params[r];
    row_at = r * p.logits_stride;
    from_list = false;
    candidates = p.vocab;

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
    uint tie_limit = 0xffffffffu;                  // ids that equal the threshold are kept below it

    bool ties_in_list = false;  // the list holds ids that top-k cuts away
    if (sampling.top_k > 0 && sampling.top_k <= p.shards && sampling.top_k < p.vocab) {
        uint low = threshold, high = ordered(best);  // largest key with count >= k
        while (low < high) {
            const uint middle = low + (high - low + 1) / 2;
            if (peaks_at_least(middle) >= float(sampling.top_k))
                low = middle;
            else
                high = middle - 1;
        }
        list_kept(low, 0xffffffffu);
        ties_in_list = from_list;
    }

    // Top-k, then top-p, by the same search: the largest key at which count or mass reaches what is
    // wanted. One loop and not two calls, because every copy of the search is compiled again.
    for (uint filter_index = 0; filter_index < 2; ++filter_index) {
        const bool by_count = filter_index == 0;
        float wanted;
        if (by_count) {
            if (sampling.top_k == 0 || sampling.top_k >= p.vocab)
                continue;
            wanted = float(sampling.top_k);
        } else {
            if (sampling.top_p >= 1.0)
                continue;
            // Ties that top-k has cut away do not count; a list made after it does not hold them.
            const vec2 kept = at_least(threshold);
            float all = kept.y;
            if ((!from_list || ties_in_list) && tie_limit != 0xffffffffu)
                all -= weight_of(threshold) * (kept.x - float(sampling.top_k));
            wanted = sampling.top_p * all;
        }
        uint low = threshold, high = ordered(best);
        while (low < high) {
            const uint middle = low + (high - low + 1) / 2;
            const vec2 here = at_least(middle);
            if ((by_count ? here.x : here.y) >= wanted)
                low = middle;
            else
                high = middle - 1;
        }
        // The key of the best is below 0xffffffff, so low + 1 does not wrap.
        const vec2 above = at_least(low + 1);
        const float ties = at_least(low).x - above.x;
        const float needed =
            by_count ? wanted - above.x
                     : max(1.0, ceil((wanted - above.y) / weight_of(low) - 1e-4));
        if (low > threshold)
            tie_limit = 0xffffffffu;
        threshold = low;
        if (needed < ties)
            tie_limit = min(tie_limit, limit_of_ties(low, needed));
        if (by_count && !from_list && sampling.top_k <= kListed)
            list_kept(threshold, tie_limit);
    }

    const float least = best + sampling.log_min_p;
    float best_race = -kMinusInfinity;
    uint winner = best_id;
    for (uint i = lane; i < candidates; i += gl_WorkGroupSize.x) {
        const uint key = candidate_key(i), id = candidate_id(i);
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
