// A loaded model that answers: what happens on the thread of the Assistant.
#pragma once

#include <exception>
#include <functional>
#include <memory>

#include "app/desktop/talk_types.h"
#include "model/callbacks.h"

namespace olivine::desktop {

// Of something that failed, with the facts that explain it.
Problem problem_of(const std::exception& error, const ModelFacts& facts);

class Talker {
public:
    // Told from within load() and answer(), on their thread.
    struct Told {
        std::function<bool(double progress)> loading;  // false ends it
        std::function<void(double progress)> encoding; // of pictures
        std::function<void(const std::string& text, const AnswerStats& so_far)> said;
        Cancelled stopped;                             // asked for: the answer is to end
        std::function<void(const std::string& text)> note;
    };

    Talker();
    ~Talker();

    // Loads in place of what is loaded. Throws what open_session() throws; nothing is loaded then, unless it is
    // the files that are not valid: then what was there stays.
    void load(const ModelWanted& wanted, const Told& told);
    bool loaded() const { return loaded_ != nullptr; }
    // Device memory as it is now; empty names without a model.
    ModelFacts facts() const;
    // Never throws for what it was asked: a failure is a way to end, and says what was answered before.
    AnswerEnd answer(const AnswerRequest& request, const Told& told);

private:
    struct Loaded;
    std::unique_ptr<Loaded> loaded_;
};

}  // namespace olivine::desktop
