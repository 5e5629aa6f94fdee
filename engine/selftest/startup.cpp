#include "engine/selftest/startup.h"

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "engine/error.h"
#include "engine/selftest/cases.h"
#include "engine/spirv_table.h"
#include "shaders/params.h"

namespace olivine::selftest {
namespace {

using Json = nlohmann::ordered_json;

// Work and a rung that it does without.
struct Aside {
    std::string work;
    Rung rung;
};

// ---- right? --------------------------------------------------------------------------------------

// The best rung that a case runs on, if it is above tier 0.
std::optional<Rung> rung_of(const Device& device, const Ops& ops, const Case& c) {
    if (const auto rung = c.rung(ops))
        return rung;
    const RungSet rungs = device.rungs(c.work);
    if (c.has_storage16 && rungs.has(Rung::storage16))
        return Rung::storage16;
    if (c.has_subgroup && rungs.has(Rung::subgroup))
        return Rung::subgroup;
    return std::nullopt;
}

std::string failure_of(Device& device, Ops& ops, const Case& c) {
    Scene scene(device, ops, 1);
    try {
        c.build(scene);
        return scene.run().failure;
    } catch (const Error& error) {
        if (error.fault() != Fault::internal && error.fault() != Fault::unsupported)
            throw;
        return error.what();  // a driver that does not compile a shader
    }
}

void check(Device& device, Ops& ops, const Case& c, std::vector<Aside>& aside, Findings& findings) {
    for (;;) {
        const std::string failure = failure_of(device, ops, c);
        if (failure.empty())
            return;
        const std::optional<Rung> rung = rung_of(device, ops, c);
        const DeviceInfo& info = device.info();
        if (!rung)
            fail(Fault::unsupported, "The driver computes %s wrongly (%s; %s): %s.", c.op.c_str(),
                 info.name.c_str(), info.driver.c_str(), failure.c_str());
        // A rung above storage16 concerns one class of shapes, those below all that the operation does.
        const std::string work = *rung > Rung::storage16 ? c.work : c.op;
        device.set_aside(work, *rung);
        aside.push_back({work, *rung});
        findings.fallbacks.push_back(
            format_text("%s goes without %s: the driver (%s) computes it wrongly (%s: %s)",
                        work.c_str(), name(*rung), info.driver.c_str(), c.name.c_str(),
                        failure.c_str()));
    }
}

// ---- fast? ---------------------------------------------------------------------------------------

// Seconds of the fastest of a few runs; by the device's clock where it has one.
double seconds_of(Device& device, const std::function<void(Recorder&)>& record) {
    Recorder recorder(device, "measurement");
    record(recorder);
    Plan plan = recorder.finish();
    plan.run();  // caches, clocks
    double best = 1e30;
    for (uint32_t i = 0; i < 5; ++i) {
        const auto start = std::chrono::steady_clock::now();
        plan.run();
        const double wall =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        best = std::min(best, plan.gpu_seconds() > 0 ? plan.gpu_seconds() : wall);
    }
    return best;
}

bool has_any(const Device& device, const std::string& work, const std::vector<Rung>& candidates) {
    const RungSet rungs = device.rungs(work);
    return std::any_of(candidates.begin(), candidates.end(),
                       [&](Rung rung) { return rungs.has(rung); });
}

// Times `work` on each of its rungs, and sets aside all but the fastest.
void choose(Device& device, const std::string& work, const std::vector<Rung>& candidates,
            const std::function<void(Recorder&)>& record, std::vector<Aside>& aside,
            Findings& findings) {
    std::vector<Rung> rungs;
    for (const Rung rung : candidates)
        if (device.rungs(work).has(rung))
            rungs.push_back(rung);
    if (rungs.empty())
        return;
    const auto only = [&](std::optional<Rung> wanted) {
        for (const Rung rung : rungs)
            device.set_aside(work, rung, rung != wanted);
    };
    double plain = 0, best = 0;
    std::optional<Rung> fastest;
    try {
        only(std::nullopt);
        plain = seconds_of(device, record);
        best = plain * 0.95;  // a rung that rounds operands must be worth it
        for (const Rung rung : rungs) {
            only(rung);
            const double seconds = seconds_of(device, record);
            if (seconds < best) {
                best = seconds;
                fastest = rung;
            }
        }
    } catch (const Error&) {  // unfinished: nothing is set aside
        for (const Rung rung : rungs)
            device.set_aside(work, rung, false);
        throw;
    }
    only(fastest);
    for (const Rung rung : rungs)
        if (rung != fastest)
            aside.push_back({work, rung});
    findings.choices.push_back(
        fastest ? format_text("%s: %s (%.1f times f32)", work.c_str(), name(*fastest), plain / best)
                : format_text("%s: f32", work.c_str()));
}

void choose_linear(Device& device, Ops& ops, DataType type, uint32_t tokens,
                   std::vector<Aside>& aside, Findings& findings) {
    constexpr uint32_t kRows = 4096, kCols = 2048;
    const std::string work = Linear::work(type, tokens);
    const std::vector<Rung> candidates = Linear::candidates(type, tokens);
    if (!has_any(device, work, candidates))
        return;
    const Matrix weight(device, type, kRows, kCols);
    Recorder fill(device, "random weights");
    ops.random_fill.record(fill, weight, 1, 0.02f);
    fill.finish().run();
    const Buffer x(device, Arena::activations, Activation::bytes_of(tokens, kCols));
    const Buffer y(device, Arena::activations, Activation::bytes_of(tokens, kRows));
    const std::vector<float> values = random_floats(size_t{tokens} * kCols, -1, 1, 1);
    write(device, x.slice(), std::as_bytes(std::span(values)));
    choose(device, work, candidates,
           [&](Recorder& recorder) {
               ops.linear.record(recorder, weight, {x.slice(), tokens, kCols, kCols},
                                 {y.slice(), tokens, kRows, kRows});
           },
           aside, findings);
}

// Decode has no rungs to choose from.
void choose_prefill(Device& device, Ops& ops, const Workload& workload, std::vector<Aside>& aside,
                    Findings& findings) {
    const HeadShape& heads = workload.heads;
    const std::string work = Attention::work(heads, workload.kv, false);
    const std::vector<Rung> candidates = Attention::candidates(workload.kv, false);
    if (!has_any(device, work, candidates))
        return;
    constexpr uint32_t kKeys = 1024, kQueries = 256;
    std::vector<shader::Row> steps;
    for (uint32_t i = 0; i < kQueries; ++i)
        steps.push_back({.token = 0,
                         .position = kKeys - kQueries + i,
                         .sequence = 0,
                         .last_visible = kKeys - kQueries + i});
    const uint64_t plane =
        uint64_t{kKeys} * heads.kv_heads * kv_head_bytes(workload.kv, heads);
    const Buffer q(device, Arena::activations, uint64_t{kQueries} * heads.heads * heads.padded_dim() * 4);
    const Buffer keys(device, Arena::activations, plane), values(device, Arena::activations, plane);
    const Buffer at(device, Arena::activations, steps.size() * sizeof steps[0]);
    write(device, at.slice(), std::as_bytes(std::span(steps)));
    const uint32_t width = heads.heads * heads.head_dim;
    const Buffer dst(device, Arena::activations, Activation::bytes_of(kQueries, width));
    const Buffer parts(device, Arena::activations, Attention::parts_bytes(heads, kQueries));
    const Buffer arrivals(device, Arena::activations, Attention::arrivals_bytes(heads, kQueries));
    const KvLayer layer = KvLayer::ring(keys.slice(), values.slice(), workload.kv, kKeys, 0);
    const Activation out{dst.slice(), kQueries, width, Activation::stride_of(width)};
    choose(device, work, candidates,
           [&](Recorder& recorder) {
               const AttentionScratch scratch{parts.slice(), arrivals.slice()};
               ops.attention.record_prefill(recorder, q.slice(), layer, at.slice(), heads,
                                            workload.softcap, out, scratch);
           },
           aside, findings);
}

// ---- remembered ------------------------------------------------------------------------------------

// All that findings depend on.
std::string key_of(const Device& device, const Workload& workload) {
    const DeviceInfo& info = device.info();
    std::string key = info.name + "|" + info.driver + "|" +
                      format_text("%016" PRIx64, spirv_fingerprint());
    for (const std::string& rung : device.capabilities().enabled.names())
        key += "|" + rung;
    for (const DataType type : workload.types)
        key += "|" + type_suffix(type);
    return key + format_text("|%s|%u|%u|%u|%u|%s|%d|%d", type_suffix(workload.table).c_str(),
                             workload.width, workload.heads.heads, workload.heads.kv_heads,
                             workload.heads.head_dim, name(workload.kv),
                             workload.softcap > 0, workload.qk_norm);
}

Json load(const std::string& memory) {
    std::ifstream file(memory);
    Json json = Json::parse(file, nullptr, false);
    return json.is_object() ? json : Json::object();
}

bool recall(Device& device, const Json& entry, Findings& findings) {
    if (!entry.is_object())
        return false;
    try {
        std::vector<Aside> aside;
        for (const Json& each : entry.at("aside")) {
            const std::string rung = each.at("rung");
            for (uint32_t i = 0; i < kRungs; ++i)
                if (rung == name(static_cast<Rung>(i)))
                    aside.push_back({each.at("work"), static_cast<Rung>(i)});
        }
        findings.fallbacks = entry.at("fallbacks").get<std::vector<std::string>>();
        findings.choices = entry.at("choices").get<std::vector<std::string>>();
        findings.remembered = true;
        for (const Aside& each : aside)
            device.set_aside(each.work, each.rung);
        return true;
    } catch (const nlohmann::json::exception&) {  // damaged: found out anew
        findings = {};
        return false;
    }
}

void remember(const std::string& memory, const std::string& key, const std::vector<Aside>& aside,
              const Findings& findings) {
    Json json = load(memory);
    constexpr size_t kMost = 64;  // devices, drivers, models
    while (json.size() >= kMost)
        json.erase(json.begin());
    Json list = Json::array();
    for (const Aside& each : aside)
        list.push_back({{"work", each.work}, {"rung", name(each.rung)}});
    json[key] = {
        {"aside", list}, {"fallbacks", findings.fallbacks}, {"choices", findings.choices}};
    // Best effort: a folder that cannot be written costs the next start a check, nothing else.
    std::error_code error;
    const std::filesystem::path path(memory), fresh = memory + format_text(".%d", static_cast<int>(getpid()));
    std::filesystem::create_directories(path.parent_path(), error);
    std::ofstream file(fresh);
    file << json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    file.close();
    if (file)
        std::filesystem::rename(fresh, path, error);
    else
        std::filesystem::remove(fresh, error);
}

}  // namespace

Findings prepare(Device& device, const Workload& workload, const std::string& memory) {
    Findings findings;
    const std::string key = key_of(device, workload);
    const bool remembers = !memory.empty() && !device.shaders();  // a shader under work is new each time
    if (remembers) {
        const Json known = load(memory);
        if (known.contains(key) && recall(device, known[key], findings))
            return findings;
    }
    std::vector<Aside> aside;
    Ops ops(device);
    std::vector<Case> cases;
    add_row_checks(cases, workload);
    add_linear_checks(cases, workload);
    add_attention_checks(cases, workload);
    add_token_checks(cases);
    for (const Case& c : cases)
        check(device, ops, c, aside, findings);
    try {
        for (const DataType type : workload.types)
            for (const uint32_t tokens : {1u, 32u, 256u})
                choose_linear(device, ops, type, tokens, aside, findings);
        choose_prefill(device, ops, workload, aside, findings);
    } catch (const Error& error) {
        // A model that just fits leaves no room to measure in: the best rungs are taken untimed.
        if (error.fault() != Fault::out_of_memory)
            throw;
        return findings;
    }
    if (remembers)
        remember(memory, key, aside, findings);
    return findings;
}

}  // namespace olivine::selftest
