// stream[row] += rms_norm(branch[row], post norm); dst[row] = rms_norm(stream[row], next norm), by all
// invocations of one workgroup; they read back only what they wrote themselves.
//
//   norms  [2][cols]  f32: the branch's norm, then the one that what follows wants, as offsets from one
//
// The including shader declares branch, norms, stream and dst, and includes reduce.glsl.

void residual_norm(uint branch_at, uint stream_at, uint dst_at, uint cols, float eps) {
    float squares = 0.0;
    for (uint c = gl_LocalInvocationID.x; c < cols; c += gl_WorkGroupSize.x) {
        const float x = branch[branch_at + c];  // once: it may be coherent
        squares += x * x;
    }
    const float post_scale = inversesqrt(group_sum(squares) / float(cols) + eps);

    squares = 0.0;
    for (uint c = gl_LocalInvocationID.x; c < cols; c += gl_WorkGroupSize.x) {
        const float x = stream[stream_at + c] + branch[branch_at + c] * post_scale * (1.0 + norms[c]);
        stream[stream_at + c] = x;
        squares += x * x;
    }
    const float next_scale = inversesqrt(group_sum(squares) / float(cols) + eps);

    for (uint c = gl_LocalInvocationID.x; c < cols; c += gl_WorkGroupSize.x)
        dst[dst_at + c] = stream[stream_at + c] * next_scale * (1.0 + norms[cols + c]);
}
