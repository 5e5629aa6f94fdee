// What the window and the thread of the model tell each other, by value.
#pragma once

#include <QByteArray>
#include <QList>
#include <QString>
#include <utility>
#include <vector>

#include "app/desktop/chat_types.h"

namespace olivine::desktop {

// What went wrong: a sentence for the person, and all that somebody who helps would ask for.
struct Problem {
    QString text, details;
    bool operator==(const Problem&) const = default;
};

struct ModelWanted {
    QString path;              // of a folder or .gguf file; empty: the built-in model
    int context = 0;           // tokens; 0: min(the model's, 8192)
    quint64 memory_budget = 0; // bytes of device memory; 0: what the device has
    int device = -1;           // as `olivine devices` counts; -1: the best
    bool operator==(const ModelWanted&) const = default;
};

// What is loaded, and where.
struct ModelFacts {
    QString name, path, device, driver;
    bool software = false;  // the device is the CPU
    bool pictures = false;
    int context = 0;        // tokens
    quint64 bytes = 0;      // device memory in use
    quint64 budget = 0;     // what there is
};

struct PastTurn {
    QString question;
    QList<std::pair<QString, QString>> pictures;  // path of the file, name
    QString answer;
    QByteArray token_ids;  // MessageRow::token_ids
    QString model;         // whose ids they are
};

struct AnswerRequest {
    qint64 message = 0;  // whom it is for
    QString system;
    Sampling sampling;
    bool forget = true;          // Settings::forget
    std::vector<PastTurn> past;  // all turns before
    PastTurn turn;               // to be answered; the answer so far with go_on
    bool go_on = false;          // where the answer ends
};

struct AnswerEnd {
    State state = State::done;
    QString text;          // the whole answer; null: what was said is all there is
    QByteArray token_ids;  // the whole answer's, as far as it came
    AnswerStats stats;
    Problem problem;       // of State::failed
    QString model;
    QString remark;        // what the person should know of how it ended; may be empty
};

}  // namespace olivine::desktop
