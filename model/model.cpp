#include "model/model.h"

#include <algorithm>

#include "engine/error.h"
#include "model/context.h"

namespace olivine {
namespace {

RopeTable rope_table(Device& device, const Config& config, bool global) {
    // A longer context than the model's own may be asked for.
    return global ? RopeTable(device, config.head_dim, config.rope_theta_global, config.rope_factor_global,
                              kMostPositions)
                  : RopeTable(device, config.head_dim, config.rope_theta_local, 1.0, kMostPositions);
}

}  // namespace

Model::Model(Device& device, const Checkpoint& checkpoint, const ModelOptions& options)
    : device_(device), ops_(device), config_(checkpoint.config()), checkpoint_(&checkpoint),
      check_(options.check),
      weights_(load_weights(device, checkpoint, options.progress)),
      rope_global_(rope_table(device, config_, true)),
      rope_local_(rope_table(device, config_, false)) {
    if (check_)
        check_device(device_, config_, weights_, *check_);
}

Model::Model(Device& device, const Config& config, DataType type, const ModelOptions& options)
    : device_(device), ops_(device), config_(config), random_type_(type), check_(options.check),
      weights_(random_weights(device, ops_, config, type)),
      rope_global_(rope_table(device, config_, true)),
      rope_local_(rope_table(device, config_, false)) {
    if (check_)
        check_device(device_, config_, weights_, *check_);
}

Vision& Model::vision(const Progress& progress) {
    if (!config_.vision)
        fail(Fault::bad_input, "The model has no picture encoder: it reads text only.");
    if (!vision_) {
        VisionWeights weights =
            checkpoint_ ? load_vision_weights(device_, *checkpoint_, progress)
                        : random_vision_weights(device_, ops_, config_, random_type_);
        if (check_)
            check_device(device_, config_, weights, *check_);
        vision_ = std::make_unique<Vision>(device_, ops_, config_, std::move(weights));
    }
    return *vision_;
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
