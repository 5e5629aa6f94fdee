// Compiles every pipeline that the published models need, runs none, and prints what the driver's
// compiler says of each.
//
// One JSON object a line: first {"device", "driver", "shaders": [every variant of the build]}, then
// {"shader", "threads", "constants", "subgroup_size", "values": {name: number}} a pipeline.
// tests/matrix/radv.sh runs it on AMD's compiler, which needs no AMD hardware.
#include <cstdio>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "engine/block_format.h"
#include "engine/error.h"
#include "engine/ops/ops.h"
#include "engine/pipeline_statistics.h"
#include "model/config.h"
#include "shaders/params.h"

namespace olivine {
namespace {

constexpr DataType kWeightTypes[] = {DataType::f32, DataType::f16, DataType::bf16, DataType::q8_0,
                                     DataType::q4_0};
// Shaders for blocks unpack by specialization constant: these stand for a high bit, groups with a minimum,
// and two high bits.
constexpr DataType kMatrixTypes[] = {DataType::f32,  DataType::f16,  DataType::bf16, DataType::q8_0,
                                     DataType::q4_0, DataType::q5_0, DataType::q4_k, DataType::q6_k};
constexpr KvType kKvTypes[] = {KvType::f32, KvType::f16, KvType::q8_0};
constexpr uint32_t kDecodeTokens[] = {1, 4};
constexpr uint32_t kPrefillTokens = 128;
constexpr uint32_t kAllTokens[] = {1, 2, 4, 8, 16, 32, kPrefillTokens};  // each another pipeline

// One run each, from the highest rungs down, so that the shaders of the lower ones are compiled as well.
struct Ladder {
    Precision precision;
    const char* disabled;
};
constexpr Ladder kLadders[] = {
    {Precision::automatic, ""},          {Precision::f32, ""},
    {Precision::f32, "storage16"},       {Precision::f32, "subgroup"},
    {Precision::f32, "subgroup,storage16"},
    {Precision::automatic, "coopmat_int8"},
    {Precision::automatic, "coopmat,coopmat_int8"},
    {Precision::automatic, "coopmat,coopmat_int8,int_dot"},
    {Precision::automatic, "coopmat,coopmat_int8,subgroup"},
};

// Where operations are recorded. Nothing runs, so all of them share one buffer of no real size.
struct Scene {
    explicit Scene(Device& d)
        : device(d), ops(d), recorder(d, "pipelines"), memory(d, Arena::activations, kBytes) {}

    Activation rows(uint32_t count, uint32_t cols) const {
        return {memory.slice(), count, cols, Activation::stride_of(cols)};
    }
    Slice any() const { return memory.slice(); }

