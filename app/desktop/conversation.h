// The conversation that is open: the path of its tree that is shown, as a list for the window.
#pragma once

#include <QAbstractListModel>
#include <QHash>
#include <QTimer>
#include <QVariantList>
#include <QtQml/qqmlregistration.h>

#include "app/desktop/answers.h"
#include "app/desktop/picture_tray.h"

namespace olivine::desktop {

class Conversation : public QAbstractListModel {
    Q_OBJECT
    QML_ELEMENT
    QML_UNCREATABLE("There is one, App.conversation.")
    Q_PROPERTY(qint64 id READ id NOTIFY opened)  // 0: nothing is said yet, and nothing stored
    Q_PROPERTY(bool loading READ loading NOTIFY opened)
    Q_PROPERTY(QString title READ title NOTIFY title_changed)
    Q_PROPERTY(int count READ count NOTIFY count_changed)
    Q_PROPERTY(bool answering READ answering NOTIFY answering_changed)
    Q_PROPERTY(bool sending READ sending NOTIFY answering_changed)  // it is being stored
    Q_PROPERTY(int contextUsed READ context_used NOTIFY stats_changed)
    Q_PROPERTY(QString speed READ speed NOTIFY stats_changed)  // of the last answer
    // Settings of this conversation; what is out of bounds is moved into them.
    Q_PROPERTY(QString systemText READ system_text WRITE set_system_text NOTIFY settings_changed)
    Q_PROPERTY(double temperature READ temperature WRITE set_temperature NOTIFY settings_changed)
    Q_PROPERTY(int topK READ top_k WRITE set_top_k NOTIFY settings_changed)
    Q_PROPERTY(double topP READ top_p WRITE set_top_p NOTIFY settings_changed)
    Q_PROPERTY(double minP READ min_p WRITE set_min_p NOTIFY settings_changed)
    Q_PROPERTY(double repeatPenalty READ repeat_penalty WRITE set_repeat_penalty NOTIFY settings_changed)
    Q_PROPERTY(int maxTokens READ max_tokens WRITE set_max_tokens NOTIFY settings_changed)
    Q_PROPERTY(QString seed READ seed WRITE set_seed NOTIFY settings_changed)  // empty: random
    Q_PROPERTY(bool forget READ forget WRITE set_forget NOTIFY settings_changed)

public:
    enum Roles {
        IdRole = Qt::UserRole,
        UserRole,      // bool: the person's, not the model's
        TextRole,
        StateRole,     // "done", "unfinished", "stopped", "failed", "cut"
        ErrorRole,
        DetailsRole,
        PicturesRole,  // list of {url, name}
        SiblingRole,   // 1 is the first
        SiblingsRole,
        ModelRole,
        SpeedRole,
        EncodingRole,  // 0 to 1; -1: nothing to encode
        RunningRole,   // the answer is under way
        LastRole,      // the last one that is shown
    };

    // All outlive this.
    Conversation(Answers& answers, StoreThread& store, PictureTray& tray);
    ~Conversation() override;

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role) const override;
    QHash<int, QByteArray> roleNames() const override;

    qint64 id() const { return row_.id; }
    bool loading() const { return loading_; }
    QString title() const { return row_.title; }
    int count() const { return static_cast<int>(path_.size()); }
    bool answering() const;
    bool sending() const { return sending_; }
    int context_used() const;
    QString speed() const;

    // Another conversation in place of this one. message: to be shown; 0: the last.
    Q_INVOKABLE void open(qint64 id, qint64 message = 0);
    Q_INVOKABLE void start_new();

    // Stores question and unfinished answer, then asks; sent() or not_sent() follows. The tray's pictures
    // go with it. Does nothing while something is being sent or answered here.
    Q_INVOKABLE void send(const QString& text);
    Q_INVOKABLE void stop();
    // Another answer to the same question, beside this one.
    Q_INVOKABLE void regenerate(int index);
    // The turn with another text, beside it: a question is asked, an answer taken as it is.
    // False: not now, or it is the same text.
    Q_INVOKABLE bool edit(int index, const QString& text);
    // The last answer goes on where it ended.
    Q_INVOKABLE void go_on();
    // Shows the sibling so many further on.
    Q_INVOKABLE void show_sibling(int index, int step);
    // With all that follows.
    Q_INVOKABLE void remove_turn(int index);
    Q_INVOKABLE QString text_at(int index) const;
    Q_INVOKABLE int last_question() const;  // its index; -1: none
    Q_INVOKABLE int count_below(int index) const;  // messages that remove_turn() removes, all versions
    Q_INVOKABLE int index_of(qint64 message) const { return static_cast<int>(path_.indexOf(message)); }
    Q_INVOKABLE void copy(const QString& text) const;
    Q_INVOKABLE void rename(const QString& title);

    QString system_text() const { return row_.settings.system; }
    void set_system_text(const QString& text);
    double temperature() const { return row_.settings.sampling.temperature; }
    void set_temperature(double value);
    int top_k() const { return row_.settings.sampling.top_k; }
    void set_top_k(int value);
    double top_p() const { return row_.settings.sampling.top_p; }
    void set_top_p(double value);
    double min_p() const { return row_.settings.sampling.min_p; }
    void set_min_p(double value);
    double repeat_penalty() const { return row_.settings.sampling.repeat_penalty; }
    void set_repeat_penalty(double value);
    int max_tokens() const { return row_.settings.sampling.max_tokens; }
    void set_max_tokens(int value);
    QString seed() const;
    void set_seed(const QString& text);
    bool forget() const { return row_.settings.forget; }
    void set_forget(bool forget);
    // All of them but the system text as Google's.
    Q_INVOKABLE void reset_sampling();

Q_SIGNALS:
    void opened();
    void show_message(int index);  // to be scrolled to
    void title_changed();
    void count_changed();
    void answering_changed();
    void stats_changed();
    void settings_changed();
    void sent();   // what send() was given
    void asked();  // the path goes on: with a question, another version or another answer
    void not_sent(const QString& sentence);
    void failed(const QString& sentence);
    void stored();  // the list of conversations is to be read again

private:
    struct Loaded;
    using Row = MessageRow;
    void take(Loaded loaded, qint64 message);
    void show_path_to(qint64 leaf);
    void set_path(QList<qint64> path);
    qint64 newest_below(qint64 message) const;
    const Row* at(int index) const;
    QList<qint64> siblings(qint64 message) const;
    QVariantList pictures_of(const Row& row) const;
    bool can_ask() const { return !sending_ && !loading_ && !answering(); }
    void load(qint64 id, qint64 message);
    PastTurn past_turn(const Row& question, const Row* answer) const;
    AnswerRequest request_along(const QList<Row>& rows) const;
    QList<Row> path_until(qint64 message) const;
    void store_rows(qint64 parent, QList<Row> rows, bool from_composer);
    void add_row(const Row& row);
    void changed(qint64 message);
    void answer_ended(const MessageRow& row);
    void save_settings();
    void leave();
    template <typename Value>
    void set(Value& field, Value value);

    Answers& answers_;
    StoreThread& store_;
    PictureTray& tray_;
    ConversationRow row_;
    bool loading_ = false, sending_ = false;
    int opening_ = 0;                       // counts what is opened: late results are dropped
    QHash<qint64, Row> rows_;               // the whole tree
    QHash<qint64, QList<qint64>> children_; // by parent, in order of id
    QList<qint64> path_;                    // shown
    QHash<QString, QString> picture_paths_; // by hash
    QHash<qint64, QString> details_;        // of answers that failed
    QTimer save_settings_;
};

}  // namespace olivine::desktop
