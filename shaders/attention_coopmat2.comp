#version 450
// attention of prompts by cooperative matrices of any size (rung "coopmat2"); the formula is
// attention.comp's.
//
// Flash attention: each subgroup owns kOwn queries of one key/value head and keeps their scores,
// running maxima and sums, and output in matrices; the workgroup visits the keys in tiles of kKeys.
// Row maxima and sums are reductions, masks and exponentials are functions of each element, so that
// scores never leave their matrices. A maximum or sum of a row stands in the whole row.
//
//   bindings 0 to 4 are those of attention.comp, binding 5 is its 7: pages
//
// C++ side: engine/ops/attention.cpp      Test: tests/ops/attention_test.cpp
#extension GL_GOOGLE_include_directive : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#include "include/attention_tile.glsl"

const uint kOwn = kRows / kSubgroups;
// Two matrices hold the output of a wide head, so that few values wait in registers for a product.
const uint kParts = kDim > 128 ? 2 : 1;
const uint kPart = kDim / kParts;

#define MATRIX(type, rows, cols, use) coopmat<type, gl_ScopeSubgroup, rows, cols, use>
#define SCORES MATRIX(float, kOwn, kKeys, gl_MatrixUseAccumulator)
#define OUTPUT MATRIX(float, kOwn, kPart, gl_MatrixUseAccumulator)

// Reductions.
float larger_of(const in float a, const in float b) { return max(a, b); }
float sum_of(const in float a, const in float b) { return a + b; }
float any_of(const in float a, const in float b) { return a; }  // of equal ones: widens a matrix

// Functions of elements.
float masked(const in uint row, const in uint col, const in float dot_of_halves,
             const in uint first_query, const in uint first_key) {
    return score_of(dot_of_halves, first_query + row, col, first_key);
}
float larger(const in uint row, const in uint col, const in float a, const in float b) {
    return max(a, b);
}
float weight(const in uint row, const in uint col, const in float score, const in float maximum) {
    return weight_of(score, maximum);
}
float exponential(const in uint row, const in uint col, const in float x) { return exp(x); }
float put(const in uint row, const in uint col, const in float value,
          const in uint first_query, const in uint first_dim) {
    write(first_query + row, first_dim + col, value);
    return value;
}
#ifdef KV_F32
float lifted(const in uint row, const in uint col, const in float probability,
             const in float value_unit) {
    return probability * (kLift * (kv_unit[kKeys + col] / value_unit));
}
#endif

void main() {
    const Task t = task();
    const uint first_query = gl_SubgroupID * kOwn;
    float value_unit = 1.1754944e-38;  // the largest so far: the output is in units of it
    SCORES maximum = SCORES(kMinusInfinity), total = SCORES(0.0);
    OUTPUT sums[kParts];
    for (uint i = 0; i < kParts; ++i)
        sums[i] = OUTPUT(0.0);

    load_queries(t);
    for (uint first_key = t.begin; first_key < t.end; first_key += kKeys) {
        load_tile(false, t, first_key);
        barrier();
        SCORES scores = SCORES(0.0);
        for (uint d = 0; d < kDim; d += kK) {
            MATRIX(float16_t, kOwn, kK, gl_MatrixUseA) a;
            MATRIX(float16_t, kK, kKeys, gl_MatrixUseB) b;
            coopMatLoad(a, q_tile, first_query * kStride + d / 4, kStride,
                        gl_CooperativeMatrixLayoutRowMajor);
            coopMatLoad(b, kv_tile, d / 4, kStride, gl_CooperativeMatrixLayoutColumnMajor);
            scores = coopMatMulAdd(a, b, scores);
        }
        coopMatPerElementNV(scores, scores, masked, first_query, first_key);

        SCORES reduced, before = maximum;
        coopMatReduceNV(reduced, scores, gl_CooperativeMatrixReduceRowNV, larger_of);
        coopMatPerElementNV(maximum, reduced, larger, before);
        SCORES shrink = before - maximum;
        coopMatPerElementNV(shrink, shrink, exponential);
        coopMatPerElementNV(scores, scores, weight, maximum);
        coopMatReduceNV(reduced, scores, gl_CooperativeMatrixReduceRowNV, sum_of);
        total = total * shrink + reduced;
        OUTPUT factors;
        coopMatReduceNV(factors, shrink, gl_CooperativeMatrixReduceRowNV, any_of);
        barrier();
        load_tile(true, t, first_key);
        barrier();

#ifdef KV_F32
        float larger_unit = value_unit;
        for (uint s = gl_SubgroupInvocationID; s < kKeys; s += gl_SubgroupSize)
            larger_unit = max(larger_unit, kv_unit[kKeys + s]);
        larger_unit = subgroupMax(larger_unit);
        factors *= value_unit / larger_unit;
        value_unit = larger_unit;
        coopMatPerElementNV(scores, scores, lifted, value_unit);
#else
        scores *= kLift;
#endif
        MATRIX(float16_t, kOwn, kKeys, gl_MatrixUseA) probabilities =
            MATRIX(float16_t, kOwn, kKeys, gl_MatrixUseA)(scores);
        for (uint i = 0; i < kParts; ++i) {
            MATRIX(float16_t, kKeys, kPart, gl_MatrixUseB) b;
            coopMatLoad(b, kv_tile, i * kPart / 4, kStride, gl_CooperativeMatrixLayoutRowMajor);
            sums[i] = coopMatMulAdd(probabilities, b, sums[i] * factors);
        }
        barrier();
    }

    float unlifted = 1.0 / kLift;
#ifdef KV_F32
    unlifted *= value_unit;
#endif
    OUTPUT totals;
    coopMatReduceNV(totals, total, gl_CooperativeMatrixReduceRowNV, any_of);
    for (uint i = 0; i < kParts; ++i) {
        sums[i] = sums[i] * unlifted / totals;
        coopMatPerElementNV(sums[i], sums[i], put, first_query, i * kPart);
    }
}
