// Before a program trusts a device: does it compute right, and which rungs are the fastest on it?
//
// A few small cases with the shaders that the program is going to run. An operation that is wrong
// goes down one rung, until it is right; what is wrong on tier 0 too is an error. Then, where several
// rungs have a shader for a class of shapes, each is timed and the others are set aside. Both are
// remembered for the device, its driver and this build's shaders.
#pragma once

#include <string>
#include <vector>

#include "engine/data_type.h"
#include "engine/device.h"
#include "engine/ops/kv_layer.h"
#include "engine/ops/linear.h"

namespace olivine::selftest {

// What a program is going to record, as far as it changes which pipelines run.
struct Workload {
    std::vector<DataType> types;      // of matrices that are multiplied
    std::vector<Epilogue> epilogues;  // with what they end
    DataType table = DataType::f32;  // of what is embedded
    uint32_t width = 0;           // of activations
    HeadShape heads;
    KvType kv = KvType::f16;
    float softcap = 0;            // of attention's scores; 0 = none
    bool qk_norm = true;
};

// What was found, as sentences for the user; empty when all is well.
struct Findings {
    std::vector<std::string> fallbacks;  // "linear is wrong with subgroup on this driver ..."
    std::vector<std::string> choices;    // "linear q8_0 long: coopmat (3.1 times f32)"
    bool remembered = false;             // from the file; nothing was run
};

// Sets aside on `device` what is wrong or slow. `memory` is a file that findings are kept in; empty:
// none. Throws unsupported when an operation is wrong on tier 0, naming it and the driver; what the
// engine throws.
Findings prepare(Device& device, const Workload& workload, const std::string& memory);

}  // namespace olivine::selftest
