#include "app/desktop/conversation_list.h"

#include <QDateTime>
#include <QFile>
#include <QLocale>
#include <QSaveFile>
#include <algorithm>

#include "app/desktop/store_json.h"
#include "engine/error.h"

namespace olivine::desktop {
namespace {

constexpr int kFindMs = 120;      // after the last key
constexpr int kUndoMs = 10'000;   // so long something removed can be brought back
constexpr int kResults = 200;
constexpr int kBefore = 14;       // letters before what was found
constexpr qint64 kMaxImportBytes = qint64{1} << 30;

QString section_of(qint64 changed_ms) {
    const QDate date = QDateTime::fromMSecsSinceEpoch(changed_ms).date(), today = QDate::currentDate();
    const qint64 days = date.daysTo(today);
    if (days <= 0)
        return QObject::tr("Today");
    if (days == 1)
        return QObject::tr("Yesterday");
    if (days <= 7)
        return QObject::tr("Last 7 days");
    return QLocale().standaloneMonthName(date.month()) + ' ' + QString::number(date.year());
}

// What was searched for is within sight in a narrow list.
QString excerpt_of(const Found& found) {
    QString before = found.excerpt.left(found.at);
    if (before.size() > kBefore)
        before = u'…' + before.right(kBefore);
    return before.toHtmlEscaped() + "<b>" +
           found.excerpt.mid(found.at, found.length).toHtmlEscaped() + "</b>" +
           found.excerpt.mid(found.at + found.length).toHtmlEscaped();
}

void write(const QString& path, const std::function<void(QIODevice&)>& content) {
    QSaveFile file(path);
    if (!file.open(QIODevice::WriteOnly))
        fail(Fault::bad_input, "%s: the file cannot be written (%s).", path.toUtf8().constData(),
             file.errorString().toUtf8().constData());
    content(file);
    if (!file.commit())
        fail(Fault::bad_input, "%s: the file cannot be written (%s).", path.toUtf8().constData(),
             file.errorString().toUtf8().constData());
}

}  // namespace

ConversationList::ConversationList(Answers& answers, StoreThread& store) : answers_(answers), store_(store) {
    connect(&answers, &Answers::conversations_changed, this, [this] {
        if (!rows_.isEmpty())
            Q_EMIT dataChanged(index(0), index(count() - 1), {BusyRole});
    });
    find_soon_.setSingleShot(true);
    find_soon_.setInterval(kFindMs);
    connect(&find_soon_, &QTimer::timeout, this, &ConversationList::find);
    forget_removed_.setSingleShot(true);
    forget_removed_.setInterval(kUndoMs);
    connect(&forget_removed_, &QTimer::timeout, this, [this] {
        removed_ = 0;
        removed_title_.clear();
        Q_EMIT removed_changed();
    });
}

int ConversationList::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : count();
}

QVariant ConversationList::data(const QModelIndex& index, int role) const {
    if (index.row() < 0 || index.row() >= count())
        return {};
    const Row& row = rows_[index.row()];
    switch (role) {
    case IdRole: return row.id;
    case TitleRole: return row.title;
    case SectionRole: return search_.isEmpty() ? section_of(row.changed_ms) : QString();
    case BusyRole: return answers_.conversations().contains(row.id);
    case MessageRole: return row.message;
    case ExcerptRole: return row.excerpt;
    default: return {};
    }
}

QHash<int, QByteArray> ConversationList::roleNames() const {
    return {{IdRole, "conversationId"}, {TitleRole, "title"},     {SectionRole, "section"},
            {BusyRole, "busy"},         {MessageRole, "message"}, {ExcerptRole, "excerpt"}};
}

// One row that moves to the top, as when something is said, is told as that; else all of it is new.
void ConversationList::show(QList<Row> rows) {
    if (rows == rows_)
        return;
    QList<Row> moved = rows_;
    if (moved.size() == rows.size() && !rows.isEmpty()) {
        const auto found = std::find_if(moved.begin(), moved.end(), [&](const Row& row) { return row.id == rows[0].id; });
        const auto from = static_cast<int>(found - moved.begin());
        if (found != moved.end()) {
            moved.move(from, 0);
            const bool same = std::equal(moved.begin(), moved.end(), rows.begin(),
                                         [](const Row& a, const Row& b) { return a.id == b.id; });
            if (same) {
                if (from != 0) {
                    beginMoveRows({}, from, from, {}, 0);
                    rows_.move(from, 0);
                    endMoveRows();
                }
                rows_ = std::move(rows);
                Q_EMIT dataChanged(index(0), index(count() - 1));
                return;
            }
        }
    }
    beginResetModel();
    rows_ = std::move(rows);
    endResetModel();
    Q_EMIT count_changed();
}

