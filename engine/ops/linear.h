// y[t][m] = sum_k weight[m][k] * x[t][k], with an epilogue.
// Shaders: shaders/matvec.comp for up to 16 tokens; beyond, shaders/matmul.comp; by rung, from 9 on,
// matmul_packed.comp and matmul_coopmat.comp, whose activations row_scale.comp or block_scale.comp
// pack; on software drivers matmul_straight.comp or matmul_direct.comp for any number. On deterministic
// devices matvec.comp takes over what matmul.comp does elsewhere, 16 tokens a dispatch
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "engine/matrix.h"
#include "engine/ops/activation.h"
#include "engine/ops/residual_norm.h"
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

// Where a product's result goes as a branch: engine/ops/residual_norm.h.
struct BranchEnd {
    Slice norms;     // [2][cols] f32
    Activation stream, dst;
    float eps = 0;
    Slice arrivals;  // one word of scratch, 0 between dispatches
};

class Linear {
public:
    explicit Linear(Device& device);
    // x: [tokens][weight.cols()], y: [tokens][weight.rows()], or half that with geglu.
    // softcap: y = cap * tanh(y / cap); 0 = none; only with Epilogue::none. One dispatch a piece, and
    // one before them where a rung above storage16 runs matmul. Throws out_of_memory.
    void record(Recorder& recorder, const Matrix& weight, const Activation& x, const Activation& y,
                Epilogue epilogue = Epilogue::none, float softcap = 0);
    // With a bias: [weight.rows()] f32; epilogue is one of the three that take it.
    void record(Recorder& recorder, const Matrix& weight, const Slice& bias, const Activation& x,
                const Activation& y, Epilogue epilogue);

    // branch = weight x, then what ResidualNorm::record makes of it. Of one token in the same dispatch, where
    // norms_as_it_ends() says so.
    void record_branch(Recorder& recorder, ResidualNorm& residual_norm, const Matrix& weight,
                       const Activation& x, const Activation& branch, const BranchEnd& end);
    bool norms_as_it_ends(const Matrix& weight, uint32_t tokens) const;

    // Tokens up to which matvec is taken, and those beyond which a rung that multiplies tiles takes over.
    static constexpr uint32_t kMaxVectorTokens = 16;
    static constexpr uint32_t kMaxDecodeTokens = 8;

    // Name of the work for Device::rungs, by classes that differ in what runs fastest:
    // "linear q8_0 decode" up to 8 tokens, "linear q8_0 short" up to 64, "linear q8_0 long" beyond.
    static std::string work(DataType type, uint32_t tokens);
    // Rungs above storage16 that have a shader for it, best first. record() takes the first that
    // Device::rungs(work(type, tokens)) has and whose workgroup fits the device.
    static std::vector<Rung> candidates(DataType type, uint32_t tokens);

    // What record() takes, if any. Nothing: a shader of f32 operands.
    std::optional<Rung> rung(DataType type, uint32_t cols, uint32_t tokens) const;

    // Allocates what record() needs for packed activations up to this size, unless it is there. A
    // record() that needs more allocates by itself. Throws out_of_memory.
    void reserve(uint32_t tokens, uint32_t cols);
    // What reserve() allocates at most.
    static uint64_t scratch_bytes(uint32_t tokens, uint32_t cols);

private:
    // How a product runs: which shader, its constants, and how many weight rows and tokens one
    // workgroup computes.
    struct Shape {
        std::string shader;
        uint32_t threads;
        std::vector<uint32_t> constants;  // from id 2 on
        uint32_t rows, tokens;
        uint32_t shared_bytes = 0;
    };
    // Activations as matmul's rungs read them.
    struct Packed {
        Slice values, scales;
    };
    Shape base_shape(DataType type, uint32_t tokens, uint32_t cols) const;
    std::optional<Shape> straight_shape(DataType type, uint32_t tokens, uint32_t cols) const;
    std::optional<Shape> rung_shape(DataType type, Rung rung, uint32_t cols, uint32_t tokens) const;
    // What a finished sum takes: `bias` is bound, but read by epilogues that add it alone.
    struct End {
        Epilogue epilogue = Epilogue::none;
        Slice bias;
        float softcap = 0;
        const BranchEnd* branch = nullptr;
    };
    Packed pack(Recorder& recorder, const Activation& x, Rung rung);
    void record(Recorder& recorder, const Matrix& weight, const Activation& x, const Activation& y,
                const End& end);
    // Pieces of one type.
    void record(Recorder& recorder, std::span<const MatrixPiece> pieces, const Activation& x,
                const Activation& y, const End& end);

    Variants variants_, packed_variants_, straight_variants_, scale_variants_, norm_variants_,
        straight_norm_variants_;
    // Packed activations of the operation being run. The last is in use; plans that were recorded
    // earlier refer to those before.
    std::deque<Buffer> scratch_;
};

}  // namespace olivine
