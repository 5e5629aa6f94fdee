#include "model/model.h"

#include <algorithm>

#include "engine/error.h"
#include "model/context.h"

namespace olivine {
namespace {

RopeTable rope_table(Device& device, const Config& config, bool global) {
    // Beyond the model's own positions the table is still right, so a longer context may be asked for.
    constexpr uint32_t kLeast = 32768;
    return global ? RopeTable(device, config.head_dim, config.rope_theta_global,
                              config.rope_factor_global, std::max(config.max_positions, kLeast))
                  : RopeTable(device, config.head_dim, config.rope_theta_local, 1.0,
                              std::max(config.max_positions, kLeast));
}

}  // namespace

Model::Parts::Parts(Device& device, const Config& config, const Checkpoint* checkpoint,
                    DataType random_type, const Progress& progress)
    : ops(device),
      weights(checkpoint ? load_weights(device, *checkpoint, progress)
                         : random_weights(device, ops, config, random_type)),
      rope_global(rope_table(device, config, true)),
      rope_local(rope_table(device, config, false)) {}

Model::Model(Device& device, const Config& config, const Checkpoint* checkpoint, DataType random_type,
             const ModelOptions& options)
    : device_(device), config_(config), checkpoint_(checkpoint), random_type_(random_type),
      check_(options.check), progress_(options.progress),
      parts_(device, [this](std::optional<Parts>& parts) {
          parts.emplace(device_, config_, checkpoint_, random_type_, progress_);
      }) {
    progress_ = {};
    if (check_)
        device_.surviving([this] { check_device(device_, config_, parts_->weights, *check_); });
}

Model::Model(Device& device, const Checkpoint& checkpoint, const ModelOptions& options)
    : Model(device, checkpoint.config(), &checkpoint, DataType::f32, options) {}

Model::Model(Device& device, const Config& config, DataType type, const ModelOptions& options)
    : Model(device, config, nullptr, type, options) {}

Vision& Model::vision(const Progress& progress) {
    if (!config_.vision)
        fail(Fault::bad_input, "The model has no picture encoder: it reads text only.");
    device_.surviving([&] {
        if (parts_->vision)
            return;
        VisionWeights weights =
            checkpoint_ ? load_vision_weights(device_, *checkpoint_, progress)
                        : random_vision_weights(device_, parts_->ops, config_, random_type_);
        if (check_)
            check_device(device_, config_, weights, *check_);
        parts_->vision =
            std::make_unique<Vision>(device_, parts_->ops, config_, std::move(weights), pictures_);
    });
    return *parts_->vision;
}

std::vector<PictureRef> Model::encode(std::span<const Picture> pictures, const EncodeOptions& options) {
    return device_.surviving([&] { return vision().encode(pictures, options); });
}

std::vector<float> Model::forward(Context& context, uint32_t sequence,
                                  std::span<const int32_t> tokens, bool last_only, uint32_t chunk,
                                  const Cancelled& cancelled) {
    const size_t vocab = config_.vocab_size;
    const size_t held = context.tokens(sequence).size();
    if (tokens.size() > context.context() - held)
        fail(Fault::bad_input,
             "The prompt has %zu tokens (%zu of the context's %u positions are left).", tokens.size(),
             context.context() - held, context.context());
    context.check(tokens);
    const uint32_t most =
        chunk > 0 ? std::min(chunk, context.max_chunk()) : context.max_chunk();
    std::vector<float> logits((last_only ? std::min<size_t>(tokens.size(), 1) : tokens.size()) *
                              vocab);
    uint32_t count = 0;
    for (size_t done = 0; done < tokens.size(); done += count) {
        count = context.chunk_at(tokens.subspan(done), most);
        const bool final_chunk = done + count == tokens.size();
        context.prefill(sequence, tokens.subspan(done, count), false, cancelled);
        if (last_only && !final_chunk)
            continue;
        const uint32_t begin = last_only ? count - 1 : 0;
        for (uint32_t first = begin; first < count; first += Context::kHeadRows) {
            const uint32_t rows = std::min(Context::kHeadRows, count - first);
            context.head(first, rows);
            const size_t to = last_only ? 0 : done + first;
            context.read_logits(0, rows, std::span(logits).subspan(to * vocab, rows * vocab));
        }
    }
    return logits;
}

}  // namespace olivine
