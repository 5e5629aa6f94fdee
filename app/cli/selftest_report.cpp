#include "app/cli/selftest_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "app/cli/output.h"
#include "engine/error.h"

namespace olivine {
namespace {

using selftest::Outcome;
using selftest::Status;

const char* name(Status status) {
    switch (status) {
    case Status::pass: return "pass";
    case Status::fail: return "fail";
    case Status::skip: return "skip";
    }
    return "?";
}

// Text in XML, where controls other than newline may not stand.
std::string escaped(const std::string& text) {
    std::string xml;
    for (const char c : text) {
        switch (c) {
        case '<': xml += "&lt;"; break;
        case '>': xml += "&gt;"; break;
        case '&': xml += "&amp;"; break;
        case '"': xml += "&quot;"; break;
        default: xml += static_cast<unsigned char>(c) < 32 ? ' ' : c;
        }
    }
    return xml;
}

struct Line {
    std::string op, variant;
    size_t passed = 0, failed = 0, skipped = 0;
    double nmse = 0, max_abs = 0, gb_per_s = 0, gflop_per_s = 0;
    std::string reason;  // of what is skipped
};

std::vector<Line> lines_of(const std::vector<Outcome>& outcomes) {
    std::vector<Line> lines;
    for (const Outcome& outcome : outcomes) {
        auto line = std::find_if(lines.begin(), lines.end(), [&](const Line& each) {
            return each.op == outcome.op && each.variant == outcome.variant;
        });
        if (line == lines.end())
            line = lines.insert(lines.end(), {.op = outcome.op, .variant = outcome.variant});
        line->passed += outcome.status == Status::pass;
        line->failed += outcome.status == Status::fail;
        line->skipped += outcome.status == Status::skip;
        if (outcome.status == Status::skip)
            line->reason = outcome.reason;
        line->nmse = std::max(line->nmse, outcome.nmse);
        line->max_abs = std::max(line->max_abs, outcome.max_abs);
        if (outcome.seconds > 0) {
            line->gb_per_s = std::max(line->gb_per_s, outcome.bytes / outcome.seconds * 1e-9);
            line->gflop_per_s = std::max(line->gflop_per_s, outcome.flops / outcome.seconds * 1e-9);
        }
    }
    std::stable_sort(lines.begin(), lines.end(),
                     [](const Line& a, const Line& b) { return a.op < b.op; });
    return lines;
}

// What JSON can hold: an infinite error stands for one that is not a number.
nlohmann::ordered_json number(double value) {
    return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json("infinite");
}

}  // namespace

std::string table_text(const std::vector<Outcome>& outcomes) {
    std::string text = format_text("%-14s %-16s %6s %6s %6s %10s %10s %8s %8s\n", "operation", "rung",
                                   "passed", "failed", "skipped", "NMSE", "max error", "GB/s",
                                   "GFLOP/s");
    const auto rate = [](double value) {
        return value > 0 ? format_text("%8.2f", value) : std::string("       -");
    };
    for (const Line& line : lines_of(outcomes)) {
        text += format_text("%-14s %-16s %6zu %6zu %7zu ", line.op.c_str(), line.variant.c_str(),
                            line.passed, line.failed, line.skipped);
        if (line.passed + line.failed == 0)
            text += "  " + line.reason + "\n";
        else
            text += format_text("%10.1e %10.1e ", line.nmse, line.max_abs) + rate(line.gb_per_s) +
                    " " + rate(line.gflop_per_s) + "\n";
    }
    for (const Outcome& outcome : outcomes) {
        if (outcome.status != Status::fail)
            continue;
        text += "FAILED " + outcome.op + "/" + outcome.variant + "/" + outcome.name + ": " +
                outcome.reason + "\n";
        if (!outcome.bundle.empty())
            text += "       olivine selftest --replay " + outcome.bundle + "\n";
    }
    return text;
}

std::string json_text(const std::vector<Outcome>& outcomes, const DeviceInfo& device) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Outcome& outcome : outcomes)
        list.push_back({{"op", outcome.op},
                        {"case", outcome.name},
                        {"variant", outcome.variant},
                        {"status", name(outcome.status)},
                        {"nmse", number(outcome.nmse)},
                        {"max_abs", number(outcome.max_abs)},
                        {"ms", outcome.seconds * 1e3},
                        {"reason", outcome.reason},
                        {"bytes", outcome.bytes},
                        {"flops", outcome.flops},
                        {"shaders", outcome.shaders},
                        {"bundle", outcome.bundle},
                        {"device", device.name},
                        {"driver", device.driver}});
    return list.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string junit_text(const std::vector<Outcome>& outcomes, const DeviceInfo& device) {
    const auto count = [&](Status status) {
        return std::count_if(outcomes.begin(), outcomes.end(),
                             [&](const Outcome& each) { return each.status == status; });
    };
    std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    xml += format_text("<testsuite name=\"olivine selftest\" tests=\"%zu\" failures=\"%td\" "
                       "skipped=\"%td\">\n<properties><property name=\"device\" value=\"%s\"/>"
                       "<property name=\"driver\" value=\"%s\"/></properties>\n",
                       outcomes.size(), count(Status::fail), count(Status::skip),
                       escaped(device.name).c_str(), escaped(device.driver).c_str());
    for (const Outcome& outcome : outcomes) {
        xml += "<testcase classname=\"" + escaped(outcome.op + "." + outcome.variant) + "\" name=\"" +
               escaped(outcome.name) + format_text("\" time=\"%.6f\"", outcome.seconds);
        if (outcome.status == Status::pass) {
            xml += "/>\n";
            continue;
        }
        const char* tag = outcome.status == Status::fail ? "failure" : "skipped";
        xml += std::string("><") + tag + " message=\"" + escaped(outcome.reason) + "\"/></testcase>\n";
    }
    return xml + "</testsuite>\n";
}

}  // namespace olivine
