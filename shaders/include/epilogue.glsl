// What matvec and matmul do with a finished sum, chosen by EPILOGUE_GEGLU.
//
//   plain   y[token][first + row] = cap(sum)         soft cap: cap * tanh(sum / cap), if there is one
//   GeGLU   y[token][row / 2] = gelu(gate) * up      weight rows alternate gate, up, gate, up, ...
//
// gelu is the tanh approximation, 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). tanh is clamped:
// some drivers return NaN for large arguments, and tanh(15) is 1 in f32 (1 - tanh(15) = 2e-13).

float bounded_tanh(float x) { return tanh(clamp(x, -15.0, 15.0)); }

float gelu(float x) {
    const float kSqrtTwoOverPi = 0.7978845608028654;
    return 0.5 * x * (1.0 + bounded_tanh(kSqrtTwoOverPi * (x + 0.044715 * x * x * x)));
}

float capped(float x, float cap) { return cap > 0.0 ? cap * bounded_tanh(x / cap) : x; }
