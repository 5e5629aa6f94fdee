// What a conversation is made of, as plain data: it passes between the store, the thread of the
// model and the window by value.
#pragma once

#include <QByteArray>
#include <QJsonObject>
#include <QList>
#include <QString>
#include <optional>

namespace olivine::desktop {

struct Sampling {
    float temperature = 1;
    int top_k = 64;
    float top_p = 0.95f;
    float min_p = 0;
    float repeat_penalty = 1;
    int max_tokens = 0;           // 0: no limit
    std::optional<quint64> seed;  // none: another one for each answer

    bool operator==(const Sampling&) const = default;
};

struct Settings {
    QString system;
    Sampling sampling;
    bool forget = true;  // when the context is full, the oldest turns go and the answer goes on

    // What is unknown is passed over; what is out of bounds or of another type is the default.
    static Settings from_json(const QJsonObject& json);
    QJsonObject to_json() const;

    bool operator==(const Settings&) const = default;
};

// The numbers are stored: a new one goes to the end.
enum class Role { user, model };
enum class State {
    done,
    unfinished,  // being answered, or the program ended meanwhile
    stopped,
    failed,
    cut,  // by the limit of tokens or by the context
};

// The file is pictures/HASH.EXT beside the database: see Store::picture_path.
struct PictureRef {
    QString hash;  // SHA-256 of the file, 64 lower-case hexadecimal digits
    QString name;  // as the person's file was called
    int width = 0, height = 0;

    bool operator==(const PictureRef&) const = default;
};

struct AnswerStats {
    int prompt_tokens = 0, cached_tokens = 0, drawn_tokens = 0;
    double first_token_s = 0, tokens_per_s = 0;
    int context_used = 0;
    quint64 seed = 0;

    bool operator==(const AnswerStats&) const = default;
};

// A conversation is a tree of messages: an edited question, or another answer to the same one, is
// a sibling of the old one.
struct MessageRow {
    qint64 id = 0, conversation = 0;
    qint64 parent = 0;  // 0: it is a first message
    Role role = Role::user;
    QString text;
    State state = State::done;
    QList<PictureRef> pictures;
    QByteArray token_ids;   // of an answer: int32, little endian
    QString model;          // the name of the one that answered
    QString error;          // when it failed
    qint64 created_ms = 0;  // since 1970; 0: now, when it is added
    AnswerStats stats;

    bool operator==(const MessageRow&) const = default;
};

struct ConversationRow {
    qint64 id = 0;
    QString title;
    bool titled_by_hand = false;
    qint64 created_ms = 0, changed_ms = 0;
    qint64 leaf = 0;  // the message shown last: it says which path of the tree is shown; 0: none
    Settings settings;

    bool operator==(const ConversationRow&) const = default;
};

}  // namespace olivine::desktop
