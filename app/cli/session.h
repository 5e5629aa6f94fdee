// A device with a model on it, as the flags ask for.
#pragma once

#include <memory>
#include <string>

#include "app/cli/options.h"
#include "app/cli/trace_file.h"
#include "engine/device.h"
#include "model/checkpoint.h"
#include "model/model.h"
#include "model/tokenizer.h"

namespace olivine {

struct Session {
    std::unique_ptr<TraceFile> trace;        // if it was asked for
    std::unique_ptr<Checkpoint> checkpoint;  // none for a synthetic model
    std::unique_ptr<Device> device;
    std::unique_ptr<Model> model;
    std::unique_ptr<Tokenizer> tokenizer;  // if it was asked for
    std::unique_ptr<Checkpoint> draft_checkpoint;  // of --draft
    std::unique_ptr<Model> draft;
    // From the checkpoint's first byte to weights on the device (Flags::as_needed: to its norms).
    double load_seconds = 0;
};

std::string model_path(const Flags& flags);  // the built-in model's where there is none
std::string model_name(const Flags& flags);  // its last component
// Of a checkpoint: the type that most of its bytes have.
DataType main_type(const Checkpoint& checkpoint);

DeviceOptions device_options(const Flags& flags);
std::unique_ptr<TraceFile> open_trace(const Flags& flags);  // null without --trace

// Opens the checkpoint and its tokenizer (before the device: what is wrong with a file shows at
// once), adds up the memory, then loads. Says on standard error when the device is the CPU.
// Throws what Checkpoint, Tokenizer, Device and Model throw, out_of_memory when the sum does not
// fit (with the longest context that would), cancelled on Ctrl-C.
Session open_session(const Flags& flags, bool with_tokenizer);
// A random model of a published size.
Session open_session(const Flags& flags, const Synthetic& synthetic);

}  // namespace olivine
