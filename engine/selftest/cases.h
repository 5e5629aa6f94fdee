// What the self-test tries: operations at the shapes of published models, at odd ones and at the
// ends of their ranges. A case builds its inputs from a seed and says what must come out, computed in
// double by engine/selftest/reference.h.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/capabilities.h"
#include "engine/error.h"
#include "engine/selftest/scene.h"

namespace olivine::selftest {

// How a case is one of --quick. A software driver takes up to five seconds to compile a shader, so
// few are compiled twice.
enum class Quick : uint8_t {
    no,
    once,   // on the rung "subgroup", or on tier 0 where that one changes nothing
    rungs,  // on every rung
    all,    // and on "subgroup" as GPU
};

struct Case {
    std::string op;    // "linear"
    std::string name;  // "q8_0 4096x640 geglu, 33 tokens"
    std::string work;  // for Device::rungs: the operation, or a class of its shapes
    // Rungs above storage16 that have a shader of their own for it,
    std::vector<Rung> rungs = {};
    // and the one of them that runs on a device.
    std::function<std::optional<Rung>(const Ops&)> rung = [](const Ops&) {
        return std::optional<Rung>();
    };
    bool has_subgroup = true;   // the rung "subgroup" changes its shader,
    bool has_storage16 = false; // and so does "storage16"
    bool wide = true;           // a GPU's workgroups are not those of a software driver
    Quick quick = Quick::no;
    double flops = 0;           // a software driver takes no more than kLargeFlops unless asked to
    std::function<void(Scene&)> build;
};
constexpr double kLargeFlops = 2e8;

std::vector<Case> all_cases();

// The parts of all_cases().
void add_linear_cases(std::vector<Case>& cases);
void add_attention_cases(std::vector<Case>& cases);  // rope_store, attention
void add_row_cases(std::vector<Case>& cases);        // norms, embed, patch_embed, pool, resize
void add_token_cases(std::vector<Case>& cases);      // sampling, advance, random_fill

// A few small cases with the pipelines of a workload.
struct Workload;  // engine/selftest/startup.h
void add_linear_checks(std::vector<Case>& cases, const Workload& workload);
void add_attention_checks(std::vector<Case>& cases, const Workload& workload);
void add_row_checks(std::vector<Case>& cases, const Workload& workload);
void add_token_checks(std::vector<Case>& cases);

}  // namespace olivine::selftest
