// Devices for tests: one for every combination of rungs that changes which shaders run.
#pragma once

#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/ops/ops.h"
#include "engine/selftest/random.h"

namespace olivine::test {

using namespace selftest;

// A device and its operations, made when first asked for and kept until the tests end, so that
// each pipeline is compiled once.
struct Bench {
    explicit Bench(const DeviceOptions& options) : device(options), ops(device) {}
    Device device;
    Ops ops;
};

// Names of the variants that differ on the machine's device:
//   tier 0       no rung at all
//   all rungs    what users run
//   as GPU       all rungs, with a GPU's workgroups and copies where the device is a software one
std::vector<std::string> variants();

// The variant whose only rung above storage16 is this one, as on a GPU; its name is the rung's.
// Skips the test case where the machine's device lacks the rung.
std::string variant_with(Rung rung);
// Those of the rungs that round their operands which the machine's device has. Skips the test case where
// it has none.
std::vector<Rung> rounding_rungs();

// The same for operations on keys and values, whose storage makes further variants:
//   storage16    16-bit storage alone, as on a GPU
//   subgroup     subgroup arithmetic alone
struct KvVariant {
    std::string name;
    KvType type;
};
std::vector<KvVariant> kv_variants();

// Keeps a test case to the rule that the validation layers say nothing.
class OpTest {
public:
    explicit OpTest(const std::string& variant);
    ~OpTest();  // fails the test case when messages were added

    Device& device;
    Ops& ops;

private:
    uint64_t messages_before_;
};

// Runs what `record` records and waits for it.
template <typename Record>
void run(Device& device, const Record& record) {
    Recorder recorder(device, "test");
    record(recorder);
    recorder.finish().run();
}

}  // namespace olivine::test
