// Pictures into soft tokens: SigLIP and the projector of Gemma 3, on the device.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/recorder.h"
#include "model/callbacks.h"
#include "model/pace.h"
#include "model/picture.h"
#include "model/picture_store.h"
#include "model/vision_weights.h"

namespace olivine {

// Device seconds of one picture's stages; zero where the device has no timestamps.
struct VisionSeconds {
    double preprocess = 0, patch_embed = 0, attention = 0, mlp = 0, projector = 0;
    double total() const { return preprocess + patch_embed + attention + mlp + projector; }
};

// A picture whose pixels are on the device: [height][width] words as those of Picture, red lowest, or
// blue where `begins_with_blue`. What stands in the top byte does not matter.
struct DevicePicture {
    uint32_t width = 0, height = 0;
    std::shared_ptr<const Buffer> pixels;
    bool begins_with_blue = false;
};

struct EncodeOptions {
    // Told after every slice of work on the pictures that were not known.
    std::function<void(uint32_t done, uint32_t total)> progress;
    Cancelled cancelled;
    // Patches that attention and matrix products run in one submission, a multiple of 64; 0 = as many as keep
    // it short, by the times of those before.
    uint32_t patches_a_slice = 0;
    // Sees intermediate results, for tests and tools: "pixels" [3][side * side] a picture,
    // "patch_embed", "layer" (once a layer), "out" [patches][E] a picture, "pooled", "soft_tokens".
    std::function<void(const char* stage, const Activation& result)> trace;
};

class Vision {
public:
    // The config must have vision. Device, ops and store outlive this.
    // Throws unsupported (a picture larger than the device can bind), out_of_memory, device_lost.
    // slice_seconds: of a submission, at most, where the work can be cut that far.
    Vision(Device& device, Ops& ops, const Config& config, VisionWeights weights, PictureStore& store,
           double slice_seconds = Pace::kSeconds);
    ~Vision();

    // Encodes pictures into the store, several at once where memory allows; those that it has are not
    // encoded again. Throws out_of_memory, device_lost, cancelled.
    std::vector<PictureRef> encode(std::span<const Picture> pictures,
                                   const EncodeOptions& options = {});

    // The same for one that never was with the host, and so may be encoded twice.
    PictureRef encode(const DevicePicture& picture, const EncodeOptions& options = {});

    uint32_t tokens_per_picture() const { return config_.mm_tokens_per_image; }
    // Of the last encode() that had something to do, all its pictures together.
    const VisionSeconds& seconds() const { return seconds_; }

    // Device bytes beside the weights while pictures are encoded one by one.
    static uint64_t scratch_bytes(const Config& config);

private:
    struct Plans;
    struct Scratch;
    using Preprocess = std::function<void(uint32_t slot)>;
    Buffer upload(std::span<const std::byte> bytes);
    template <typename Strip>
    void resize(uint32_t width, uint32_t height, bool begins_with_blue, uint32_t slot, const Strip& strip);
    void preprocess(const Picture& picture, uint32_t slot);
    void preprocess(const DevicePicture& picture, uint32_t slot);
    Plans& plans(uint32_t count);
    struct Layer;
    Layer& layer(Plans& plans, uint32_t count, size_t index, const EncodeOptions& options);
    void measured(const Layer& layer, bool first);
    void encode_batch(const Preprocess& preprocess, std::span<EncodedPicture* const> results,
                      const EncodeOptions& options, uint32_t done, uint32_t total);
    uint32_t steps_per_batch() const;

    Device& device_;
    Ops& ops_;
    Config config_;
    VisionWeights weights_;
    std::unique_ptr<Scratch> scratch_;
    std::map<uint32_t, std::unique_ptr<Plans>> plans_;  // by pictures in a batch
    VisionSeconds seconds_;
    Pace product_pace_, attention_pace_;
    PictureStore& store_;
};

}  // namespace olivine
