// A model of the goldens on the device.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "model/model.h"

namespace olivine::test {

struct Loaded {
    explicit Loaded(const std::string& folder)
        : checkpoint(Checkpoint::open(folder)), model(device, *checkpoint) {}
    Device device;
    std::shared_ptr<Checkpoint> checkpoint;
    Model model;
};

// Ids of the vocabulary, the same for the same seed.
inline std::vector<int32_t> random_ids(const Model& model, size_t count, uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<int32_t> ids(count);
    for (int32_t& id : ids)
        id = static_cast<int32_t>(random() % model.config().vocab_size);
    return ids;
}

}  // namespace olivine::test
