// Sums and maxima over one workgroup.
//
// Rung "subgroup" (SUBGROUP defined): subgroup arithmetic of any size, then shared memory between
// subgroups. kOneSubgroup says that the workgroup is a single, pinned subgroup: then no barrier is
// needed at all, which is what software drivers pay most for.
// Tier 0: a tree in shared memory.
//
// Every function is called by all invocations and gives all of them the result. The including
// shader declares local_size_x_id = 0.
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif

layout(constant_id = 1) const bool kOneSubgroup = false;

shared float reduce_scratch[gl_WorkGroupSize.x];

// Makes shared-memory writes of the workgroup visible to all of it.
void sync_group() {
#ifdef SUBGROUP
    if (kOneSubgroup) {
        subgroupBarrier();
        return;
    }
#endif
    barrier();
}

#ifdef SUBGROUP
#define GROUP_REDUCE(function, subgroup_function, join)                  \
    float function(float value) {                                        \
        value = subgroup_function(value);                                \
        if (kOneSubgroup)                                                \
            return value;                                                \
        if (subgroupElect())                                             \
            reduce_scratch[gl_SubgroupID] = value;                       \
        barrier();                                                       \
        float total = reduce_scratch[0];                                 \
        for (uint i = 1; i < gl_NumSubgroups; ++i)                       \
            total = join(total, reduce_scratch[i]);                      \
        barrier();                                                       \
        return total;                                                    \
    }
#else
#define GROUP_REDUCE(function, subgroup_function, join)                                          \
    float function(float value) {                                                                \
        const uint lane = gl_LocalInvocationID.x;                                                \
        reduce_scratch[lane] = value;                                                            \
        barrier();                                                                               \
        for (uint half_size = gl_WorkGroupSize.x / 2; half_size > 0; half_size /= 2) {           \
            if (lane < half_size)                                                                \
                reduce_scratch[lane] = join(reduce_scratch[lane], reduce_scratch[lane + half_size]); \
            barrier();                                                                           \
        }                                                                                        \
        const float total = reduce_scratch[0];                                                   \
        barrier();                                                                               \
        return total;                                                                            \
    }
#endif

float add_two(float a, float b) { return a + b; }

GROUP_REDUCE(group_sum, subgroupAdd, add_two)
GROUP_REDUCE(group_max, subgroupMax, max)
