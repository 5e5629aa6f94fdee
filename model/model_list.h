// The models in a folder, for somebody to choose from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/file_source.h"

namespace olivine {

struct ListedModel {
    std::string name;            // "gemma-3-1b.gguf", or a folder's
    std::string path;            // for Checkpoint::open
    uint64_t weight_bytes = 0;   // of the text tensors in the files
    uint64_t device_bytes = 0;   // ModelBytes::total() for one sequence of the default context
    uint32_t max_positions = 0;  // longest context that it was made for
    bool pictures = false;       // whether it takes them
    std::string unusable;        // why Checkpoint::open refuses it; empty: it does not
};

// By name: the folder's GGUF files but those of picture encoders, and its folders with a
// config.json. Reads headers only, so vocabularies and weights may still be damaged. Throws
// bad_file when there is no such folder.
std::vector<ListedModel> list_models(const std::string& folder, const FileSource& files = disk());

}  // namespace olivine
