// What the flags ask of a device and a model.
#pragma once

#include <memory>

#include "app/cli/options.h"
#include "app/cli/trace_file.h"
#include "app/session.h"

namespace olivine {

DeviceOptions device_options(const Flags& flags);
std::unique_ptr<TraceFile> open_trace(const Flags& flags);  // null without --trace

// Tells by notes on standard error and a bar, which stop with Ctrl-C. With --image, a model that reads
// text only is refused. trace: open_trace()'s, which outlives the session.
SessionOptions session_options(const Flags& flags, const TraceFile* trace);

}  // namespace olivine
