#include "engine/upload.h"

#include <utility>

namespace olivine {

Uploader::Uploader(Device& device) : device_(device) {}

std::span<std::byte> Uploader::stage(const Slice& to) {
    submit();
    if (to.buffer->mapped())
        return {to.buffer->mapped() + to.offset, to.bytes};
    lane_ = (lane_ + 1) % lanes_.size();
    Lane& lane = lanes_[lane_];
    if (lane.plan)
        lane.plan.wait(lane.value);
    if (lane.staging.bytes() < to.bytes) {
        lane.plan = {};
        lane.staging = {};  // before the next, which the budget may not have room for beside it
        lane.staging = Buffer(device_, Arena::staging, to.bytes, HostAccess::mapped);
    }
    pending_ = to;
    return {lane.staging.mapped(), to.bytes};
}

void Uploader::submit() {
    if (!pending_.buffer)
        return;
    const Slice to = std::exchange(pending_, {});
    Lane& lane = lanes_[lane_];
    Recorder recorder(device_, "upload");
    recorder.copy(lane.staging.slice(0, to.bytes), to);
    lane.plan = recorder.finish();
    lane.value = lane.plan.submit();
}

void Uploader::flush() {
    submit();
    for (Lane& lane : lanes_)
        if (lane.plan)
            lane.plan.wait(lane.value);
}

}  // namespace olivine
