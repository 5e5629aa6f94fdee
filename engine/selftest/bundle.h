// A failed case as a folder that stands alone: bundle.json and what it names, SPIR-V and buffers.
#pragma once

#include <string>

#include "engine/selftest/scene.h"
#include "engine/selftest/selftest.h"

namespace olivine::selftest {

// Writes a new folder below `parent` and returns its path:
//
//   bundle.json      op, case, variant, seed, device, driver, reason, command to repeat it;
//                    buffers: bytes; inputs: where; outputs: where, and rows, cols, stride, bar;
//                    dispatches: shader, threads, constants, push constants, grid, bindings
//   <shader>.spv     as the pipeline was made from
//   <n>.before       a buffer's bytes before the run
//   <n>.got          an output's bytes after it
//   <n>.want         what was expected: doubles, or words where they must be equal
//
// Throws bad_input when the folder cannot be written.
std::string write_bundle(const std::string& parent, Scene& scene, const Outcome& outcome,
                         const Measured& measured, uint32_t seed);

// A bundle read back, with its buffers on a device.
class Bundle {
public:
    // Throws bad_file, out_of_memory.
    Bundle(Device& device, const std::string& folder);

    // Runs it twice, with the shaders of the device's folder if it has one. Says whether what was wrong
    // still is.
    Outcome run();

private:
    Device& device_;
    Outcome outcome_;
    std::string beside() const;

    std::vector<std::unique_ptr<Buffer>> buffers_;
    std::vector<std::vector<uint32_t>> before_;  // of the buffers
    std::vector<Slice> inputs_;
    bool by_check_ = false;  // the failed run was wrong by what the bundle does not have
    std::vector<Block> outputs_;  // without memory: where they are is in places_
    std::vector<Slice> places_;
    std::vector<std::vector<uint32_t>> got_;  // what the failed run left in them
    std::vector<std::vector<uint32_t>> spirv_;
    std::vector<Dispatch> dispatches_;
};

}  // namespace olivine::selftest
