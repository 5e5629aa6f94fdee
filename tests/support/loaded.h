// A model of the goldens on the device.
#pragma once

#include <memory>
#include <string>

#include "model/model.h"

namespace olivine::test {

struct Loaded {
    explicit Loaded(const std::string& folder)
        : checkpoint(Checkpoint::open(folder)), model(device, *checkpoint) {}
    Device device;
    std::shared_ptr<Checkpoint> checkpoint;
    Model model;
};

}  // namespace olivine::test
