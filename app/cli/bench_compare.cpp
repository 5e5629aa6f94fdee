#include "app/cli/bench_compare.h"

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/cli/output.h"
#include "engine/error.h"

namespace olivine {
namespace {

using Json = nlohmann::ordered_json;

struct Report {
    std::string title;                    // model, type, driver
    std::vector<std::string> labels;      // in the report's order
    std::map<std::string, double> values;

    void add(const std::string& label, double value) {
        if (values.emplace(label, value).second)
            labels.push_back(label);
    }
};

Report read_report(const std::string& path) {
    std::ifstream file(path);
    if (!file)
        fail(Fault::bad_input, "%s cannot be read.", path.c_str());
    try {
        const Json json = Json::parse(file);
        Report report;
        report.title = json.at("model").get<std::string>() + " " + json.at("type").get<std::string>() +
                       ", " + json.at("driver").get<std::string>();
        for (const Json& each : json.at("prefill"))
            report.add(format_text("prefill %u, tokens/s", each.at("tokens").get<uint32_t>()),
                       each.at("tokens_per_s"));
        for (const Json& each : json.at("decode"))
            report.add(format_text("decode %u after %u, tokens/s", each.at("tokens").get<uint32_t>(),
                                   each.at("depth").get<uint32_t>()),
                       each.at("tokens_per_s"));
        for (const char* key :
             {"load_s", "first_token_s", "device_bytes_peak", "host_bytes_peak", "bytes_per_token",
              "dispatches_per_token", "submissions_per_token", "host_us_per_token", "copy_gb_per_s"})
            if (json.contains(key))
                report.add(key, json.at(key));
        if (json.contains("operations"))
            for (const Json& each : json.at("operations"))
                report.add(each.at("shader").get<std::string>() + ", us a token",
                           each.at("us_per_token"));
        return report;
    } catch (const nlohmann::json::exception& error) {
        fail(Fault::bad_input, "%s is no report of bench --json: %s.", path.c_str(), error.what());
    }
}

}  // namespace

void compare_reports(const std::string& a_path, const std::string& b_path) {
    const Report a = read_report(a_path), b = read_report(b_path);
    put(without_controls(format_text("A  %s\nB  %s\n", a.title.c_str(), b.title.c_str())));
    put(format_text("%-44s %14s %14s %8s\n", "", "A", "B", "B / A"));
    const auto text = [](const Report& report, const std::string& label) {
        const auto found = report.values.find(label);
        return found == report.values.end() ? std::string("-") : format_text("%.6g", found->second);
    };
    const auto row = [&](const std::string& label) {
        const auto in_a = a.values.find(label), in_b = b.values.find(label);
        const bool both = in_a != a.values.end() && in_b != b.values.end() && in_a->second != 0;
        put(without_controls(
            format_text("%-44s %14s %14s %8s\n", label.c_str(), text(a, label).c_str(),
                        text(b, label).c_str(),
                        both ? format_text("%.3f", in_b->second / in_a->second).c_str() : "")));
    };
    for (const std::string& label : a.labels)
        row(label);
    for (const std::string& label : b.labels)
        if (!a.values.contains(label))
            row(label);
}

}  // namespace olivine
