#version 450
// embed: dst[r] = table[rows[r].token] * scale;   normed[r] = rms_norm(dst[r], weight)
//
// One workgroup per row of the step. The table may be bound in pieces (maxStorageBufferRange):
// the op is recorded once a piece, and a piece leaves rows alone whose token it does not hold.
// A token beyond the table is kept out by the host, which checks ids when they come in.
//
//   binding 0  quants  [table rows][units]   storage type    read
//   binding 1  scales  [table rows][scales]  f16 in words    read (quantised types only)
//   binding 2  rows    [rows]                Row             read
//   binding 3  dst     [rows][cols]          f32             read and write
//   binding 4  weight  [cols]                f32             read
//   binding 5  normed  [rows][cols]          f32             write
//
// C++ side: engine/ops/embed.cpp      Test: tests/ops/embed_test.cpp
#extension GL_GOOGLE_include_directive : require
#include "params.h"
#define FORMAT_ID 2

layout(local_size_x_id = 0) in;
#include "include/reduce.glsl"
#include "include/weights.glsl"

layout(binding = 2) readonly buffer Rows { Row rows[]; };
layout(binding = 3) buffer Dst { float dst[]; };
layout(binding = 4) readonly buffer Weight { float weight[]; };
layout(binding = 5) writeonly buffer Normed { float normed[]; };
layout(push_constant) uniform Push { EmbedParams p; };

void main() {
    const uint r = gl_WorkGroupID.x;
    const uint row = rows[r].token - p.first_row;
    if (rows[r].token < p.first_row || row >= p.rows)
        return;
    float squares = 0.0;
    for (uint unit = gl_LocalInvocationID.x; unit * 16 < p.cols; unit += gl_WorkGroupSize.x) {
        vec4 w[4];
        const float scale = weight16(row, unit, p.row_units, p.row_scales, w) * p.scale;
        for (uint i = 0; i < 16; ++i) {
            const uint c = unit * 16 + i;
            if (c >= p.cols)
                break;
            const float value = w[i / 4][i % 4] * scale;
            dst[r * p.dst_stride + c] = value;
            squares += value * value;
        }
    }
    const float norm_scale = inversesqrt(group_sum(squares) / float(p.cols) + p.eps);
    // An invocation reads back what it wrote itself.
    for (uint unit = gl_LocalInvocationID.x; unit * 16 < p.cols; unit += gl_WorkGroupSize.x)
        for (uint c = unit * 16; c < min(unit * 16 + 16, p.cols); ++c)
            normed[r * p.normed_stride + c] = dst[r * p.dst_stride + c] * norm_scale * (1.0 + weight[c]);
}
