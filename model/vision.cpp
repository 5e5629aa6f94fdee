#include "model/vision.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

#include "engine/error.h"
#include "shaders/params.h"

namespace olivine {
namespace {

// Patches of a slice, before its time is known: some tens of milliseconds of a slow GPU, of 4096 in all.
constexpr uint32_t kFirstAttentionRows = 256, kLeastAttentionRows = 16;
constexpr uint32_t kFirstProductRows = 1024, kLeastProductRows = 64;
// Pictures together as long as their scratch stays below this.
constexpr uint64_t kBatchBytes = uint64_t{256} << 20;
constexpr uint32_t kMostTogether = 8;
// Words of a picture that are resized at once.
constexpr uint64_t kStripWords = uint64_t{4} << 20;

// `most` for the usual seconds, fewer for less.
uint32_t first_rows(uint32_t most, uint32_t least, double slice_seconds) {
    const double fit = most * slice_seconds / Pace::kSeconds;
    return std::clamp(std::bit_floor(static_cast<uint32_t>(fit)), least, most);
}

HeadShape head_shape(const VisionConfig& v) {
    return {v.num_heads, v.num_heads, v.hidden_size / v.num_heads};
}

uint32_t pixel_floats(const VisionConfig& v) {
    return 3 * v.image_size * v.image_size;
}

// Of one picture.
struct ScratchBytes {
    uint64_t pixels, stream, qkv, q, hidden, pooled, soft, packed;
    uint64_t total() const {
        return pixels + 2 * stream + qkv + 3 * q + hidden + pooled + soft + packed;
    }
    uint64_t largest() const { return std::max({pixels, stream, qkv, q, hidden, pooled, soft}); }
};

ScratchBytes scratch_of(const Config& config) {
    const VisionConfig& v = *config.vision;
    const HeadShape shape = head_shape(v);
    return {.pixels = pixel_floats(v) * 4ull,
            .stream = Activation::bytes_of(v.patches(), v.hidden_size),
            .qkv = Activation::bytes_of(v.patches(), 3 * v.hidden_size),
            .q = uint64_t{v.patches()} * shape.heads * shape.padded_dim() * 4,
            .hidden = Activation::bytes_of(v.patches(), v.intermediate_size),
            .pooled = Activation::bytes_of(config.mm_tokens_per_image, v.hidden_size),
            .soft = Activation::bytes_of(config.mm_tokens_per_image, config.hidden_size),
            .packed = Linear::scratch_bytes(v.patches(), v.intermediate_size)};
}

// Records the work on `rows` rows, `most` in a slice.
template <typename Record>
void record_slices(Recorder& recorder, uint32_t rows, uint32_t most, const Record& record) {
    for (uint32_t first = 0; first < rows; first += most) {
        if (first > 0)
            recorder.cut();
        record(first, std::min(most, rows - first));
    }
}

}  // namespace

// Everything between pixels and soft tokens, for as many pictures as run together.
struct Vision::Scratch {
    uint32_t pictures = 0;
    Buffer pixels;  // [pictures][3][side][side]
    Buffer rows;    // shader::Row, [pictures * patches]
    std::vector<Buffer> buffers;
    Activation stream, normed, qkv, hidden, pooled, soft;
    Slice q;
    KvLayer kv;
};

// The work on a batch, in the order in which it runs.
struct Vision::Plans {
    Plan patch_embed;
    std::vector<Layer> layers;
    Plan projector;
};

// One layer, recorded so that a slice has so many patches.
struct Vision::Layer {
    Plan attention, mlp;
    uint32_t product_rows = 0, attention_rows = 0;
    uint32_t product_slices = 0;  // of a matrix product: attention's plan begins and ends with them
};

uint64_t Vision::scratch_bytes(const Config& config) {
    if (!config.vision)
        return 0;
    const ScratchBytes one = scratch_of(config);
    // With the rows of its patches, and its soft tokens once more, which stay when it is encoded.
    return one.total() + config.vision->patches() * sizeof(shader::Row) + one.soft;
}

Vision::Vision(Device& device, Ops& ops, const Config& config, VisionWeights weights, PictureStore& store,
               double slice_seconds)
    : device_(device),
      ops_(ops),
      config_(config),
      weights_(std::move(weights)),
      scratch_(std::make_unique<Scratch>()),
      product_pace_(UINT32_MAX, slice_seconds,
                    first_rows(kFirstProductRows, kLeastProductRows, slice_seconds), kLeastProductRows),
      attention_pace_(config.vision->patches(), slice_seconds,
                      first_rows(kFirstAttentionRows, kLeastAttentionRows, slice_seconds),
                      kLeastAttentionRows),
      store_(store) {
    const VisionConfig& v = *config_.vision;
    const ScratchBytes one = scratch_of(config_);
    const uint64_t range = device.capabilities().max_range_bytes;
    if (one.largest() > range)
        fail(Fault::unsupported,
             "A picture of %u x %u patches needs %llu bytes in one piece; this device binds %llu.",
             v.patches_per_side(), v.patches_per_side(),
             static_cast<unsigned long long>(one.largest()),
             static_cast<unsigned long long>(range));
    Scratch& s = *scratch_;
    // Half of what the budget leaves: the other is for keys and values that are still to come.
    const uint64_t left = device.budget_bytes() - std::min(device.budget_bytes(), device.bytes_now());
    s.pictures = static_cast<uint32_t>(
        std::clamp<uint64_t>(std::min(std::min(kBatchBytes, left / 2) / one.total(), range / one.largest()),
                             1, kMostTogether));

    const uint32_t patches = v.patches() * s.pictures;
    const uint32_t soft_rows = config_.mm_tokens_per_image * s.pictures;
    s.buffers.reserve(16);  // slices point at elements
    const auto buffer = [&](uint64_t bytes) {
        s.buffers.emplace_back(device, Arena::activations, bytes);
        return s.buffers.back().slice();
    };
    const auto activation = [&](uint32_t rows, uint32_t cols) {
        return Activation{buffer(Activation::bytes_of(rows, cols)), rows, cols,
                          Activation::stride_of(cols)};
    };
    s.pixels = Buffer(device, Arena::activations, one.pixels * s.pictures);
    s.stream = activation(patches, v.hidden_size);
    s.normed = activation(patches, v.hidden_size);
    s.qkv = activation(patches, 3 * v.hidden_size);
    s.hidden = activation(patches, v.intermediate_size);
    s.pooled = activation(soft_rows, v.hidden_size);
    s.soft = activation(soft_rows, config_.hidden_size);
    s.q = buffer(one.q * s.pictures);
    ops.linear.reserve(patches, v.intermediate_size);
    const Slice keys = buffer(one.q * s.pictures), values = buffer(one.q * s.pictures);
    s.kv = KvLayer::ring(keys, values, KvType::f32, v.patches(), 0);

    std::vector<shader::Row> rows;
    for (uint32_t i = 0; i < patches; ++i)
        rows.push_back({.token = 0,
                        .position = i % v.patches(),
                        .sequence = i / v.patches(),
                        .last_visible = v.patches() - 1});
    s.rows = Buffer(device, Arena::activations, rows.size() * sizeof(shader::Row));
    write(device, s.rows.slice(), std::as_bytes(std::span(rows)));
}

Vision::~Vision() = default;

// ---- one picture's pixels ---------------------------------------------------------------------

Buffer Vision::upload(std::span<const std::byte> bytes) {
    Buffer buffer(device_, Arena::staging, bytes.size());
    write(device_, buffer.slice(), bytes);
    return buffer;
}

// strip(line, lines): calls what it is given with the slice that holds these lines of the picture.
template <typename Strip>
void Vision::resize(uint32_t width, uint32_t height, bool begins_with_blue, uint32_t slot,
                    const Strip& strip) {
    const VisionConfig& v = *config_.vision;
    const uint32_t side = v.image_size;
    const FilterTaps along_x = bilinear_taps(width, side);
    const FilterTaps along_y = bilinear_taps(height, side);
    const Buffer first_x = upload(std::as_bytes(std::span(along_x.first)));
    const Buffer weights_x = upload(std::as_bytes(std::span(along_x.weights)));
    const Buffer first_y = upload(std::as_bytes(std::span(along_y.first)));
    const Buffer weights_y = upload(std::as_bytes(std::span(along_y.weights)));

    // Along x in strips, so that a picture of any size passes through a buffer of one. A strip has
    // a multiple of 64 lines, which keeps its place in `narrow` at an offset that devices can bind.
    const uint32_t most = std::clamp<uint32_t>(static_cast<uint32_t>(kStripWords / width) / 64 * 64, 64,
                                               (height + 63) / 64 * 64);
    const Buffer narrow(device_, Arena::staging, uint64_t{height} * side * 4);
    for (uint32_t line = 0; line < height; line += most) {
        const uint32_t lines = std::min(most, height - line);
        strip(line, lines, [&](const Slice& pixels) {
            Recorder recorder(device_, "resize rows");
            ops_.resize.record_rows(recorder, pixels, width, lines,
                                    {first_x.slice(), weights_x.slice(), side, along_x.taps},
                                    narrow.slice(uint64_t{line} * side * 4, uint64_t{lines} * side * 4),
                                    begins_with_blue);
            Plan plan = recorder.finish();
            plan.run();
            seconds_.preprocess += plan.gpu_seconds();
        });
    }
    std::array<float, 3> scale{}, offset{};
    for (size_t c = 0; c < 3; ++c) {
        scale[c] = 1.0f / (255.0f * v.image_std[c]);
        offset[c] = -v.image_mean[c] / v.image_std[c];
    }
    Recorder recorder(device_, "resize columns");
    ops_.resize.record_columns(recorder, narrow.slice(), side,
                               {first_y.slice(), weights_y.slice(), side, along_y.taps}, scale,
                               offset, scratch_->pixels.slice(), slot * pixel_floats(v));
    Plan plan = recorder.finish();
    plan.run();
    seconds_.preprocess += plan.gpu_seconds();
}

void Vision::preprocess(const Picture& picture, uint32_t slot) {
    resize(picture.width, picture.height, false, slot,
           [&](uint32_t line, uint32_t lines, const auto& use) {
               const Buffer pixels = upload(std::as_bytes(std::span(picture.pixels)
                                                              .subspan(size_t{line} * picture.width,
                                                                       size_t{lines} * picture.width)));
               use(pixels.slice());
           });
}

void Vision::preprocess(const DevicePicture& picture, uint32_t slot) {
    const uint64_t pitch = uint64_t{picture.width} * 4;
    resize(picture.width, picture.height, picture.begins_with_blue, slot,
           [&](uint32_t line, uint32_t lines, const auto& use) {
               use(picture.pixels->slice(line * pitch, lines * pitch));
           });
}

// ---- the encoder --------------------------------------------------------------------------------

Vision::Plans& Vision::plans(uint32_t count) {
    std::unique_ptr<Plans>& entry = plans_[count];
    if (entry)
        return *entry;
    const VisionConfig& v = *config_.vision;
    const Scratch& s = *scratch_;
    const uint32_t patches = v.patches();
    const Activation stream = s.stream.first(count * patches),
                     normed = s.normed.first(count * patches);
    auto made = std::make_unique<Plans>();

    Recorder embed(device_, "patch embedding");
    ops_.patch_embed.record(embed, weights_.patch_embedding, s.pixels.slice(), weights_.patch_bias,
                            weights_.positions, {v.image_size, v.patch_size}, stream);
    made->patch_embed = embed.finish();

    made->layers.resize(weights_.layers.size());
    const uint32_t soft_rows = count * config_.mm_tokens_per_image;
    const auto out_side = static_cast<uint32_t>(
        std::lround(std::sqrt(static_cast<double>(config_.mm_tokens_per_image))));
    const Activation pooled = s.pooled.first(soft_rows);
    Recorder projector(device_, "projector");
    ops_.layer_norm.record(projector, stream, weights_.post_norm, weights_.post_norm_bias, normed,
                           v.norm_eps);
    ops_.pool.record(projector, normed, v.patches_per_side() / out_side, out_side, pooled);
    const Activation pooled_normed = s.stream.first(soft_rows);  // the stream has been read
    ops_.rms_norm.record(projector, pooled, weights_.soft_norm, pooled_normed, v.norm_eps);
    ops_.linear.record(projector, weights_.projection, pooled_normed, s.soft.first(soft_rows));
    made->projector = projector.finish();
    entry = std::move(made);
    return *entry;
}

// The plans of a layer, recorded anew where the slices have another size now.
Vision::Layer& Vision::layer(Plans& plans, uint32_t count, size_t index, const EncodeOptions& options) {
    Layer& made = plans.layers[index];
    const VisionConfig& v = *config_.vision;
    const uint32_t patches = v.patches(), rows = count * patches;
    const uint32_t at_once = options.patches_a_slice;
    const uint32_t product_rows = at_once > 0 ? at_once : std::min(product_pace_.tokens(), rows);
    const uint32_t attention_rows = at_once > 0 ? at_once : attention_pace_.tokens();
    if (made.product_rows == product_rows && made.attention_rows == attention_rows)
        return made;
    const VisionLayerWeights& weights = weights_.layers[index];
    const Scratch& s = *scratch_;
    const HeadShape shape = head_shape(v);
    const float query_scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
    const Activation stream = s.stream.first(rows), normed = s.normed.first(rows);

    Recorder attention(device_, "vision attention");
    ops_.layer_norm.record(attention, stream, weights.norm1, weights.norm1_bias, normed, v.norm_eps);
    record_slices(attention, rows, product_rows, [&](uint32_t first, uint32_t some) {
        ops_.linear.record(attention, weights.qkv_proj, weights.qkv_bias, normed.middle(first, some),
                           s.qkv.middle(first, some), Epilogue::bias);
    });
    attention.cut();
    ops_.rope_store.record(attention, s.qkv.first(rows), s.rows.slice(), nullptr, {}, shape, query_scale, 0,
                           s.q, s.kv);
    // Attention writes where its input's norm was: nobody reads that any more. It does not split its keys
    // here, so its scratch is only bound.
    for (uint32_t picture = 0; picture < count; ++picture) {
        if (picture > 0)
            attention.cut();
        record_slices(attention, patches, attention_rows, [&](uint32_t first, uint32_t some) {
            ops_.attention.record_prefill(attention, s.q, s.kv, s.rows.slice(), shape, 0, normed,
                                          {s.pooled.slice, s.pooled.slice}, picture * patches + first, some);
        });
    }
    Recorder mlp(device_, "vision mlp");
    record_slices(mlp, rows, product_rows, [&](uint32_t first, uint32_t some) {
        ops_.linear.record(mlp, weights.out_proj, weights.out_bias, normed.middle(first, some),
                           stream.middle(first, some), Epilogue::bias_add);
    });
    mlp.cut();
    ops_.layer_norm.record(mlp, stream, weights.norm2, weights.norm2_bias, normed, v.norm_eps);
    record_slices(mlp, rows, product_rows, [&](uint32_t first, uint32_t some) {
        ops_.linear.record(mlp, weights.fc1, weights.fc1_bias, normed.middle(first, some),
                           s.hidden.middle(first, some), Epilogue::bias_gelu);
    });
    mlp.cut();
    record_slices(mlp, rows, product_rows, [&](uint32_t first, uint32_t some) {
        ops_.linear.record(mlp, weights.fc2, weights.fc2_bias, s.hidden.middle(first, some),
                           stream.middle(first, some), Epilogue::bias_add);
    });
    made = {.attention = attention.finish(),
            .mlp = mlp.finish(),
            .product_rows = product_rows,
            .attention_rows = attention_rows,
            .product_slices = (rows + product_rows - 1) / product_rows};
    return made;
}

// Lets the slices of the layers to come follow what those of this one took. first: nothing like it had run
// before, so that the driver may have spent the time with compiling.
void Vision::measured(const Layer& layer, bool first) {
    const std::span<const double> attention = layer.attention.slice_seconds();
    const std::span<const double> mlp = layer.mlp.slice_seconds();
    product_pace_.measured(layer.product_rows,
                           std::max(std::ranges::max(attention.first(layer.product_slices)),
                                    std::ranges::max(mlp)),
                           first);
    attention_pace_.measured(layer.attention_rows,
                             std::ranges::max(attention.subspan(layer.product_slices)), first);
}

uint32_t Vision::steps_per_batch() const {
    return 3 + 2 * config_.vision->num_layers;
}

// As many as there are results. preprocess: brings the pixels of one into its place.
void Vision::encode_batch(const Preprocess& preprocess, std::span<EncodedPicture* const> results,
                          const EncodeOptions& options, uint32_t done, uint32_t total) {
    const auto count = static_cast<uint32_t>(results.size());
    const Scratch& s = *scratch_;
    const VisionConfig& v = *config_.vision;
    const auto step = [&] {
        if (options.progress)
            options.progress(++done, total);
        if (options.cancelled && options.cancelled())
            fail(Fault::cancelled, "Encoding the picture is stopped on request.");
    };
    const auto trace = [&](const char* stage, const Activation& result) {
        if (options.trace)
            options.trace(stage, result);
    };
    const auto run = [&](Plan& plan, double& seconds) {
        plan.run(options.cancelled);
        seconds += plan.gpu_seconds();
        step();
    };

    for (uint32_t i = 0; i < count; ++i)
        preprocess(i);
    const uint32_t plane = v.image_size * v.image_size;
    trace("pixels", {s.pixels.slice(), count * 3, plane, plane});
    step();
    Plans& work = plans(count);
    const Activation stream = s.stream.first(count * v.patches());
    run(work.patch_embed, seconds_.patch_embed);
    trace("patch_embed", stream);
    for (size_t i = 0; i < work.layers.size(); ++i) {
        Layer& each = layer(work, count, i, options);
        run(each.attention, seconds_.attention);
        run(each.mlp, seconds_.mlp);
        measured(each, i == 0);
        trace("layer", stream);
    }
    const uint32_t soft_rows = config_.mm_tokens_per_image;
    run(work.projector, seconds_.projector);
    trace("out", s.normed.first(count * v.patches()));
    trace("pooled", s.pooled.first(count * soft_rows));
    trace("soft_tokens", s.soft.first(count * soft_rows));

    // To the host, without the padding of rows.
    const uint32_t cols = config_.hidden_size, stride = s.soft.stride;
    std::vector<float> rows(size_t{soft_rows} * stride);
    for (uint32_t i = 0; i < count; ++i) {
        read(device_, s.soft.middle(i * soft_rows, soft_rows).slice, std::as_writable_bytes(std::span(rows)));
        std::vector<float>& tokens = results[i]->soft_tokens;
        for (uint32_t r = 0; r < soft_rows; ++r)
            tokens.insert(tokens.end(), &rows[size_t{r} * stride], &rows[size_t{r} * stride] + cols);
    }
}

std::vector<PictureRef> Vision::encode(std::span<const Picture> pictures,
                                       const EncodeOptions& options) {
    std::vector<PictureRef> results(pictures.size());
    std::vector<const Picture*> missing;
    std::vector<std::shared_ptr<EncodedPicture>> made;
    for (size_t i = 0; i < pictures.size(); ++i) {
        const std::array<uint64_t, 2> hash = content_hash(pictures[i]);
        results[i] = store_.find(hash);
        for (const auto& picture : made)  // the same picture twice in one call
            if (picture->hash == hash)
                results[i] = picture;
        if (results[i])
            continue;
        made.push_back(std::make_shared<EncodedPicture>());
        made.back()->id = store_.next_id();
        made.back()->hash = hash;
        results[i] = made.back();
        missing.push_back(&pictures[i]);
    }
    if (missing.empty())
        return results;

    seconds_ = {};
    const size_t together = scratch_->pictures;
    const auto batches = static_cast<uint32_t>((missing.size() + together - 1) / together);
    for (uint32_t batch = 0; batch < batches; ++batch) {
        const size_t first = batch * together, count = std::min(together, missing.size() - first);
        std::vector<EncodedPicture*> targets;
        for (size_t i = 0; i < count; ++i)
            targets.push_back(made[first + i].get());
        encode_batch([&](uint32_t slot) { preprocess(*missing[first + slot], slot); }, targets, options,
                     batch * steps_per_batch(), batches * steps_per_batch());
    }
    store_.add(made);
    return results;
}

PictureRef Vision::encode(const DevicePicture& picture, const EncodeOptions& options) {
    const auto made = std::make_shared<EncodedPicture>();
    made->id = store_.next_id();
    seconds_ = {};
    EncodedPicture* const target = made.get();
    encode_batch([&](uint32_t slot) { preprocess(picture, slot); }, {&target, 1}, options, 0,
                 steps_per_batch());
    made->hash = content_hash(made->soft_tokens);
    store_.add({&made, 1});
    return made;
}

}  // namespace olivine