void ConversationList::reload() {
    if (!search_.isEmpty())
        return find();
    const int asked = ++asked_;
    store_.ask(
        this, [](Store& store) { return store.conversations(); },
        [this, asked](const QList<ConversationRow>& all) {
            if (asked != asked_)
                return;
            QList<Row> rows;
            for (const ConversationRow& row : all)
                rows.append({row.id, row.changed_ms, 0, row.title, {}});
            show(std::move(rows));
        });
}

void ConversationList::set_search(const QString& text) {
    const QString plain = text.trimmed();
    if (plain == search_)
        return;
    search_ = plain;
    ++asked_;  // what is on its way is of another text
    find_soon_.stop();
    store_.interrupt_search();
    searching_ = !search_.isEmpty();
    Q_EMIT search_changed();
    if (search_.isEmpty())
        reload();
    else
        find_soon_.start();
}

void ConversationList::find() {
    const int asked = ++asked_;
    store_.ask(
        this, [text = search_](Store& store) { return store.search(text, kResults); },
        [this, asked](const QList<Found>& all) {
            if (asked != asked_)
                return;
            QList<Row> rows;
            for (const Found& found : all)
                rows.append({found.conversation, 0, found.message, found.title, excerpt_of(found)});
            searching_ = false;
            show(std::move(rows));
            Q_EMIT search_changed();
        });
}

qint64 ConversationList::id_at(int index) const {
    return index >= 0 && index < count() ? rows_[index].id : 0;
}

int ConversationList::index_of(qint64 id) const {
    for (int i = 0; i < count(); ++i)
        if (rows_[i].id == id)
            return i;
    return -1;
}

void ConversationList::rename(qint64 id, const QString& title) {
    if (const QString plain = title.simplified(); !plain.isEmpty())
        store_.ask(this, [id, plain](Store& store) { store.rename(id, plain, true); }, [this] { reload(); });
}

void ConversationList::remove(qint64 id) {
    const int at = index_of(id);
    const QString title = at >= 0 ? rows_[at].title : QString();
    store_.ask(
        this, [id](Store& store) { store.remove(id); },
        [this, id, title] {
            removed_ = id;
            removed_title_ = title;
            forget_removed_.start();
            Q_EMIT removed_changed();
            Q_EMIT gone(id);
            reload();
        });
}

void ConversationList::undo_remove() {
    if (removed_ == 0)
        return;
    store_.ask(this, [id = removed_](Store& store) { store.restore(id); }, [this] { reload(); });
    removed_ = 0;
    removed_title_.clear();
    forget_removed_.stop();
    Q_EMIT removed_changed();
}

void ConversationList::export_to(qint64 id, const QUrl& file, const QString& format) {
    const QString path = file.toLocalFile();
    store_.ask(
        this,
        [id, path, format](Store& store) {
            write(path, [&](QIODevice& to) {
                if (format == "md")
                    to.write(export_markdown(store, id).toUtf8());
                else
                    export_json(store, {id}, to);
            });
        },
        [this, path] { Q_EMIT told(tr("Exported to %1.").arg(path)); },
        [this](const QString& sentence) { Q_EMIT failed(sentence); });
}

void ConversationList::export_all(const QUrl& file) {
    const QString path = file.toLocalFile();
    store_.ask(
        this,
        [path](Store& store) {
            QList<qint64> ids;
            for (const ConversationRow& row : store.conversations())
                ids.append(row.id);
            write(path, [&](QIODevice& to) { export_json(store, ids, to); });
            return ids.size();
        },
        [this, path](qsizetype count) {
            Q_EMIT told(tr("Exported %n conversations to %1.", nullptr, static_cast<int>(count)).arg(path));
        },
        [this](const QString& sentence) { Q_EMIT failed(sentence); });
}

void ConversationList::import_from(const QUrl& url) {
    const QString path = url.toLocalFile();
    store_.ask(
        this,
        [path](Store& store) {
            QFile file(path);
            if (!file.open(QIODevice::ReadOnly))
                fail(Fault::bad_file, "%s: the file does not open (%s).", path.toUtf8().constData(),
                     file.errorString().toUtf8().constData());
            if (file.size() > kMaxImportBytes)
                fail(Fault::bad_file, "%s: the file has %lld bytes (an import at most %lld).",
                     path.toUtf8().constData(), static_cast<long long>(file.size()),
                     static_cast<long long>(kMaxImportBytes));
            return import_json(store, file.readAll());
        },
        [this](const QList<ConversationRow>& all) {
            Q_EMIT told(tr("Imported %n conversations.", nullptr, static_cast<int>(all.size())));
            reload();
            if (!all.isEmpty())
                Q_EMIT imported(all.first().id);
        },
        [this](const QString& sentence) { Q_EMIT failed(sentence); });
}

}  // namespace olivine::desktop
