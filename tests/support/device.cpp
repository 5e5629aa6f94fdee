#include "tests/support/device.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
#include <map>
#include <memory>

namespace olivine::test {
namespace {

std::map<std::string, std::unique_ptr<Bench>>& benches() {
    static std::map<std::string, std::unique_ptr<Bench>> all;
    return all;
}

DeviceOptions options_of(const std::string& variant) {
    DeviceOptions options;
    options.disabled.set(Rung::subgroup, variant == "tier 0" || variant == "storage16");
    options.disabled.set(Rung::storage16, variant == "tier 0" || variant == "subgroup");
    // The rungs that software drivers leave alone run as on a GPU.
    options.as_gpu = variant == "as GPU" || variant == "storage16";
    for (uint32_t i = static_cast<uint32_t>(Rung::storage16) + 1; i < kRungs; ++i)
        if (variant == name(static_cast<Rung>(i))) {
            options.as_gpu = true;
            options.precision = Precision::automatic;
            for (uint32_t other = static_cast<uint32_t>(Rung::storage16) + 1; other < kRungs; ++other)
                options.disabled.set(static_cast<Rung>(other), other != i);
        }
    return options;
}

Bench& bench(const std::string& variant) {
    std::unique_ptr<Bench>& one = benches()[variant];
    if (!one)
        one = std::make_unique<Bench>(options_of(variant));
    return *one;
}

// Gives the devices back while the Vulkan loader and its layers are still there.
class ReleaseDevices : public Catch::EventListenerBase {
public:
    using Catch::EventListenerBase::EventListenerBase;
    void testRunEnded(const Catch::TestRunStats&) override { benches().clear(); }
};
CATCH_REGISTER_LISTENER(ReleaseDevices)

}  // namespace

std::vector<std::string> variants() {
    const Device& device = bench("all rungs").device;
    std::vector<std::string> names = {"all rungs"};
    if (device.has(Rung::subgroup))
        names.emplace_back("tier 0");
    if (device.capabilities().software)
        names.emplace_back("as GPU");
    return names;
}

std::string variant_with(Rung rung) {
    if (!bench("all rungs").device.capabilities().available.has(rung))
        SKIP("the device has no " << name(rung));
    return name(rung);
}

std::vector<Rung> rounding_rungs() {
    std::vector<Rung> list;
    for (uint32_t i = static_cast<uint32_t>(Rung::fp16); i < kRungs; ++i)
        if (bench("all rungs").device.capabilities().available.has(static_cast<Rung>(i)))
            list.push_back(static_cast<Rung>(i));
    if (list.empty())
        SKIP("the device has no rung that rounds its operands");
    return list;
}

std::vector<KvVariant> kv_variants() {
    const Device& device = bench("all rungs").device;
    const RungSet& available = device.capabilities().available;
    const bool subgroup = available.has(Rung::subgroup), storage16 = available.has(Rung::storage16);
    std::vector<KvVariant> list = {
        {"all rungs", KvType::f32}, {"all rungs", KvType::f16}, {"all rungs", KvType::q8_0}};
    if (subgroup)
        list.push_back({"tier 0", KvType::f32});
    if (subgroup || storage16)
        list.push_back({"tier 0", KvType::f16});
    if (subgroup && storage16 && !device.capabilities().software)
        list.push_back({"subgroup", KvType::f16});  // software's "all rungs"
    if (storage16)
        list.push_back({"storage16", KvType::f16});
    if (storage16 && device.capabilities().software)
        list.push_back({"as GPU", KvType::f16});
    return list;
}

OpTest::OpTest(const std::string& variant)
    : device(bench(variant).device),
      ops(bench(variant).ops),
      messages_before_(device.validation_messages()) {}

OpTest::~OpTest() {
    CHECK(device.validation_messages() == messages_before_);
}

}  // namespace olivine::test
