#include "model/model.h"

#include <algorithm>
#include <utility>

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

Model::Model(Device& device, const Config& config, const ModelBytes& bytes,
             const ModelOptions& options)
    : device_(device),
      ops_(device),
      config_(config),
      check_(options.check),
      bytes_(bytes),
      context_(options.context),
      pictures_(options.pictures),
      others_(options.others + (pictures_ ? bytes.vision : 0) + device.bytes_now()),
      residency_(olivine::residency(config_, bytes_, context_, device.budget_bytes(), others_)) {
    require_fit(residency_, bytes_, device.budget_bytes(), others_);
}

Model::Model(Device& device, const Checkpoint& checkpoint, const ModelOptions& options)
    : Model(device, checkpoint.config(), model_bytes(checkpoint, options.context), options) {
    checkpoint_ = &checkpoint;
    weights_ = load_weights(device, checkpoint, residency_, options.progress);
    finish_loading();
}

Model::Model(Device& device, const Config& config, DataType type, const ModelOptions& options)
    : Model(device, config, model_bytes(config, type, options.context), options) {
    random_type_ = type;
    weights_ = random_weights(device, ops_, config, type, residency_);
    finish_loading();
}

void Model::finish_loading() {
    rope_global_ = rope_table(device_, config_, true);
    rope_local_ = rope_table(device_, config_, false);
    start_stream();
    if (check_)
        check_device(device_, config_, weights_, *check_);
}

void Model::start_stream() {
    if (residency_.streams)
        stream_ = std::make_unique<WeightStream>(device_, weights_.groups(residency_));
}

void Model::set_budget(uint64_t bytes) {
    fit(bytes, others_);
}

void Model::fit(uint64_t bytes, uint64_t others) {
    // What others have taken by now may be more than was said they would.
    const uint64_t mine =
        residency_.resident_bytes + residency_.extra_bytes + bytes_.kv + bytes_.scratch;
    others = std::max(others, device_.bytes_now() - std::min(mine, device_.bytes_now()));
    const Residency next = olivine::residency(config_, bytes_, context_, bytes, others);
    require_fit(next, bytes_, bytes, others);
    if (bytes > device_.budget_bytes())
        device_.set_budget(bytes);
    if (next.layers != residency_.layers || next.head_rows != residency_.head_rows ||
        next.streams != residency_.streams) {
        weights_.make_images(device_, residency_, next);
        const Residency before = std::exchange(residency_, Residency{});
        stream_.reset();
        weights_.move(device_, before, next);
        residency_ = next;
        start_stream();
        ++generation_;
    }
    device_.set_budget(bytes);
}

uint32_t Model::generation() const {
    if (!residency_.fits)
        fail(Fault::internal,
             "The model's weights are not on the device: an earlier change of its budget "
             "has failed.");
    return generation_;
}

Vision& Model::vision(const Progress& progress) {
    if (!config_.vision)
        fail(Fault::bad_input, "The model has no picture encoder: it reads text only.");
    if (!vision_) {
        if (!pictures_) {
            fit(device_.budget_bytes(), others_ + bytes_.vision);
            others_ += bytes_.vision;
            pictures_ = true;
        }
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
