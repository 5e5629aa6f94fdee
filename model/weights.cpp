#include "model/weights.h"

#include <array>
#include <cassert>
#include <cmath>

#include "engine/error.h"

namespace olivine {

std::string layer_name(uint32_t layer, const char* tensor) {
    return "layers." + std::to_string(layer) + "." + tensor + ".weight";
}

LayerTypes layer_types(const Checkpoint& checkpoint, uint32_t layer) {
    const auto type = [&](std::initializer_list<const char*> tensors) {
        std::optional<DataType> common;
        for (const char* tensor : tensors) {
            const TensorInfo* info = checkpoint.find(layer_name(layer, tensor));
            assert(info);  // Checkpoint::open has checked that it is there
            common = common ? common_type(*common, info->type) : info->type;
        }
        return *common;
    };
    // Rows of q, k and v are one dispatch where one type has them all without being much larger.
    std::vector<MatrixPart> qkv;
    for (const char* tensor : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}) {
        const MatrixPart next{type({tensor}),
                              static_cast<uint32_t>(checkpoint.find(layer_name(layer, tensor))->shape[0])};
        if (qkv.empty()) {
            qkv.push_back(next);
            continue;
        }
        MatrixPart& last = qkv.back();
        const DataType common = common_type(last.type, next.type);
        const bool grows = common == DataType::f32 &&
                           (block_elements(last.type) > 1 || block_elements(next.type) > 1);
        if (grows)
            qkv.push_back(next);
        else
            last = {common, last.rows + next.rows};
    }
    return {.qkv_proj = qkv,
            .o_proj = type({"self_attn.o_proj"}),
            .gate_up_proj = type({"mlp.gate_proj", "mlp.up_proj"}),
            .down_proj = type({"mlp.down_proj"})};
}

std::vector<std::vector<StreamedPiece>> Weights::groups(const Residency& residency) {
    std::vector<std::vector<StreamedPiece>> groups;
    if (!residency.streams)
        return groups;
    for (size_t i = residency.layers; i < layers.size(); ++i) {
        std::vector<StreamedPiece>& group = groups.emplace_back();
        for (Matrix* matrix : layers[i].matrices())
            for (size_t piece = 0; piece < matrix->pieces().size(); ++piece)
                group.push_back({matrix, piece});
    }
    for (size_t i = 0; i < head().pieces().size(); ++i)
        if (const MatrixPiece& piece = head().pieces()[i];
            piece.first_row + piece.rows > residency.head_rows)
            groups.push_back({{&head(), i}});
    return groups;
}

void Weights::enter_head(Uploader& uploader, const Residency& residency) {
    Matrix& matrix = head();
    // The images of an embedding's rows stay, for the host looks tokens up in them.
    const bool table = &matrix == &embed_tokens;
    for (size_t i = 0; i < matrix.pieces().size(); ++i)
        if (const MatrixPiece& piece = matrix.pieces()[i];
            piece.first_row + piece.rows <= residency.head_rows)
            matrix.enter_device(uploader, i, table && residency.streams);
}

std::vector<Matrix*> Weights::leaving(const Residency& from, const Residency& to) {
    std::vector<Matrix*> list = {&embed_tokens};
    if (lm_head.rows() > 0)
        list.push_back(&lm_head);
    for (uint32_t i = to.layers; i < from.layers; ++i)
        for (Matrix* matrix : layers[i].matrices())
            list.push_back(matrix);
    return list;
}

void Weights::make_images(Device& device, const Residency& from, const Residency& to) {
    for (Matrix* matrix : leaving(from, to))
        matrix->make_images(device);
}

