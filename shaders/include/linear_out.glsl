// How matvec and the shaders of matmul write their sums: y[token][first + row] =
//
//   kCap       cap(sum)                     soft cap, if there is one
//   kBias      sum + bias[row]
//   kGelu      gelu(sum + bias[row])
//   kAdd       y[token][first + row] + sum + bias[row]
//   RESIDUAL_NORM defined    the sum, and arrive_and_norm() follows: see there
//   EPILOGUE_GEGLU defined   y[token][row / 2] = gelu(gate) * up: weight rows alternate gate, up, ...
//
// The including shader defines EPILOGUE_ID, a constant id that it does not use, and declares p.
#include "include/activation.glsl"

layout(constant_id = EPILOGUE_ID) const uint kEpilogue = 0;  // enum Epilogue of engine/ops/linear.h
const uint kCap = 0, kBias = 2, kGelu = 3, kAdd = 4;

#ifdef RESIDUAL_NORM
layout(binding = 3) coherent buffer Y { float branch[]; };
layout(binding = 4) readonly buffer Norms { float norms[]; };
layout(binding = 5) buffer Stream { float stream[]; };
layout(binding = 6) writeonly buffer Dst { float dst[]; };
layout(binding = 7) coherent buffer Arrivals { uint arrivals; };
#include "include/residual_norm.glsl"

shared uint arrived;

void put(uint token, uint row, float sum) { branch[row] = sum; }

// Of one token's product, by all invocations after put(): the workgroup that comes last of `groups` adds the
// product to the stream and norms that. Nobody waits for anybody, so no forward progress is assumed.
void arrive_and_norm(uint groups) {
    memoryBarrierBuffer();
    sync_group();
    if (gl_LocalInvocationID.x == 0)
        arrived = atomicAdd(arrivals, 1);
    sync_group();
    if (arrived + 1 < groups)
        return;
    memoryBarrierBuffer();
    residual_norm(0, 0, 0, p.rows, p.eps);
    if (gl_LocalInvocationID.x == 0)
        arrivals = 0;
}
#else
layout(binding = 3) buffer Y { float y[]; };
layout(binding = 4) readonly buffer Bias { float bias[]; };

void put(uint token, uint row, float sum) {
    const uint column = p.y_first + row, at = token * p.y_stride + column;
    if (kEpilogue == kCap) {
        y[at] = capped(sum, p.softcap);
        return;
    }
    const float value = sum + bias[column];
    y[at] = kEpilogue == kGelu ? gelu(value) : kEpilogue == kAdd ? y[at] + value : value;
}

void put_geglu(uint token, uint row, float gate, float up) {
    y[token * p.y_stride + p.y_first + row / 2] = gelu(gate) * up;
}
#endif
