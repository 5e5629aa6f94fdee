// All operations of one device. Made once, shared by everything that records on it.
#pragma once

#include "engine/ops/advance.h"
#include "engine/ops/attention.h"
#include "engine/ops/embed.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/linear.h"
#include "engine/ops/patch_embed.h"
#include "engine/ops/pool.h"
#include "engine/ops/random_fill.h"
#include "engine/ops/residual_norm.h"
#include "engine/ops/resize.h"
#include "engine/ops/rms_norm.h"
#include "engine/ops/rope_store.h"
#include "engine/ops/sampling.h"

namespace olivine {

struct Ops {
    explicit Ops(Device& device)
        : embed(device), rms_norm(device), residual_norm(device), linear(device),
          rope_store(device), attention(device), sampling(device), advance(device),
          random_fill(device), layer_norm(device), patch_embed(device), pool(device),
          resize(device) {}

    Embed embed;
    RmsNorm rms_norm;
    ResidualNorm residual_norm;
    Linear linear;
    RopeStore rope_store;
    Attention attention;
    Sampling sampling;
    Advance advance;
    RandomFill random_fill;

    // Pictures.
    LayerNorm layer_norm;
    PatchEmbed patch_embed;
    Pool pool;
    Resize resize;
};

}  // namespace olivine
