// y[t][m] = sum_k weight[m][k] * x[t][k], with an epilogue.
// Shaders: shaders/matvec.comp for up to 8 tokens, shaders/matmul.comp beyond
#pragma once

#include "engine/matrix.h"
#include "engine/ops/activation.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

// What becomes of a finished sum. The values are those of shaders/include/linear_out.glsl.
enum class Epilogue : uint8_t {
    none = 0,
    geglu = 1,  // weight rows alternate gate and up; y[t][i] = gelu_tanh(gate_i) * up_i, half as wide
    bias = 2,       // y = sum + bias
    bias_gelu = 3,  // y = gelu_tanh(sum + bias)
    bias_add = 4,   // y = y + sum + bias
};

class Linear {
public:
    explicit Linear(Device& device);
    // x: [tokens][weight.cols()], y: [tokens][weight.rows()], or half that with geglu.
    // softcap: y = cap * tanh(y / cap); 0 = none; only with Epilogue::none. One dispatch a piece.
    void record(Recorder& recorder, const Matrix& weight, const Activation& x, const Activation& y,
                Epilogue epilogue = Epilogue::none, float softcap = 0);
    // With a bias: [weight.rows()] f32; epilogue is one of the three that take it.
    void record(Recorder& recorder, const Matrix& weight, const Slice& bias, const Activation& x,
                const Activation& y, Epilogue epilogue);

    // The name for Device::rungs, "linear q8_0 long": a storage type and decode (up to
    // kMaxVectorTokens tokens), short (up to 64) or long.
    static std::string work(DataType type, uint32_t tokens);
    // Rungs above storage16 that have a shader for it, the best first.
    static std::vector<Rung> candidates(DataType type, uint32_t tokens);

    // Tokens up to which matvec is taken.
    static constexpr uint32_t kMaxVectorTokens = 8;

private:
    void record(Recorder& recorder, const Matrix& weight, const Slice& bias, const Activation& x,
                const Activation& y, Epilogue epilogue, float softcap);
    Variants variants_;
};

}  // namespace olivine
