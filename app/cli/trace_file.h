// The file of --trace.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "engine/trace.h"

namespace olivine {

// Writes a trace in Chrome's format (chrome://tracing, ui.perfetto.dev) when it goes, however the
// command ends. Declare it before the device, which adds to the trace until its own end.
class TraceFile {
public:
    // Throws bad_input when the file cannot be written.
    explicit TraceFile(const std::string& path);
    ~TraceFile();
    TraceFile(const TraceFile&) = delete;
    TraceFile& operator=(const TraceFile&) = delete;

    const std::shared_ptr<Trace>& trace() const { return trace_; }

private:
    std::string path_;
    std::FILE* file_;
    std::shared_ptr<Trace> trace_ = std::make_shared<Trace>();
};

}  // namespace olivine
