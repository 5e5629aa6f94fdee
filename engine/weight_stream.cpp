#include "engine/weight_stream.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <string>

#include "engine/trace.h"

namespace olivine {
namespace {

constexpr uint64_t kAlignment = 256;  // of pieces in a slot: every device's divides it
constexpr uint64_t kSplitBytes = 32 * kAlignment;  // where the device binds matrices in pieces

uint64_t padded(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Of a lane. Longer copies are not faster over PCIe; of small groups, much would be staging.
uint64_t lane_bytes(uint64_t largest_group) {
    constexpr uint64_t kMost = 4u << 20;
    return std::clamp(largest_group / 4 / kAlignment * kAlignment, kAlignment, kMost);
}

}  // namespace

uint64_t WeightStream::device_bytes(uint64_t largest_group) {
    const uint64_t slot = largest_group + kSplitBytes;
    return 2 * (slot + lane_bytes(slot));
}

WeightStream::WeightStream(Device& device, std::span<const std::vector<StreamedPiece>> groups)
    : device_(device), uploader_(device) {
    // Where each piece lies in its slot.
    struct Place {
        size_t buffer;
        uint64_t offset, bytes;
    };
    std::vector<std::vector<Place>> places;
    std::array<std::vector<uint64_t>, 2> sizes;  // of the slots' buffers
    for (const std::vector<StreamedPiece>& group : groups) {
        std::vector<uint64_t>& size = sizes[places.size() % 2];
        std::vector<Place>& at = places.emplace_back();
        size_t buffer = 0;
        uint64_t offset = 0;
        for (const StreamedPiece& each : group) {
            const uint64_t bytes = each.matrix->device_bytes(each.piece);
            if (offset > 0 && offset + bytes > device.capabilities().max_buffer_bytes) {
                ++buffer;
                offset = 0;
            }
            size.resize(std::max(size.size(), buffer + 1));
            size[buffer] = std::max(size[buffer], offset + bytes);
            at.push_back({buffer, offset, bytes});
            offset += padded(bytes);
        }
    }
    for (size_t slot = 0; slot < slots_.size(); ++slot)
        for (const uint64_t bytes : sizes[slot])
            slots_[slot].buffers.emplace_back(device, Arena::weights, bytes);
    const bool mapped = std::ranges::all_of(slots_, [](const Slot& slot) {
        return std::ranges::all_of(slot.buffers, &Buffer::mapped);
    });
    uint64_t staging = 0;
    for (const std::vector<uint64_t>& size : sizes)
        staging =
            std::max(staging, lane_bytes(std::accumulate(size.begin(), size.end(), uint64_t{0})));
    if (!mapped)
        uploader_.reserve(staging);

    groups_.reserve(groups.size());  // pieces point at them
    for (uint32_t g = 0; g < groups.size(); ++g) {
        groups_.push_back({this, g});
        std::vector<Copy>& copies = copies_.emplace_back();
        for (size_t i = 0; i < groups[g].size(); ++i) {
            const auto& [matrix, piece] = groups[g][i];
            const auto& [buffer, offset, bytes] = places[g][i];
            const Slice to = slots_[g % 2].buffers[buffer].slice(offset, bytes);
            matrix->lend(piece, to, &groups_.back());
            const uint64_t each = mapped ? bytes : staging;
            for (uint64_t done = 0; done < bytes; done += each) {
                const uint64_t count = std::min(each, bytes - done);
                copies.push_back({matrix->image(piece).subspan(done, count),
                                  {to.buffer, to.offset + done, count}});
            }
        }
    }
}

bool WeightStream::fetch(const WeightGroup& group) {
    Slot& slot = slots_[group.index % 2];
    if (slot.holds == &group)
        return false;
    const std::shared_ptr<Trace>& trace = device_.trace();
    const double begin = trace ? trace->now() : 0;
    slot.holds = nullptr;  // if a copy fails
    for (const Copy& part : copies_[group.index]) {
        const std::span<std::byte> to = uploader_.stage(part.to, slot.last_reader);
        std::memcpy(to.data(), part.from.data(), to.size());  // std::copy goes byte by byte here
        bytes_copied_ += part.from.size();
    }
    groups_[group.index].copy = uploader_.submit();
    slot.holds = &group;
    if (trace)
        trace->host("stream group " + std::to_string(group.index), begin);
    return true;
}

bool WeightStream::prefetch(const WeightGroup& group, const WeightGroup* now) {
    const auto in_use = [&](uint32_t slot) {
        return now && now->source == this && now->index % 2 == slot;
    };
    const uint32_t slot = group.index % 2;
    if (in_use(slot))
        return false;
    if (fetch(group))
        return true;
    // The one behind it, while the slice needs neither slot.
    return group.index + 1 < groups_.size() && !in_use(1 - slot) && fetch(groups_[group.index + 1]);
}

void WeightStream::used(const WeightGroup& group, uint64_t value) {
    slots_[group.index % 2].last_reader = value;
}

double WeightStream::pass_seconds() {
    device_.wait_idle();
    const auto begin = std::chrono::steady_clock::now();
    for (const WeightGroup& group : groups_)
        fetch(group);
    device_.wait_idle();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace olivine
