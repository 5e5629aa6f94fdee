// The conversations there are, or those that a text is found in.
#pragma once

#include <QAbstractListModel>
#include <QDate>
#include <QTimer>
#include <QUrl>
#include <QtQml/qqmlregistration.h>

#include "app/desktop/answers.h"

namespace olivine::desktop {

class ConversationList : public QAbstractListModel {
    Q_OBJECT
    QML_ELEMENT
    QML_UNCREATABLE("There is one, App.conversations.")
    Q_PROPERTY(int count READ count NOTIFY count_changed)
    Q_PROPERTY(QString search READ search WRITE set_search NOTIFY search_changed)
    Q_PROPERTY(bool searching READ searching NOTIFY search_changed)  // results are to come
    Q_PROPERTY(QString removed READ removed NOTIFY removed_changed)  // title that undo_remove() brings back

public:
    enum Roles {
        IdRole = Qt::UserRole,
        TitleRole,
        SectionRole,  // "Today", "Yesterday", "Last 7 days", "October 2026"; "" in results
        BusyRole,     // an answer is under way
        MessageRole,  // of a result: the message, 0 = the title
        ExcerptRole,  // of a result: as styled text, what was searched for in bold
    };

    // Both outlive this.
    ConversationList(Answers& answers, StoreThread& store);

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role) const override;
    QHash<int, QByteArray> roleNames() const override;

    int count() const { return static_cast<int>(rows_.size()); }
    QString search() const { return search_; }
    void set_search(const QString& text);
    bool searching() const { return searching_; }
    QString removed() const { return removed_title_; }

    Q_INVOKABLE void reload();
    Q_INVOKABLE void rename(qint64 id, const QString& title);
    Q_INVOKABLE void remove(qint64 id);
    Q_INVOKABLE void undo_remove();
    Q_INVOKABLE qint64 id_at(int index) const;
    Q_INVOKABLE int index_of(qint64 id) const;
    // To a file that is replaced at once or not at all; format: "md" or "json".
    Q_INVOKABLE void export_to(qint64 id, const QUrl& file, const QString& format);
    Q_INVOKABLE void export_all(const QUrl& file);
    Q_INVOKABLE void import_from(const QUrl& file);

Q_SIGNALS:
    void count_changed();
    void search_changed();
    void removed_changed();
    void failed(const QString& sentence);
    void told(const QString& sentence);     // what has been done
    void imported(qint64 conversation);     // the first one
    void gone(qint64 conversation);

private:
    struct Row {
        qint64 id = 0, changed_ms = 0, message = 0;
        QString title, excerpt;
        bool operator==(const Row&) const = default;
    };
    void show(QList<Row> rows);
    void find();

    Answers& answers_;
    StoreThread& store_;
    QList<Row> rows_;
    QString search_;
    QTimer find_soon_;
    bool searching_ = false;
    int asked_ = 0;  // counts what was asked for: late results are dropped
    qint64 removed_ = 0;
    QString removed_title_;
    QTimer forget_removed_;
};

}  // namespace olivine::desktop
