// How matvec and the shaders of matmul write their sums: y[token][first + row] =
//
//   kCap       cap(sum)                     soft cap, if there is one
//   kBias      sum + bias[row]
//   kGelu      gelu(sum + bias[row])
//   kAdd       y[token][first + row] + sum + bias[row]
//   EPILOGUE_GEGLU defined   y[token][row / 2] = gelu(gate) * up: weight rows alternate gate, up, ...
//
// The including shader defines EPILOGUE_ID, a constant id that it does not use, and declares p.
#include "include/activation.glsl"

layout(constant_id = EPILOGUE_ID) const uint kEpilogue = 0;  // enum Epilogue of engine/ops/linear.h
const uint kCap = 0, kBias = 2, kGelu = 3, kAdd = 4;

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
