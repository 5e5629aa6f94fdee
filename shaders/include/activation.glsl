// Functions applied to single numbers.
//
// gelu is the tanh approximation, 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). tanh is clamped:
// some drivers return NaN for large arguments, and tanh(15) is 1 in f32 (1 - tanh(15) = 2e-13).

float bounded_tanh(float x) { return tanh(clamp(x, -15.0, 15.0)); }

float gelu(float x) {
    const float kSqrtTwoOverPi = 0.7978845608028654;
    return 0.5 * x * (1.0 + bounded_tanh(kSqrtTwoOverPi * (x + 0.044715 * x * x * x)));
}

float capped(float x, float cap) { return cap > 0.0 ? cap * bounded_tanh(x / cap) : x; }
