// Push constants and buffer records of all shaders, read by GLSL and C++ alike.
// Members are 4 bytes each, so std430 and C++ lay them out the same way.
#ifdef __cplusplus
#pragma once
#include <cstdint>
namespace olivine::shader {
using uint = std::uint32_t;
#endif

// One token of a step. Prefill: consecutive positions of one sequence. Decode: one row a sequence.
// Lives in the step buffer on the device, so that a recorded plan serves every step.
struct Row {
    uint token;         // id to embed
    uint position;      // 0-based in its sequence
    uint sequence;      // slot in the KV cache
    uint last_visible;  // highest position this row may attend to: its own, or the end of its picture
};

// vkCmdDispatchIndirect arguments, kept beside the rows.
struct GridArguments {
    uint x;
    uint y;
    uint z;
    uint splits;  // what z means to attention: pieces that the key range is cut into
};

// How one sequence samples. A record a row, written by the host when a request starts.
struct SampleParams {
    float inverse_temperature;  // 0 = greedy
    uint top_k;                 // 0 = all
    float top_p;                // 1 = all
    float log_min_p;            // ln(min-p); -inf = all
    float repeat_penalty;       // 1 = none
    uint seed_low;
    uint seed_high;
    uint unused;  // keeps the record at 32 bytes
};

struct EmbedParams {
    uint first_row;  // of the piece that is bound
    uint rows;       // in the piece
    uint cols;
    uint row_units;  // 16-element units in one row of the table
    uint row_scales; // 32-bit words of scales in one row
    uint dst_stride; // floats
    float scale;
    uint normed_stride;  // floats
    float eps;
};

struct RmsNormParams {
    uint cols;
    uint src_stride;  // floats
    uint dst_stride;
    float eps;
};

struct LayerNormParams {
    uint cols;
    uint src_stride;  // floats
    uint dst_stride;
    float eps;
};

struct ResidualNormParams {
    uint cols;
    uint branch_stride;  // floats
    uint stream_stride;
    uint dst_stride;
    float eps;
};

// row_scale and block_scale share it.
struct ScaleParams {
    uint tokens;
    uint cols;
    uint x_stride;  // in vec4
};

// matvec and the shaders of matmul share it.
struct LinearParams {
    uint rows;        // rows of the weight piece = outputs
    uint cols;        // inner dimension
    uint row_units;   // 16-element units in one weight row
    uint row_scales;  // 32-bit words of scales in one weight row
    uint tokens;      // rows of x
    uint x_stride;    // in vec4; packed rows have no gaps
    uint y_stride;    // floats
    uint y_first;     // column of y where this piece begins
    float softcap;    // 0 = none
    float eps;        // of the norms, with RESIDUAL_NORM
};

// matmul_straight's.
struct StraightParams {
    LinearParams linear;
    uint digits[16];  // 0 to 15
};

struct RopeStoreParams {
    uint heads;
    uint kv_heads;
    uint head_dim;      // even
    uint padded_dim;    // stride of a head in q and in the cache, a multiple of 8
    uint qkv_stride;    // floats
    uint capacity;      // slots a sequence, of a ring
    uint pages;         // of a sequence in the table; 0 = a ring
    uint key_first;     // positions [key_first, key_end) are in the piece that is bound
    uint key_end;
    uint coarse_steps;  // entries of the coarse table
    float query_scale;
    float eps;
};

struct AttentionParams {
    uint heads;
    uint kv_heads;
    uint head_dim;
    uint padded_dim;
    uint first_row;   // rows [first_row, rows) run
    uint rows;
    uint capacity;    // as in RopeStoreParams
    uint pages;
    uint key_first;
    uint key_end;
    uint carried;     // of parts, in vec4: where what earlier pieces have summed lies
    uint window;      // 0 = global
    uint dst_stride;  // floats
    float softcap;    // 0 = none
};

struct LogitFilterParams {
    uint vocab;
    uint logits_stride;
    uint shards;     // workgroups a row
    uint mask_words; // 32-bit words of the seen and allowed masks, a row
};

struct SampleSelectParams {
    uint vocab;
    uint logits_stride;
    uint shards;
};

struct AdvanceParams {
    uint rows;
    uint mask_words;
    uint history;      // ids the ring keeps for each row
    uint stops;        // stop ids of a row, 0xffffffff where there are fewer
    uint kv_heads;
    uint split_keys;   // keys a split should have at least
    uint max_splits;
};

struct PatchEmbedParams {
    uint rows;              // of the weight piece
    uint cols;              // 3 * patch_size^2
    uint row_units;
    uint row_scales;
    uint first_row;         // column of dst where this piece begins
    uint pictures;
    uint patches_per_side;
    uint patch_size;        // pixels
    uint side;              // pixels
    uint dst_cols;
    uint dst_stride;        // floats
};

struct PoolParams {
    uint cols;
    uint cell;        // patches a side that become one
    uint out_side;    // cells a side
    uint src_stride;  // floats
    uint dst_stride;
};

struct ResizeParams {
    uint out_size;   // samples along the filtered direction
    uint lines;      // in the other direction
    uint taps;
    uint src_step;   // pixels between samples of the filtered direction
    uint src_line;   // pixels between lines
    uint dst_first;  // of planes: where this picture begins, in floats
    float red_scale;  // planes: v * scale + offset
    float green_scale;
    float blue_scale;
    float red_offset;
    float green_offset;
    float blue_offset;
};

struct RandomFillParams {
    uint words;
    uint kind;  // 0 f32 values, 1 f16 pairs, 2 bf16 pairs, 3 int8 quants, 4 nibbles, 5 f16 scales
    uint seed;
    float scale;
};

#ifdef __cplusplus
}  // namespace olivine::shader
#endif
