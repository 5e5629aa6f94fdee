// A model on a device, and the lowest of the three doors: tokens in, logits out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/ops/ops.h"
#include "engine/remade.h"
#include "model/callbacks.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/device_check.h"
#include "model/picture_store.h"
#include "model/residency.h"
#include "model/sizes.h"
#include "model/vision.h"
#include "model/weight_loader.h"
#include "model/weights.h"

namespace olivine {

class Context;

struct ModelOptions {
    // What the device must have room for besides the weights: if that is not so, as many of them as
    // are too much are kept by the host and streamed in every pass (model/residency.h).
    ContextOptions context;
    bool pictures = false;  // and for the picture encoder, which else finds room when it comes
    uint64_t others = 0;    // and bytes of what else is to come, such as another model
    Progress progress;  // while loading; runs no model
    // The constructor reads no matrices: the first pass does, each layer while the one before it
    // runs, and `progress` is told until then. Not where weights are streamed, or where there is no
    // room for copies on their way.
    bool as_needed = false;
    std::optional<DeviceCheck> check;  // none: the device is trusted, and rungs are the best it has
};

// Is made anew, from the same checkpoint, when its device is (Device::surviving).
class Model {
public:
    // Loads a checkpoint. Device and checkpoint outlive the model.
    // Throws bad_file, unsupported, out_of_memory, device_lost, cancelled; with as_needed, so does
    // whatever runs the model until all of it is there (to a Generator it is a stop).
    Model(Device& device, const Checkpoint& checkpoint, const ModelOptions& options = {});
    // A random model of a published size, made on the device.
    Model(Device& device, const Config& config, DataType type, const ModelOptions& options = {});

    // How much device memory may be taken from now on. Less of it makes resident weights streamed
    // ones, more the reverse; contexts then record anew, and what is drawn stays the same. To be
    // called between steps, also from a Generator's on_token. Throws out_of_memory with all numbers
    // when even streaming does not fit, leaving everything as it was; out_of_memory or device_lost
    // when the driver fails: then the model does not run, and says so by the same fault, until the
    // device is made anew.
    void set_budget(uint64_t bytes);
    // The context that set_budget() leaves room for from now on: as ModelOptions::context.
    void set_context(const ContextOptions& context);
    const Residency& residency() const { return residency_; }
    // Null where everything is resident.
    WeightStream* stream() { return parts_->stream.get(); }
    // Goes up when weights have moved, or all of them are there: plans recorded before are void.
    // Throws what has kept them from moving or arriving.
    uint32_t generation();
    // Groups of weights that have not been read yet; read_all() reads them. Throws what loading
    // throws.
    uint32_t unread() const { return parts_->loader ? parts_->loader->unread() : 0; }
    void read_all();

    Device& device() const { return device_; }
    Ops& ops() { return parts_->ops; }
    const Config& config() const { return config_; }
    const Weights& weights() const { return parts_->weights; }
    // The picture encoder, loaded when it is first asked for; `progress` is told then. Throws
    // bad_input for a model without one, and what loading throws. Stays until the device is lost.
    bool has_vision() const { return config_.vision.has_value(); }
    Vision& vision(const Progress& progress = {});
    // Vision::encode, again where the device is lost in between.
    std::vector<PictureRef> encode(std::span<const Picture> pictures, const EncodeOptions& options = {});
    PictureRef encode(const DevicePicture& picture, const EncodeOptions& options = {});
    // Those that have been encoded.
    PictureStore& pictures() { return pictures_; }
    // Checkpoint::name() and fingerprint(); of a random model "random" and nothing.
    std::string name() const;
    std::string fingerprint() const;
    // Positions that a context may have.
    uint32_t most_positions() const { return rope_positions(config_, context_); }
    // Sines for one kind of layer.
    const RopeTable& rope(bool global) const { return global ? parts_->rope_global : parts_->rope_local; }

    // Runs `tokens` after what the sequence holds. Returns the logits of all of them
    // [tokens][vocab], row i predicting the token after tokens[i], or of the last one only.
    // chunk: tokens that run together, 0 = the context's max_chunk.
    // A soft token of an encoded picture is its (negative) id, as in Context::prefill.
    // Throws bad_input (an id outside the vocabulary; more tokens than the context has room for, with
    // both numbers; nothing has run then), device_lost, out_of_memory, cancelled.
    std::vector<float> forward(Context& context, uint32_t sequence, std::span<const int32_t> tokens,
                               bool last_only, uint32_t chunk = 0, const Cancelled& cancelled = {});

private:
    // What lives on the device.
    struct Parts {
        // Of random weights; then of a checkpoint's, which the loader may still have to read.
        Parts(Device& device, const Config& config, DataType random_type, uint32_t positions,
              const Residency& residency);
        Parts(Device& device, const Checkpoint& checkpoint, uint32_t positions,
              const Residency& residency, const Progress& progress);
        Parts(const Parts&) = delete;
        Parts& operator=(const Parts&) = delete;
        void start_stream(Device& device, const Residency& residency);
        Ops ops;
        Weights weights;
        std::unique_ptr<WeightLoader> loader;  // until all weights are there
        std::unique_ptr<WeightStream> stream;
        RopeTable rope_global, rope_local;
        std::unique_ptr<Vision> vision;
    };
    Model(Device& device, const Config& config, const Checkpoint* checkpoint, DataType random_type,
          const ModelBytes& bytes, const ModelOptions& options);
    void make_parts(std::optional<Parts>& parts);
    void fit(uint64_t budget, uint64_t others);

    Device& device_;
    Config config_;
    const Checkpoint* checkpoint_;  // null: random weights
    DataType random_type_;
    std::optional<DeviceCheck> check_;
    bool as_needed_;
    ModelBytes bytes_;
    ContextOptions context_;
    bool with_pictures_;  // the encoder is among the others
    uint64_t others_;     // device bytes besides the model's and its context's
    Residency residency_;
    Fault broken_by_ = Fault::internal;  // while residency_ does not fit
    uint32_t generation_ = 0;
    PictureStore pictures_;
    Progress progress_;  // while the first parts are loaded
    Remade<Parts> parts_;
};

}  // namespace olivine
