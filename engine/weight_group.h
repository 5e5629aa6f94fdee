// Weights that a slice of a plan cannot do without, and who brings them.
#pragma once

#include <cstdint>

namespace olivine {

class WeightSource;

// What the dispatches of a slice need together. Recorder::need() names it by its address.
struct WeightGroup {
    WeightSource* source;
    uint32_t index;     // in the order of a pass
    uint64_t copy = 0;  // that brings it, once it has been fetched: see Uploader::submit()
};

// Plan::run() asks it for groups. All of these throw device_lost, and what reading a file throws.
class WeightSource {
public:
    WeightSource() = default;
    WeightSource(const WeightSource&) = delete;
    WeightSource& operator=(const WeightSource&) = delete;
    virtual ~WeightSource() = default;

    // Returns when what is submitted behind the group's copy finds it in its place, and whether
    // that took any work.
    virtual bool fetch(const WeightGroup& group) = 0;
    // The same ahead of time, while a slice that needs `now` (or null) runs; may do nothing, or
    // fetch another one that comes later.
    virtual bool prefetch(const WeightGroup& group, const WeightGroup* now) = 0;
    // The submission with this timeline value reads the group, which stays in its place until it is
    // done.
    virtual void used(const WeightGroup& group, uint64_t value) = 0;
};

}  // namespace olivine
