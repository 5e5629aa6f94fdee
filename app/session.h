// A device with a model on it: what the command and the window share.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engine/device.h"
#include "engine/trace.h"
#include "model/checkpoint.h"
#include "model/model.h"
#include "model/tokenizer.h"

namespace olivine {

struct SessionOptions {
    std::string model;   // a folder or a .gguf file; "" = the built-in one
    std::string mmproj;  // of a .gguf: its picture encoder's file; "" = the one beside it
    std::string draft;   // a smaller model that guesses; "" = none
    DeviceOptions device;
    ContextOptions context;
    bool pictures = false;   // room for the picture encoder from the start, not when the first one comes
    bool as_needed = false;  // weights are read when the first pass needs them
    bool tokenizer = true;
    std::shared_ptr<Trace> trace;  // null = none
    std::string longer;  // how a user sets the context's length, for messages: " (--ctx)"
    std::function<void(const DeviceInfo& device)> on_device;  // told which one it is; may be empty
    // Told what a user should know, and what only one who asks for it should; sentences. May be empty.
    std::function<void(const std::string& text)> tell, detail;
    // Asked, if it is there, with the files' headers read and nothing else; throws what it finds wrong.
    std::function<void(const Checkpoint&)> accept;
    // Makes what is told how much of a model, by its name, is read. May be empty.
    std::function<Progress(const std::string& model)> progress;
};

struct Session {
    std::unique_ptr<Checkpoint> checkpoint;  // none for a synthetic model
    std::unique_ptr<Device> device;
    std::unique_ptr<Model> model;
    std::unique_ptr<Tokenizer> tokenizer;  // if it was asked for
    std::unique_ptr<Checkpoint> draft_checkpoint;
    std::unique_ptr<Model> draft;
    // From the checkpoint's first byte to weights on the device (as_needed: to its norms).
    double load_seconds = 0;
};

std::string model_path(const std::string& model);  // of SessionOptions::model
std::string model_name(const std::string& model);  // its last component
// Of a checkpoint: the type that most of its bytes have.
DataType main_type(const Checkpoint& checkpoint);
Tokenizer tokenizer_of(const Checkpoint& checkpoint);

// Opens the checkpoint and its tokenizer (before the device: what is wrong with a file shows at
// once), adds up the memory, then loads.
// Throws what Checkpoint, Tokenizer, Device and Model throw, out_of_memory when the sum does not
// fit (with the longest context that would), cancelled when the progress says so.
Session open_session(const SessionOptions& options);
// A random model of a published size.
Session open_session(const SessionOptions& options, const Config& config, DataType type);

}  // namespace olivine
