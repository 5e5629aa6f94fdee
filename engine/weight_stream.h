// Weights that the device has no room for: groups of them take turns in two slots, so that one is
// copied there while the other is computed with.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "engine/matrix.h"
#include "engine/weight_group.h"

namespace olivine {

// A piece of a matrix with Home::host.
struct StreamedPiece {
    Matrix* matrix;
    size_t piece;
};

class WeightStream final : public WeightSource {
public:
    // groups: in the order in which a pass needs them; even ones have the first slot, odd ones the
    // second. Allocates the slots, each for the largest group, and lends the pieces their place
    // there. Matrices may move, but their images must outlive the stream, and no plan may be run
    // with a stream that is gone. Throws out_of_memory.
    WeightStream(Device& device, std::span<const std::vector<StreamedPiece>> groups);

    bool fetch(const WeightGroup& group) override;
    // Nothing where both have one slot. Where the group is there and the other slot is free, too,
    // the next one.
    bool prefetch(const WeightGroup& group, const WeightGroup* now) override;
    void used(const WeightGroup& group, uint64_t value) override;

    uint64_t bytes_copied() const { return bytes_copied_; }  // so far
    // Copies all groups once, with nothing else to do, and says what it took: no pass can be
    // faster.
    double pass_seconds();

    // Device bytes for groups of which the largest has so many: the slots, and staging where device
    // memory is not the host's.
    static uint64_t device_bytes(uint64_t largest_group);

private:
    struct Copy {  // of a piece, or of part of one
        std::span<const std::byte> from;
        Slice to;
    };
    struct Slot {
        std::vector<Buffer> buffers;  // several where the device allocates none so large
        const WeightGroup* holds = nullptr;
        uint64_t last_reader = 0;  // timeline value
    };

    Device& device_;
    std::vector<WeightGroup> groups_;
    std::array<Slot, 2> slots_;
    Uploader uploader_;
    std::vector<std::vector<Copy>> copies_;  // of groups_
    uint64_t bytes_copied_ = 0;
};

}  // namespace olivine
