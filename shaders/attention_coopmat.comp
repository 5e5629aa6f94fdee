#version 450
// attention of prompts by cooperative matrices (rung "coopmat"); the formula is attention.comp's.
//
// Flash attention: a workgroup owns kRows queries of one key/value head, keeps their output in
// matrices of f32, and visits the keys in tiles of kKeys:
//
//   scores = Q K^T     the subgroups share the tile's blocks of scores, which go to shared memory
//   softmax            kLanes neighbouring threads own a row of scores, its running maximum and sum
//   output = output * shrink + P V     each subgroup owns every kSubgroups-th block of columns
//
// How a matrix lies in its subgroup is not known, so that a row is multiplied by a number through a
// matrix that has the number in the whole row: softmax writes it where it read the scores.
//
//   bindings 0 to 4 are those of attention.comp, binding 5 is its 7: pages
//
// C++ side: engine/ops/attention.cpp      Test: tests/ops/attention_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "include/attention_tile.glsl"

const uint kRowBlocks = kRows / kM;
const uint kKeyBlocks = kKeys / kN;
const uint kDimBlocks = kDim / kN;
const uint kOwn = (kDimBlocks + kSubgroups - 1) / kSubgroups;  // blocks of columns of a subgroup
const uint kLanes = gl_WorkGroupSize.x / kRows;
const uint kScores = kKeys / kLanes;                           // of a row that a thread owns
const uint kWide = kKeys > kSubgroups * kN ? kKeys : kSubgroups * kN;
const uint kFloatStride = kWide + 4;
const uint kHalfStride = kKeys + 8;

shared float floats[kRows * kFloatStride];  // scores, then factors of rows; blocks of output
shared float16_t p_tile[kRows * kHalfStride];

#define FACTOR_A coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA>
#define FACTOR_B coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB>
#define SUM coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>

SUM sums[kRowBlocks * kOwn];  // the output

void put_scores() {
    for (uint block = gl_SubgroupID; block < kRowBlocks * kKeyBlocks; block += kSubgroups) {
        const uint i = block % kRowBlocks * kM, s = block / kRowBlocks * kN;
        SUM scores = SUM(0.0);
        for (uint d = 0; d < kDim; d += kK) {
            FACTOR_A a;
            FACTOR_B b;
            coopMatLoad(a, q_tile, i * kStride + d / 4, kStride, gl_CooperativeMatrixLayoutRowMajor);
            coopMatLoad(b, kv_tile, s * kStride + d / 4, kStride,
                        gl_CooperativeMatrixLayoutColumnMajor);
            scores = coopMatMulAdd(a, b, scores);
        }
        coopMatStore(scores, floats, i * kFloatStride + s, kFloatStride,
                     gl_CooperativeMatrixLayoutRowMajor);
    }
}

float row_max(float value) {
    for (uint step = 1; step < kLanes; step *= 2)
        value = max(value, subgroupShuffleXor(value, step));
    return value;
}

float row_sum(float value) {
    for (uint step = 1; step < kLanes; step *= 2)
        value += subgroupShuffleXor(value, step);
    return value;
}

// Leaves a factor in the row of each thread, for multiply_rows.
void put_factor(float factor) {
    const uint row = gl_LocalInvocationID.x / kLanes;
    for (uint c = gl_LocalInvocationID.x % kLanes; c < kN; c += kLanes)
        floats[row * kFloatStride + c] = factor;
}

void multiply_rows() {
    for (uint i = 0; i < kRowBlocks; ++i) {
        SUM factors;
        coopMatLoad(factors, floats, i * kM * kFloatStride, kFloatStride,
                    gl_CooperativeMatrixLayoutRowMajor);
        for (uint j = 0; j < kOwn; ++j)
            sums[i * kOwn + j] = sums[i * kOwn + j] * factors;
    }
}

void add_values() {
    for (uint s = 0; s < kKeys; s += kK) {
        FACTOR_A a[kRowBlocks];
        for (uint i = 0; i < kRowBlocks; ++i)
            coopMatLoad(a[i], p_tile, i * kM * kHalfStride + s, kHalfStride,
                        gl_CooperativeMatrixLayoutRowMajor);
        for (uint j = 0; j < kOwn; ++j) {
            const uint block = j * kSubgroups + gl_SubgroupID;
            if (block >= kDimBlocks)
                continue;
            FACTOR_B b;
            coopMatLoad(b, kv_tile, s * kStride + block * kN / 4, kStride,
                        gl_CooperativeMatrixLayoutRowMajor);
            for (uint i = 0; i < kRowBlocks; ++i)
                sums[i * kOwn + j] = coopMatMulAdd(a[i], b, sums[i * kOwn + j]);
        }
    }
}

void main() {
    const Task t = task();
    const uint row = gl_LocalInvocationID.x / kLanes, lane = gl_LocalInvocationID.x % kLanes;
    float maximum = kMinusInfinity, total = 0.0;  // of `row`; the sum over this thread's keys only
    float value_unit = 1.1754944e-38;             // the largest so far: the output is in units of it
    for (uint i = 0; i < kRowBlocks * kOwn; ++i)
        sums[i] = SUM(0.0);

    load_queries(t);
    for (uint first_key = t.begin; first_key < t.end; first_key += kKeys) {
        load_tile(false, t, first_key);
        barrier();
        put_scores();
        barrier();
        load_tile(true, t, first_key);
#ifdef KV_F32
        barrier();  // the values' units
#endif
        float scores[kScores];
        float larger = maximum;
        for (uint j = 0; j < kScores; ++j) {
            const uint s = j * kLanes + lane;
            scores[j] = score_of(floats[row * kFloatStride + s], row, s, first_key);
            larger = max(larger, scores[j]);
        }
        larger = row_max(larger);
        float shrink = exp(maximum - larger);
        maximum = larger;
        total *= shrink;
#ifdef KV_F32
        float larger_unit = value_unit;
        for (uint j = 0; j < kScores; ++j)
            larger_unit = max(larger_unit, kv_unit[kKeys + j * kLanes + lane]);
        larger_unit = row_max(larger_unit);
        shrink *= value_unit / larger_unit;
        value_unit = larger_unit;
#endif
        for (uint j = 0; j < kScores; ++j) {
            const uint s = j * kLanes + lane;
            const float weight = weight_of(scores[j], maximum);
            total += weight;
#ifdef KV_F32
            const float lift = kLift * (kv_unit[kKeys + s] / value_unit);
#else
            const float lift = kLift;
#endif
            p_tile[row * kHalfStride + s] = float16_t(weight * lift);
        }
        put_factor(shrink);
        barrier();
        multiply_rows();
        add_values();
        barrier();
    }

    float factor = 1.0 / (row_sum(total) * kLift);
#ifdef KV_F32
    factor *= value_unit;
#endif
    put_factor(factor);
    barrier();
    multiply_rows();
    for (uint j = 0; j < kOwn; ++j) {
        barrier();
        for (uint i = 0; i < kRowBlocks; ++i)
            coopMatStore(sums[i * kOwn + j], floats,
                         i * kM * kFloatStride + gl_SubgroupID * kN, kFloatStride,
                         gl_CooperativeMatrixLayoutRowMajor);
        barrier();
        const uint first_dim = j * kSubgroups * kN;
        for (uint at = gl_LocalInvocationID.x; at < kRows * kSubgroups * kN;
             at += gl_WorkGroupSize.x) {
            const uint i = at / (kSubgroups * kN), d = at % (kSubgroups * kN);
            write(i, first_dim + d, floats[i * kFloatStride + d]);
        }
    }
}
