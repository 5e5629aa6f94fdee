#include "engine/selftest/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace olivine::selftest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <typename T>
double nmse_of(std::span<const T> want, std::span<const float> got) {
    if (want.size() != got.size())
        return kInfinity;
    double error = 0, power = 0;
    for (size_t i = 0; i < want.size(); ++i) {
        if (std::isnan(got[i]))
            return kInfinity;
        error += (got[i] - double{want[i]}) * (got[i] - double{want[i]});
        power += double{want[i]} * double{want[i]};
    }
    return power > 0 ? error / power : error;
}

template <typename T>
std::vector<double> rms_norm_of(std::span<const T> src, std::span<const float> weight, double eps) {
    const size_t cols = weight.size();
    std::vector<double> dst(src.size());
    for (size_t row = 0; row < src.size(); row += cols) {
        double squares = 0;
        for (size_t c = 0; c < cols; ++c)
            squares += double{src[row + c]} * double{src[row + c]};
        for (size_t c = 0; c < cols; ++c)
            dst[row + c] = src[row + c] / std::sqrt(squares / static_cast<double>(cols) + eps) *
                           (1 + double{weight[c]});
    }
    return dst;
}

}  // namespace

double nmse(std::span<const double> want, std::span<const float> got) {
    return nmse_of(want, got);
}
double nmse(std::span<const float> want, std::span<const float> got) {
    return nmse_of(want, got);
}

double max_abs_error(std::span<const double> want, std::span<const float> got) {
    if (want.size() != got.size())
        return kInfinity;
    double largest = 0;
    for (size_t i = 0; i < want.size(); ++i)
        largest = std::isnan(got[i]) ? kInfinity : std::max(largest, std::abs(got[i] - want[i]));
    return largest;
}

std::vector<double> rms_norm(std::span<const double> src, std::span<const float> weight,
                             double eps) {
    return rms_norm_of(src, weight, eps);
}
std::vector<double> rms_norm(std::span<const float> src, std::span<const float> weight,
                             double eps) {
    return rms_norm_of(src, weight, eps);
}

std::vector<double> layer_norm(std::span<const float> src, std::span<const float> weight,
                               std::span<const float> bias, double eps) {
    const size_t cols = weight.size();
    std::vector<double> dst(src.size());
    for (size_t row = 0; row < src.size(); row += cols) {
        double sum = 0, squares = 0;
        for (size_t c = 0; c < cols; ++c)
            sum += src[row + c];
        const double mean = sum / static_cast<double>(cols);
        for (size_t c = 0; c < cols; ++c)
            squares += (src[row + c] - mean) * (src[row + c] - mean);
        const double deviation = std::sqrt(squares / static_cast<double>(cols) + eps);
        for (size_t c = 0; c < cols; ++c)
            dst[row + c] = (src[row + c] - mean) / deviation * weight[c] + bias[c];
    }
    return dst;
}

double gelu_tanh(double x) {
    const double pi = std::acos(-1.0);
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
}

double softcap(double x, double cap) {
    return cap > 0 ? cap * std::tanh(x / cap) : x;
}

std::vector<double> linear(std::span<const float> x, std::span<const double> weight,
                           uint32_t tokens, uint32_t rows, uint32_t cols) {
    std::vector<double> y;
    for (uint32_t t = 0; t < tokens; ++t) {
        for (uint32_t m = 0; m < rows; ++m) {
            double sum = 0;
            for (uint32_t k = 0; k < cols; ++k)
                sum += weight[size_t{m} * cols + k] * x[size_t{t} * cols + k];
            y.push_back(sum);
        }
    }
    return y;
}

std::vector<double> patch_embed(std::span<const float> pixels, std::span<const double> kernel,
                                std::span<const float> bias, std::span<const float> positions,
                                uint32_t side, uint32_t patch_size) {
    const size_t out = bias.size(), across = side / patch_size;
    std::vector<double> y;
    for (size_t picture = 0; picture * 3 * side * side < pixels.size(); ++picture) {
        for (size_t patch = 0; patch < across * across; ++patch) {
            const size_t top = patch / across * patch_size, left = patch % across * patch_size;
            for (size_t m = 0; m < out; ++m) {
                double sum = double{bias[m]} + positions[patch * out + m];
                size_t k = m * 3 * patch_size * patch_size;
                for (size_t channel = picture * 3; channel < picture * 3 + 3; ++channel)
                    for (size_t dy = 0; dy < patch_size; ++dy)
                        for (size_t dx = 0; dx < patch_size; ++dx)
                            sum += kernel[k++] *
                                   pixels[(channel * side + top + dy) * side + left + dx];
                y.push_back(sum);
            }
        }
    }
    return y;
}

