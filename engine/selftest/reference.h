// The operations in double, too plain to be wrong.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace olivine::selftest {

// Normalised mean squared error: sum (got - want)^2 / sum want^2. Infinite where `got` has a value
// that is not a number; the plain sum of squares where `want` is all zero.
double nmse(std::span<const double> want, std::span<const float> got);
double nmse(std::span<const float> want, std::span<const float> got);
// Largest |got - want|; infinite where `got` has a value that is not a number.
double max_abs_error(std::span<const double> want, std::span<const float> got);

// src / sqrt(mean(src^2) + eps) * (1 + weight), for each row.
std::vector<double> rms_norm(std::span<const double> src, std::span<const float> weight,
                             double eps);
std::vector<double> rms_norm(std::span<const float> src, std::span<const float> weight, double eps);

// (src - mean) / sqrt(variance + eps) * weight + bias, for each row of weight.size() values.
std::vector<double> layer_norm(std::span<const float> src, std::span<const float> weight,
                               std::span<const float> bias, double eps);

double gelu_tanh(double x);
double softcap(double x, double cap);  // 0 = none

// x: [tokens][cols], weight: [rows][cols] -> [tokens][rows]
std::vector<double> linear(std::span<const float> x, std::span<const double> weight,
                           uint32_t tokens, uint32_t rows, uint32_t cols);

// Square patches of pictures, each times every row of the kernel, plus bias and position.
// pixels: [pictures][3][side][side], kernel: [out][3][patch_size][patch_size], bias: [out],
// positions: [patches][out] -> [pictures][patches][out]. Pixels that fill no patch are not read.
std::vector<double> patch_embed(std::span<const float> pixels, std::span<const double> kernel,
                                std::span<const float> bias, std::span<const float> positions,
                                uint32_t side, uint32_t patch_size);

// Averages of cells. src: [pictures][out_side * cell][out_side * cell][cols]
// -> [pictures][out_side][out_side][cols]
std::vector<double> pool(std::span<const float> src, uint32_t cell, uint32_t out_side,
                         uint32_t cols);

// Angle of pair i at a position.
double rope_angle(uint32_t position, uint32_t pair, uint32_t head_dim, double theta, double factor);
// Rotates pairs (i, i + head_dim / 2) of one head.
std::vector<double> rope(std::span<const double> head, uint32_t position, double theta,
                         double factor);

// One query against the keys that `visible` names: sum softmax(cap(q . k)) v.
// keys, values: [position][head_dim]
std::vector<double> attention(std::span<const double> q, std::span<const double> keys,
                              std::span<const double> values, const std::vector<uint32_t>& visible,
                              double cap);

// What sampling keeps of one row's logits, and how likely each is. Order: repetition penalty for
// ids in `seen`, temperature, top-k, top-p, min-p; ties to the lower id. temperature 0: greedy.
struct SamplerSettings {
    double temperature = 1, top_p = 1, min_p = 0, repeat_penalty = 1;
    uint32_t top_k = 0;
};
std::vector<double> sampling_probabilities(std::span<const float> logits,
                                           const SamplerSettings& settings,
                                           const std::vector<bool>& seen = {},
                                           const std::vector<bool>& allowed = {});

// P(chi-square with `degrees` degrees of freedom >= x), by Wilson and Hilferty's cube root.
double chi_square_p(double x, double degrees);

}  // namespace olivine::selftest
