#include "model/model.h"

#include <algorithm>
#include <utility>

#include "engine/error.h"
#include "model/context.h"

namespace olivine {
namespace {

Progress until(const Cancelled& cancelled) {
    return [&cancelled](uint64_t, uint64_t) { return !(cancelled && cancelled()); };
}

RopeTable rope_table(Device& device, const Config& config, bool global, uint32_t positions) {
    return global ? RopeTable(device, config.head_dim, config.rope_theta_global, config.rope_factor_global,
                              positions)
                  : RopeTable(device, config.head_dim, config.rope_theta_local, 1.0, positions);
}

}  // namespace

Model::Parts::Parts(Device& device, const Config& config, DataType random_type, uint32_t positions,
                    const Residency& residency)
    : ops(device),
      weights(random_weights(device, ops, config, random_type, residency)),
      rope_global(rope_table(device, config, true, positions)),
      rope_local(rope_table(device, config, false, positions)) {
    start_stream(device, residency);
}

Model::Parts::Parts(Device& device, const Checkpoint& checkpoint, uint32_t positions,
                    const Residency& residency, const Progress& progress)
    : ops(device),
      loader(std::make_unique<WeightLoader>(device, checkpoint, residency, weights, progress)),
      rope_global(rope_table(device, checkpoint.config(), true, positions)),
      rope_local(rope_table(device, checkpoint.config(), false, positions)) {}

void Model::Parts::start_stream(Device& device, const Residency& residency) {
    if (residency.streams)
        stream = std::make_unique<WeightStream>(device, weights.groups(residency));
}

Model::Model(Device& device, const Config& config, const Checkpoint* checkpoint, DataType random_type,
             const ModelBytes& bytes, const ModelOptions& options)
    : device_(device), config_(config), checkpoint_(checkpoint), random_type_(random_type),
      check_(options.check), as_needed_(options.as_needed), bytes_(bytes), context_(options.context), with_pictures_(options.pictures),
      others_(options.others + (with_pictures_ ? bytes.vision : 0) + device.bytes_now()),
      progress_(options.progress),
      parts_(device, [this](std::optional<Parts>& parts) { make_parts(parts); }) {
    progress_ = {};
    if (check_)
        device_.surviving([this] { check_device(device_, config_, parts_->weights, *check_); });
}

void Model::make_parts(std::optional<Parts>& parts) {
    if (!residency_.fits) {  // the first, or after a change of the budget that has failed
        const Residency fresh =
            olivine::residency(config_, bytes_, context_, device_.budget_bytes(), others_);
        require_fit(fresh, bytes_, device_.budget_bytes(), others_);
        residency_ = fresh;
    }
    const uint32_t positions = rope_positions(config_, context_);
    ++generation_;
    if (!checkpoint_) {
        parts.emplace(device_, config_, random_type_, positions, residency_);
        return;
    }
    parts.emplace(device_, *checkpoint_, positions, residency_, progress_);
    try {
        WeightLoader& loader = *parts->loader;
        if (as_needed_ && !residency_.streams &&
            bytes_.total() + others_ + loader.staging_bytes() <= device_.budget_bytes()) {
            loader.reserve_staging();
            return;
        }
        loader.finish();
        parts->loader.reset();
        parts->start_stream(device_, residency_);
    } catch (...) {
        parts.reset();  // nobody shall find half of it
        throw;
    }
}

Model::Model(Device& device, const Checkpoint& checkpoint, const ModelOptions& options)
    : Model(device, checkpoint.config(), &checkpoint, DataType::f32, model_bytes(checkpoint, options.context),
            options) {}

Model::Model(Device& device, const Config& config, DataType type, const ModelOptions& options)
    : Model(device, config, nullptr, type, model_bytes(config, type, options.context), options) {}

void Model::set_budget(uint64_t bytes) {
    fit(bytes, others_);
}

void Model::set_context(const ContextOptions& context) {
    context_ = context;
    bytes_ = model_bytes(bytes_, config_, context);
}

void Model::fit(uint64_t bytes, uint64_t others) {
    generation();  // throws after a change that has failed
    read_all();
    bytes = std::min(bytes, device_.info().free_bytes);
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
        parts_->weights.make_images(device_, residency_, next);
        const Residency before = std::exchange(residency_, Residency{});
        try {
            parts_->stream.reset();
            parts_->weights.move(device_, before, next);
            parts_->start_stream(device_, next);
        } catch (const Error& error) {  // which whoever runs the model from now on is told again
            broken_by_ = error.fault();
            throw;
        }
        residency_ = next;
        ++generation_;
    }
    device_.set_budget(bytes);
}

void Model::read_all() {
    if (!parts_->loader)
        return;
    parts_->loader->finish();
    parts_->loader.reset();
    ++generation_;
}

uint32_t Model::generation() {
    if (!residency_.fits)
        fail(broken_by_,
             "The model's weights are not on the device: an earlier change of its budget has failed.");
    if (parts_->loader && unread() == 0)
        read_all();
    return generation_;
}

Vision& Model::vision(const Progress& progress) {
    if (!config_.vision)
        fail(Fault::bad_input, "The model has no picture encoder: it reads text only.");
    device_.surviving([&] {
        if (parts_->vision)
            return;
        if (!with_pictures_) {
            fit(device_.budget_bytes(), others_ + bytes_.vision);
            others_ += bytes_.vision;
            with_pictures_ = true;
        }
        VisionWeights weights =
            checkpoint_ ? load_vision_weights(device_, *checkpoint_, progress)
                        : random_vision_weights(device_, parts_->ops, config_, random_type_);
        if (check_)
            check_device(device_, config_, weights, *check_);
        parts_->vision =
            std::make_unique<Vision>(device_, parts_->ops, config_, std::move(weights), pictures_,
                                     context_.slice_seconds);
    });
    return *parts_->vision;
}

std::vector<PictureRef> Model::encode(std::span<const Picture> pictures, const EncodeOptions& options) {
    return device_.surviving([&] { return vision(until(options.cancelled)).encode(pictures, options); });
}

PictureRef Model::encode(const DevicePicture& picture, const EncodeOptions& options) {
    return device_.surviving([&] { return vision(until(options.cancelled)).encode(picture, options); });
}

std::string Model::name() const { return checkpoint_ ? checkpoint_->name() : "random"; }
std::string Model::fingerprint() const { return checkpoint_ ? checkpoint_->fingerprint() : ""; }

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
