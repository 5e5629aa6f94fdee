#version 450
// advance: turns the step that just ran into the next one, on the device.
//   rows[r]: token = chosen[r], position + 1, last_visible = position
//   history[count % history][r] = chosen[r]    where the host reads what was said
//   seen[r] gets the id's bit, for the repetition penalty
//   grid: attention's indirect grid, with as many splits as the longest row deserves
//   running = 0 where a row has drawn one of its stop ids, or nothing for want of a finite logit
//
// So a recorded step can be submitted again and again without the host writing anything, several times
// at once, too: where `running` is 0, nothing advances.
//
//   binding 0  chosen   [rows]                 id               read
//   binding 1  rows     [rows]                 Row              read and write
//   binding 2  seen     [rows][mask_words]     bits             read and write
//   binding 3  history  [1 + history * rows]   count, then ids  read and write
//   binding 4  grid     [1]                    GridArguments    write
//   binding 5  stops    [rows][kStops]         ids              read
//   binding 6  running  [1]                    0 or 1           read and write
//
// One workgroup.  C++ side: engine/ops/advance.cpp      Test: tests/ops/advance_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"

layout(local_size_x_id = 0) in;
#include "include/reduce.glsl"

layout(binding = 0) readonly buffer Chosen { uint chosen[]; };
layout(binding = 1) buffer Rows { Row rows[]; };
layout(binding = 2) buffer Seen { uint seen[]; };
layout(binding = 3) buffer History { uint history[]; };
layout(binding = 4) writeonly buffer Grid { GridArguments grid; };
layout(binding = 5) readonly buffer Stops { uint stops[]; };
layout(binding = 6) buffer Running { uint running; };
layout(push_constant) uniform Push { AdvanceParams p; };

void main() {
    if (running == 0)
        return;
    const uint count = history[0];
    float longest = 0.0;  // positions are below 2^24
    float stopped = 0.0;
    for (uint r = gl_LocalInvocationID.x; r < p.rows; r += gl_WorkGroupSize.x) {
        const uint id = chosen[r];
        history[1 + (count % p.history) * p.rows + r] = id;
        if (id != 0xffffffffu) {
            rows[r].token = id;
            seen[r * p.mask_words + id / 32] |= 1u << (id % 32);
        }
        for (uint i = 0; i < p.stops; ++i)
            if (id == stops[r * p.stops + i])
                stopped = 1.0;
        if (id == 0xffffffffu)
            stopped = 1.0;
        const uint position = rows[r].position + 1;
        rows[r].position = position;
        rows[r].last_visible = position;
        longest = max(longest, float(position + 1));
    }
    const uint keys = uint(group_max(longest));
    stopped = group_max(stopped);
    if (gl_LocalInvocationID.x == 0) {
        history[0] = count + 1;
        running = stopped > 0.0 ? 0 : 1;
        const uint splits = clamp((keys + p.split_keys - 1) / p.split_keys, 1u, p.max_splits);
        grid = GridArguments(p.kv_heads, p.rows, splits, splits);
    }
}