    static constexpr uint64_t kBytes = uint64_t{1} << 31;
    Device& device;
    Ops ops;
    Recorder recorder;
    Buffer memory;
};

HeadShape text_heads(const Config& c) { return {c.num_heads, c.num_kv_heads, c.head_dim}; }

HeadShape picture_heads(const VisionConfig& v) {
    return {v.num_heads, v.num_heads, v.hidden_size / v.num_heads};
}

uint32_t qkv_width(const HeadShape& shape) {
    return (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
}

// ---- text -------------------------------------------------------------------------------------

void embeddings(Scene& s, const Config& c) {
    for (const DataType type : kMatrixTypes) {
        if (c.hidden_size % block_elements(type) != 0)
            continue;
        const Matrix table(s.device, type, c.vocab_size, c.hidden_size);
        const Activation x = s.rows(1, c.hidden_size);
        s.ops.embed.record(s.recorder, table, s.any(), x, c.embed_scale, s.any(), x, c.norm_eps);
        if (!is_blocks(type))  // which random_fill does not make
            s.ops.random_fill.record(s.recorder, table, 1, 1.0f);
    }
}

void norms(Scene& s, const Config& c) {
    const Activation x = s.rows(1, c.hidden_size);
    s.ops.rms_norm.record(s.recorder, x, s.any(), x, c.norm_eps);
    s.ops.residual_norm.record(s.recorder, x, s.any(), x, x, c.norm_eps);
}

void matrices(Scene& s, const Config& c) {
    const uint32_t qkv = qkv_width(text_heads(c)), heads = c.num_heads * c.head_dim;
    for (const DataType type : kMatrixTypes) {
        const auto whole = [&](uint32_t cols) { return cols % block_elements(type) == 0; };
        if (!whole(c.hidden_size) || !whole(heads) || !whole(c.intermediate_size))
            continue;
        const Matrix qkv_proj(s.device, type, qkv, c.hidden_size);
        const Matrix o_proj(s.device, type, c.hidden_size, heads);
        const Matrix gate_up_proj(s.device, type, 2 * c.intermediate_size, c.hidden_size);
        const Matrix down_proj(s.device, type, c.hidden_size, c.intermediate_size);
        const Matrix head(s.device, type, c.vocab_size, c.hidden_size);
        for (const uint32_t tokens : kAllTokens) {
            const Activation x = s.rows(tokens, c.hidden_size);
            const Activation hidden = s.rows(tokens, c.intermediate_size);
            s.ops.linear.record(s.recorder, qkv_proj, x, s.rows(tokens, qkv));
            s.ops.linear.record(s.recorder, o_proj, s.rows(tokens, heads), x);
            s.ops.linear.record(s.recorder, gate_up_proj, x, hidden, Epilogue::geglu);
            s.ops.linear.record(s.recorder, down_proj, hidden, x);
            if (tokens == 1)
                for (const Matrix* projection : {&o_proj, &down_proj})
                    s.ops.linear.record_branch(s.recorder, s.ops.residual_norm, *projection,
                                               s.rows(1, projection->cols()), x,
                                               {s.any(), x, x, c.norm_eps, s.any()});
            s.ops.linear.record(s.recorder, head, x, s.rows(tokens, c.vocab_size), Epilogue::none,
                                c.final_softcap.value_or(0.0f));
        }
    }
}

void attention(Scene& s, const Config& c) {
    const HeadShape shape = text_heads(c);
    const RopeTable rope;  // only bound
    const Slice norms = c.qk_norm ? s.any() : Slice{};
    const float softcap = c.attn_softcap.value_or(0.0f);
    const AttentionScratch scratch{s.any(), s.any()};
    for (const KvType type : kKvTypes)
        for (const uint32_t window : {0u, c.sliding_window}) {
            const KvLayer layer = KvLayer::ring(s.any(), s.any(), type, 8192, window);
            const Slice grid = window ? Slice{} : s.any();  // global layers split on the device
            for (const uint32_t rows : kDecodeTokens) {
                const Activation dst = s.rows(rows, c.num_heads * c.head_dim);
                s.ops.rope_store.record(s.recorder, s.rows(rows, qkv_width(shape)), s.any(), &rope,
                                        norms, shape, c.query_scale, c.norm_eps, s.any(), layer);
                s.ops.attention.record_decode(s.recorder, s.any(), layer, s.any(), grid, shape,
                                              softcap, dst, scratch);
            }
            s.ops.attention.record_prefill(s.recorder, s.any(), layer, s.any(), shape, softcap,
                                           s.rows(kPrefillTokens, c.num_heads * c.head_dim),
                                           scratch);
        }
}

void sampling(Scene& s, const Config& c) {
    s.ops.sampling.record(s.recorder, s.rows(1, c.vocab_size),
                          {s.any(), s.any(), s.any(), s.any(), s.any(), s.any()});
    s.ops.advance.record(s.recorder, {s.any(), s.any(), s.any(), s.any(), s.any(), s.any(), s.any()}, 1,
                         c.vocab_size, text_heads(c));
}

// ---- pictures ---------------------------------------------------------------------------------

void picture_pixels(Scene& s, const Config& c) {
    if (!c.vision)
        return;
    const VisionConfig& v = *c.vision;
    const uint32_t side = v.image_size;
    const FilterSlices filter{s.any(), s.any(), side, 4};
    s.ops.resize.record_rows(s.recorder, s.any(), side, side, filter, s.any());
    s.ops.resize.record_columns(s.recorder, s.any(), side, filter, {}, {}, s.any(), 0);
    for (const DataType type : kWeightTypes) {
        const Matrix kernel(s.device, type, v.hidden_size, 3 * v.patch_size * v.patch_size);
        s.ops.patch_embed.record(s.recorder, kernel, s.any(), s.any(), s.any(),
                                 {side, v.patch_size}, s.rows(v.patches(), v.hidden_size));
    }
}

void picture_layers(Scene& s, const Config& c) {
    if (!c.vision)
        return;
    const VisionConfig& v = *c.vision;
    const HeadShape shape = picture_heads(v);
    const Activation x = s.rows(v.patches(), v.hidden_size);
    const Activation qkv = s.rows(v.patches(), 3 * v.hidden_size);
    const Activation hidden = s.rows(v.patches(), v.intermediate_size);
    const KvLayer layer = KvLayer::ring(s.any(), s.any(), KvType::f32, v.patches(), 0);
    s.ops.layer_norm.record(s.recorder, x, s.any(), s.any(), x, v.norm_eps);
    s.ops.rope_store.record(s.recorder, qkv, s.any(), nullptr, {}, shape, 1, 0, s.any(), layer);
    s.ops.attention.record_prefill(s.recorder, s.any(), layer, s.any(), shape, 0, x,
                                   {s.any(), s.any()});
    for (const DataType type : kWeightTypes) {
        const Matrix qkv_proj(s.device, type, 3 * v.hidden_size, v.hidden_size);
        const Matrix out_proj(s.device, type, v.hidden_size, v.hidden_size);
        const Matrix fc1(s.device, type, v.intermediate_size, v.hidden_size);
        const Matrix fc2(s.device, type, v.hidden_size, v.intermediate_size);
        s.ops.linear.record(s.recorder, qkv_proj, s.any(), x, qkv, Epilogue::bias);
        s.ops.linear.record(s.recorder, out_proj, s.any(), x, x, Epilogue::bias_add);
        s.ops.linear.record(s.recorder, fc1, s.any(), x, hidden, Epilogue::bias_gelu);
        s.ops.linear.record(s.recorder, fc2, s.any(), hidden, x, Epilogue::bias_add);
    }
}

void picture_projector(Scene& s, const Config& c) {
    if (!c.vision)
        return;
    const VisionConfig& v = *c.vision;
    constexpr uint32_t kSide = 16;  // of the square of soft tokens
    const Activation pooled = s.rows(kSide * kSide, v.hidden_size);
    s.ops.pool.record(s.recorder, s.rows(v.patches(), v.hidden_size),
                      v.patches_per_side() / kSide, kSide, pooled);
    for (const DataType type : kWeightTypes) {
        const Matrix projection(s.device, type, c.hidden_size, v.hidden_size);
        s.ops.linear.record(s.recorder, projection, pooled, s.rows(kSide * kSide, c.hidden_size));
    }
}

// ---- the list -----------------------------------------------------------------------------------

// Each is recorded at the widths of every published model; what has been recorded before costs
// nothing, since an operation makes a pipeline once.
constexpr void (*kRecorded[])(Scene&, const Config&) = {
    embeddings, norms,          matrices,       attention,
    sampling,   picture_pixels, picture_layers, picture_projector,
};

#define OLIVINE_SHADER(name, ...) #name,
constexpr const char* kShaders[] = {
#include "shader_list.inc"
};
#undef OLIVINE_SHADER

void print(const PipelineStatistics& pipeline) {
    nlohmann::ordered_json values;
    for (const auto& [name, value] : pipeline.values)
        values[name] = value;
    const nlohmann::ordered_json line = {{"shader", pipeline.shader},
                                         {"threads", pipeline.threads},
                                         {"constants", pipeline.constants},
                                         {"subgroup_size", pipeline.subgroup_size},
                                         {"values", values}};
    std::cout << line.dump() << '\n';
}

void compile_all() {
    std::set<std::tuple<std::string, uint32_t, std::vector<uint32_t>>> printed;
    for (const Ladder& ladder : kLadders) {
        DeviceOptions options;
        options.compile_only = true;
        options.precision = ladder.precision;
        options.disabled = RungSet::parse(ladder.disabled);
        Device device(options);
        if (printed.empty()) {
            const nlohmann::ordered_json line = {{"device", device.info().name},
                                                 {"driver", device.info().driver},
                                                 {"shaders", kShaders}};
            std::cout << line.dump() << '\n';
        }
        Scene scene(device);
        for (const std::string_view name : preset_names())
            for (const auto record : kRecorded)
                record(scene, *preset(name));
        for (const PipelineStatistics& pipeline : pipeline_statistics(device))
            if (printed.emplace(pipeline.shader, pipeline.threads, pipeline.constants).second)
                print(pipeline);
    }
}

}  // namespace
}  // namespace olivine

int main() {
    try {
        olivine::compile_all();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "olivine_pipelines: %s\n", error.what());
        return 1;
    }
}
