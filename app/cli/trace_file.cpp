#include "app/cli/trace_file.h"

#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "app/cli/output.h"
#include "engine/error.h"

namespace olivine {
namespace {

// Rows of the viewer: the device's two first.
constexpr uint32_t kSlices = 0, kDispatches = 1, kThreads = 2;

uint32_t row_of(const Span& span) {
    switch (span.track) {
    case Span::Track::slice: return kSlices;
    case Span::Track::dispatch: return kDispatches;
    case Span::Track::host: return kThreads + span.thread;
    }
    return kThreads;
}

std::string name_of(uint32_t row) {
    if (row == kSlices)
        return "device: slices";
    if (row == kDispatches)
        return "device: operations";
    return row == kThreads ? "host" : format_text("host, thread %u", row - kThreads);
}

std::string quoted(const std::string& text) {
    return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

TraceFile::TraceFile(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "w")) {
    if (!file_)
        fail(Fault::bad_input, "--trace: %s cannot be written: %s.", path.c_str(),
             std::strerror(errno));
}

TraceFile::~TraceFile() {
    const std::vector<Span> spans = trace_->spans();
    std::fputs("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n", file_);
    std::set<uint32_t> rows;
    for (const Span& span : spans) {
        const uint32_t row = row_of(span);
        rows.insert(row);
        std::fprintf(file_, "{\"ph\": \"X\", \"pid\": 1, \"tid\": %u, \"name\": %s, \"ts\": %.3f, \"dur\": %.3f",
                     row, quoted(span.name).c_str(), span.begin * 1e6, span.seconds * 1e6);
        if (span.bytes > 0)
            std::fprintf(file_, ", \"args\": {\"bytes\": %" PRIu64 "}", span.bytes);
        std::fputs("},\n", file_);
    }
    for (const uint32_t row : rows)
        std::fprintf(file_,
                     "{\"ph\": \"M\", \"pid\": 1, \"tid\": %u, \"name\": \"thread_name\", \"args\": "
                     "{\"name\": %s}},\n",
                     row, quoted(name_of(row)).c_str());
    std::fputs("{\"ph\": \"M\", \"pid\": 1, \"tid\": 0, \"name\": \"process_name\", \"args\": {\"name\": "
               "\"olivine\"}}\n]}\n",
               file_);
    const bool bad = std::ferror(file_) != 0;
    if (std::fclose(file_) != 0 || bad)
        note("--trace: " + path_ + " could not be written whole.");
    if (trace_->dropped() > 0)
        note(format_text("--trace: %s has the first %zu spans; %" PRIu64 " more are left out.",
                         path_.c_str(), spans.size(), trace_->dropped()));
}

}  // namespace olivine
