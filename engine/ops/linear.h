// y[t][m] = sum_k weight[m][k] * x[t][k], with an epilogue.
// Shaders: shaders/matvec.comp for up to 8 tokens, shaders/matmul.comp beyond
#pragma once

#include "engine/matrix.h"
#include "engine/ops/activation.h"
#include "engine/ops/variants.h"
#include "engine/recorder.h"

namespace olivine {

enum class Epilogue : uint8_t {
    none,
    geglu,  // weight rows alternate gate and up; y[t][i] = gelu_tanh(gate_i) * up_i, half as wide
};

class Linear {
public:
    explicit Linear(Device& device);
    // x: [tokens][weight.cols()], y: [tokens][weight.rows()], or half that with geglu.
    // softcap: y = cap * tanh(y / cap); 0 = none; only without geglu. One dispatch a piece.
    void record(Recorder& recorder, const Matrix& weight, const Activation& x, const Activation& y,
                Epilogue epilogue = Epilogue::none, float softcap = 0);

    // Tokens up to which matvec is taken.
    static constexpr uint32_t kMaxVectorTokens = 8;

private:
    Variants variants_;
};

}  // namespace olivine
