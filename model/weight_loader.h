// Reads a model's weights from a checkpoint: all at once, or layer by layer as a pass needs them.
#pragma once

#include <vector>

#include "engine/weight_group.h"
#include "model/tensor_loader.h"
#include "model/weights.h"

namespace olivine {

class WeightLoader final : public WeightSource {
public:
    // Makes room for every matrix of `weights`, which stays where it is, and reads the norms. Plans
    // that are recorded before finish() ask for matrices in groups: the embedding, each layer, a
    // head of its own. Reading a group overlaps what the device is doing. progress: also of all later
    // reading. Throws bad_file, out_of_memory, device_lost, cancelled.
    WeightLoader(Device& device, const Checkpoint& checkpoint, const Residency& residency,
                 Weights& weights, Progress progress);

    // What reading throws leaves the group to be read again.
    bool fetch(const WeightGroup& group) override;
    bool prefetch(const WeightGroup& group, const WeightGroup* now) override;
    void used(const WeightGroup&, uint64_t) override {}

    uint32_t unread() const { return static_cast<uint32_t>(groups_.size() - next_); }  // groups
    // Device bytes that copies take on their way, if reading overlaps passes; and takes them now.
    uint64_t staging_bytes() const;
    void reserve_staging();
    // Reads what has not been, and returns when everything is there: plans that are recorded from
    // now on ask for nothing. To be called once.
    void finish();

private:
    // A matrix and what its rows are made of.
    struct Task {
        Matrix* matrix;
        std::vector<const TensorInfo*> tensors;
        RowOrder order;
    };
    void make_room();
    void read_norms();
    void read_next();

    const Checkpoint& checkpoint_;
    Residency residency_;
    Weights& weights_;
    TensorLoader loader_;
    std::vector<std::vector<Task>> tasks_;  // of groups_
    std::vector<WeightGroup> groups_;       // pieces point at them
    size_t next_ = 0;                       // group to be read
};

}  // namespace olivine
