// Answers that are under way: saved while they grow, and told to whoever shows them.
#pragma once

#include <QElapsedTimer>
#include <QHash>
#include <QObject>
#include <QTimer>

#include "app/desktop/assistant.h"
#include "app/desktop/store_thread.h"

namespace olivine::desktop {

class Answers : public QObject {
    Q_OBJECT
    Q_PROPERTY(int unsaved READ unsaved NOTIFY unsaved_changed)

public:
    struct UnderWay {
        MessageRow row, before;  // before: as it was, where it goes on
        double encoded = -1;  // of its pictures, 0 to 1; -1: nothing to encode, or done
        QElapsedTimer saved;  // since the text was saved last
    };

    // Both outlive this.
    Answers(Assistant& assistant, StoreThread& store);

    // row: the stored, unfinished answer.
    void begin(const MessageRow& row, const AnswerRequest& request);
    void stop(qint64 message) { assistant_.stop(message); }
    // Those of a conversation.
    void stop_all(qint64 conversation);
    // Null unless it is under way.
    const UnderWay* find(qint64 message) const;
    QList<qint64> conversations() const;  // in which something is under way
    // Answers that have ended and that the disk does not take; they are tried again every few seconds.
    const MessageRow* unsaved_row(qint64 message) const;
    int unsaved() const { return static_cast<int>(unsaved_.size()); }
    // Saves what there is of all of them, for the end of the program.
    void save_all();

Q_SIGNALS:
    void changed(qint64 message);
    // It has ended, and is stored unless the disk does not take it.
    void ended(const olivine::desktop::MessageRow& row);
    void remark(const QString& text);
    void conversations_changed();
    void unsaved_changed();
    // details: of an answer that failed, for who helps.
    void problem(qint64 message, const QString& details);

private:
    void grow(qint64 message, const QString& text, const AnswerStats& stats);
    void end(qint64 message, const AnswerEnd& end);
    void save_ended(const MessageRow& row);
    void finish(const MessageRow& row);
    void keep_trying(const MessageRow& row);

    Assistant& assistant_;
    StoreThread& store_;
    QHash<qint64, UnderWay> under_way_;
    QHash<qint64, MessageRow> unsaved_;
    QTimer retry_;
};

}  // namespace olivine::desktop
