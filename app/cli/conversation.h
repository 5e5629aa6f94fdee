// What run and chat share: a chat on a loaded model.
#pragma once

#include <string>

#include "app/cli/session.h"
#include "model/chat.h"
#include "model/generator.h"

namespace olivine {

class Conversation {
public:
    // Loads the model; with -v, says with which seed it draws. Throws what open_session, Generator
    // and Chat throw.
    explicit Conversation(const Flags& flags);

    Chat& chat() { return chat_; }

    // Encodes pictures for the next question, with progress on a terminal. Throws what
    // Chat::attach throws, bad_input naming a model that reads text only.
    void attach(std::span<const Picture> pictures, std::span<const std::string> names);

    // What is to be said on standard error after an answer: that the context is full and, with -v,
    // speed and context used.
    void report();

private:
    Flags flags_;
    bool verbose_;
    bool loading_ = false;  // the first answer's prompt reads the weights
    std::unique_ptr<TraceFile> trace_;
    Session session_;
    Generator generator_;
    Chat chat_;
};

}  // namespace olivine