void Weights::move(Device& device, const Residency& from, const Residency& to) {
    for (Matrix* matrix : leaving(from, to))
        matrix->leave_device();
    const auto split = [&](Matrix& matrix) {
        const MatrixPart part{matrix.type(), matrix.rows()};
        Matrix anew(device, std::span(&part, 1), matrix.cols(), Home::host,
                    to.streams ? to.group_rows : UINT32_MAX);
        anew.copy_rows(matrix, 0);
        matrix = std::move(anew);
    };
    if (from.streams != to.streams || from.group_rows != to.group_rows) {
        split(embed_tokens);
        if (lm_head.rows() > 0)
            split(lm_head);
    }
    Uploader uploader(device);
    for (uint32_t i = from.layers; i < to.layers; ++i)
        for (Matrix* matrix : layers[i].matrices())
            for (size_t piece = 0; piece < matrix->pieces().size(); ++piece)
                matrix->enter_device(uploader, piece, false);
    enter_head(uploader, to);
    if (lm_head.rows() > 0 && !to.streams)
        for (size_t piece = 0; piece < embed_tokens.pieces().size(); ++piece)
            embed_tokens.enter_device(uploader, piece, false);
}

Matrix random_matrix(Device& device, Ops& ops, DataType type, uint32_t rows, uint32_t cols,
                     uint32_t& seed) {
    // Uniform in +-sqrt(3 / cols) has the variance 1 / cols, which keeps the size of its input.
    Matrix result(device, type, rows, cols);
    Recorder recorder(device, "random weights");
    ops.random_fill.record(recorder, result, seed, std::sqrt(3.0f / static_cast<float>(cols)));
    recorder.finish().run();
    seed += 64;
    return result;
}

Weights random_weights(Device& device, Ops& ops, const Config& config, DataType type,
                       const Residency& residency) {
    const uint32_t q_rows = config.num_heads * config.head_dim;
    const uint32_t kv_rows = config.num_kv_heads * config.head_dim;
    Weights weights;
    weights.norms = std::make_unique<VectorArena>(device, norm_bytes(config));
    VectorArena& norms = *weights.norms;
    const std::vector<float> zeros(config.hidden_size * 2, 0.0f);
    const std::vector<float> head_zeros(config.head_dim * 2, 0.0f);
    uint32_t seed = 1;
    const auto matrix = [&](uint32_t rows, uint32_t cols) {
        return random_matrix(device, ops, type, rows, cols, seed);
    };
    // Of the host, made on the device run by run.
    const auto streamed = [&](uint32_t rows, uint32_t cols) {
        const MatrixPart part{type, rows};
        Matrix whole(device, std::span(&part, 1), cols, Home::host, residency.group_rows);
        uint32_t run_seed = seed;
        for (const MatrixPiece& piece : whole.pieces()) {
            Matrix run = random_matrix(device, ops, type, piece.rows, cols, run_seed);
            run.make_images(device);
            whole.copy_rows(run, piece.first_row);
        }
        seed += 64;
        return whole;
    };
    if (residency.streams) {
        weights.embed_tokens = streamed(config.vocab_size, config.hidden_size);
        Uploader uploader(device);
        weights.enter_head(uploader, residency);
    } else {
        weights.embed_tokens = matrix(config.vocab_size, config.hidden_size);
    }
    for (uint32_t i = 0; i < config.num_layers; ++i) {
        LayerWeights layer;
        layer.qkv_proj = matrix(q_rows + 2 * kv_rows, config.hidden_size);
        layer.o_proj = matrix(config.hidden_size, q_rows);
        layer.gate_up_proj = matrix(2 * config.intermediate_size, config.hidden_size);
        layer.down_proj = matrix(config.hidden_size, config.intermediate_size);
        if (i >= residency.layers)
            for (Matrix* each : layer.matrices()) {
                each->make_images(device);
                each->leave_device();
            }
        layer.attention_norms = norms.put(zeros);
        layer.feedforward_norms = norms.put(zeros);
        if (config.qk_norm)
            layer.qk_norms = norms.put(head_zeros);
        weights.layers.push_back(std::move(layer));
    }
    weights.first_norm = norms.put({zeros.begin(), zeros.begin() + config.hidden_size});
    return weights;
}

uint64_t norm_bytes(const Config& config) {
    const uint64_t both = VectorArena::bytes_of(config.hidden_size * 2ull);
    const uint64_t heads = config.qk_norm ? VectorArena::bytes_of(config.head_dim * 2ull) : 0;
    return (2 * both + heads) * config.num_layers + VectorArena::bytes_of(config.hidden_size);
}

}  // namespace olivine