std::vector<double> pool(std::span<const float> src, uint32_t cell, uint32_t out_side,
                         uint32_t cols) {
    const size_t side = size_t{out_side} * cell, picture = side * side * cols;
    std::vector<double> dst;
    for (size_t from = 0; from < src.size(); from += picture) {
        for (size_t y = 0; y < out_side; ++y) {
            for (size_t x = 0; x < out_side; ++x) {
                for (size_t c = 0; c < cols; ++c) {
                    double sum = 0;
                    for (size_t sy = y * cell; sy < (y + 1) * cell; ++sy)
                        for (size_t sx = x * cell; sx < (x + 1) * cell; ++sx)
                            sum += src[from + (sy * side + sx) * cols + c];
                    dst.push_back(sum / (double{1} * cell * cell));
                }
            }
        }
    }
    return dst;
}

double rope_angle(uint32_t position, uint32_t pair, uint32_t head_dim, double theta,
                  double factor) {
    return position * std::pow(theta, -2.0 * pair / head_dim) / factor;
}

std::vector<double> rope(std::span<const double> head, uint32_t position, double theta,
                         double factor) {
    const uint32_t half = static_cast<uint32_t>(head.size() / 2);
    std::vector<double> turned(head.size());
    for (uint32_t i = 0; i < half; ++i) {
        const double angle = rope_angle(position, i, 2 * half, theta, factor);
        turned[i] = head[i] * std::cos(angle) - head[i + half] * std::sin(angle);
        turned[i + half] = head[i + half] * std::cos(angle) + head[i] * std::sin(angle);
    }
    return turned;
}

std::vector<double> attention(std::span<const double> q, std::span<const double> keys,
                              std::span<const double> values, const std::vector<uint32_t>& visible,
                              double cap) {
    const size_t width = q.size();
    std::vector<double> scores;
    for (const uint32_t position : visible) {
        double score = 0;
        for (size_t i = 0; i < width; ++i)
            score += q[i] * keys[position * width + i];
        scores.push_back(softcap(score, cap));
    }
    const double largest = *std::max_element(scores.begin(), scores.end());
    double total = 0;
    std::vector<double> sum(width, 0.0);
    for (size_t s = 0; s < visible.size(); ++s) {
        const double e = std::exp(scores[s] - largest);
        total += e;
        for (size_t i = 0; i < width; ++i)
            sum[i] += e * values[visible[s] * width + i];
    }
    for (double& value : sum)
        value /= total;
    return sum;
}

std::vector<double> sampling_probabilities(std::span<const float> logits,
                                           const SamplerSettings& settings,
                                           const std::vector<bool>& seen,
                                           const std::vector<bool>& allowed) {
    std::vector<double> scaled;
    std::vector<uint32_t> order;
    for (uint32_t id = 0; id < logits.size(); ++id) {
        double l = logits[id];
        if (!seen.empty() && seen[id])
            l = l > 0 ? l / settings.repeat_penalty : l * settings.repeat_penalty;
        scaled.push_back(settings.temperature > 0 ? l / settings.temperature : l);
        if (!std::isnan(l) && l != -kInfinity && (allowed.empty() || allowed[id]))
            order.push_back(id);
    }
    std::vector<double> probabilities(logits.size(), 0.0);
    if (order.empty())
        return probabilities;
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return scaled[a] > scaled[b]; });
    if (settings.temperature == 0)
        order.resize(1);
    if (settings.top_k > 0 && settings.top_k < order.size())
        order.resize(settings.top_k);
    const double best = scaled[order[0]];
    const auto weight = [&](uint32_t id) { return std::exp(scaled[id] - best); };

    double all = 0;
    for (const uint32_t id : order)
        all += weight(id);
    if (settings.top_p < 1) {
        double before = 0;
        size_t kept = 0;
        while (kept < order.size() && (kept == 0 || before < settings.top_p * all))
            before += weight(order[kept++]);
        order.resize(kept);
    }
    std::erase_if(order, [&](uint32_t id) { return weight(id) < settings.min_p; });

    all = 0;
    for (const uint32_t id : order)
        all += weight(id);
    for (const uint32_t id : order)
        probabilities[id] = weight(id) / all;
    return probabilities;
}

double chi_square_p(double x, double degrees) {
    const double spread = 2 / (9 * degrees);
    const double z = (std::cbrt(x / degrees) - (1 - spread)) / std::sqrt(spread);
    return 0.5 * std::erfc(z / std::sqrt(2.0));
}

}  // namespace olivine::selftest
