#include "app/desktop/store.h"

#include <QCryptographicHash>
#include <QDateTime>
#include <QDir>
#include <QElapsedTimer>
#include <QFile>
#include <QFileInfo>
#include <QHash>
#include <QJsonDocument>
#include <QRegularExpression>
#include <QSaveFile>
#include <QThread>
#include <iterator>
#include <utility>

#include "app/desktop/text_search.h"

namespace olivine::desktop {

namespace {

using Kind = StoreError::Kind;

constexpr int kApplicationId = 0x4f4c5643;  // "OLVC", in the header of the file
constexpr qsizetype kMaxPictureName = 1000;

// Step by step from an empty file; the format's version is how many were taken. What has been
// released never changes: a new step goes to the end.
const char* const kMigrations[] = {
    // The text stands before the tokens, so that a search need not read those. Deletions do not
    // cascade along `parent`: SQLite ends that at 1,000 generations.
    R"(
    CREATE TABLE conversation (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL,
        titled_by_hand INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL,
        removed_ms INTEGER,
        leaf INTEGER,
        settings TEXT NOT NULL,
        FOREIGN KEY (id, leaf) REFERENCES message (conversation, id));
    CREATE INDEX conversation_changed ON conversation (changed_ms);
    CREATE TABLE message (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation INTEGER NOT NULL REFERENCES conversation,
        parent INTEGER,
        role INTEGER NOT NULL,
        text TEXT NOT NULL,
        state INTEGER NOT NULL,
        model TEXT NOT NULL,
        error TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL,
        drawn_tokens INTEGER NOT NULL,
        first_token_s REAL NOT NULL,
        tokens_per_s REAL NOT NULL,
        context_used INTEGER NOT NULL,
        seed INTEGER NOT NULL,
        token_ids BLOB NOT NULL,
        UNIQUE (conversation, id),
        FOREIGN KEY (conversation, parent) REFERENCES message (conversation, id));
    CREATE INDEX message_parent ON message (conversation, parent);
    CREATE TABLE picture (
        hash TEXT PRIMARY KEY,
        extension TEXT NOT NULL,
        added_ms INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE message_picture (
        message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
        position INTEGER NOT NULL,
        hash TEXT NOT NULL REFERENCES picture,
        name TEXT NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        PRIMARY KEY (message, position)) WITHOUT ROWID;
    CREATE INDEX message_picture_hash ON message_picture (hash);
    )",
};
constexpr int kVersion = static_cast<int>(std::size(kMigrations));

const QByteArray kConversations =
    "SELECT id, title, titled_by_hand, created_ms, changed_ms, leaf, settings FROM conversation ";
const QByteArray kMessages =
    "SELECT id, conversation, parent, role, text, state, model, error, created_ms, prompt_tokens,"
    " cached_tokens, drawn_tokens, first_token_s, tokens_per_s, context_used, seed, token_ids"
    " FROM message ";
const QByteArray kPictures =
    "SELECT message, hash, name, width, height FROM message_picture WHERE message ";
// ?1: a message, ?2: its conversation.
const QByteArray kWithBelow =
    "WITH RECURSIVE below (id) AS (SELECT ?1 UNION SELECT message.id FROM below JOIN message"
    " ON message.conversation = ?2 AND message.parent = below.id) ";

qint64 now_ms() {
    return QDateTime::currentMSecsSinceEpoch();
}

QString native(const QString& path) {
    return QDir::toNativeSeparators(path);
}

// Folders for the owner only, where they are missing.
void make_private(const QString& folder) {
    const QFileInfo info(folder);
    if (info.isDir())
        return;
    QDir().mkpath(info.absolutePath());
    QDir parent(info.absolutePath());
    constexpr auto kOwner = QFile::ReadOwner | QFile::WriteOwner | QFile::ExeOwner;
    if (!parent.mkdir(info.fileName(), kOwner) && !QFileInfo(folder).isDir())
        throw StoreError(Kind::other, QString("The folder %1 cannot be made.").arg(native(folder)));
}

QString database_file(const QString& folder) {
    make_private(folder);
    return folder + "/olivine.db";
}

void check_format(Database& database) {
    const qint64 version = database.number("PRAGMA user_version");
    const QString file = native(database.path());
    const bool ours = database.number("PRAGMA application_id") == kApplicationId;
    if (!ours && (version > 0 || database.number("SELECT count(*) FROM sqlite_master") > 0))
        throw StoreError(Kind::corrupt, QString("%1 is a database of another program.").arg(file));
    if (version > kVersion)
        throw StoreError(Kind::other,
                         QString("%1 is of a newer version of this program (its format is %2; this "
                                 "version knows up to %3).")
                             .arg(file, QString::number(version), QString::number(kVersion)));
}

void try_to_open(Database& database) {
    database.snapshot([&] { check_format(database); });
    // Where WAL can't be had (some network file systems), the old journal does.
    database.execute("PRAGMA journal_mode = WAL");
    database.execute("PRAGMA synchronous = FULL");
    database.execute("PRAGMA foreign_keys = ON");
    if (database.number("PRAGMA user_version") == kVersion)
        return;
    database.transaction([&] {
        check_format(database);  // another program may have been faster
        for (qint64 version = database.number("PRAGMA user_version"); version < kVersion; ++version)
            database.execute(kMigrations[version]);
        database.execute(QString("PRAGMA user_version = %1").arg(kVersion).toLatin1());
        database.execute(QString("PRAGMA application_id = %1").arg(kApplicationId).toLatin1());
    });
}

// While another program makes the database, SQLite is busy at once here: it does not wait where both
// could wait for each other.
void open_format(Database& database) {
    QElapsedTimer timer;
    timer.start();
    for (;;) {
        try {
            return try_to_open(database);
        } catch (const StoreError& error) {  // another try
            if (error.kind() != Kind::busy || timer.elapsed() > Database::kBusyTimeoutMs)
                throw;
        }
        QThread::msleep(5);
    }
}

StoreError gone(const char* what, qint64 id, const Database& database) {
    return {Kind::other, QString("There is no %1 %2 in %3.")
                             .arg(QString(what), QString::number(id), native(database.path()))};
}

QString settings_text(const Settings& settings) {
    return QString::fromUtf8(QJsonDocument(settings.to_json()).toJson(QJsonDocument::Compact));
}

QString title_text(const QString& title) {
    return title.simplified().left(Store::kMaxTitle);
}

Statement& bind_id(Statement& statement, int at, qint64 id) {
    return id == 0 ? statement.bind_null(at) : statement.bind(at, id);
}

ConversationRow read_conversation(const Statement& row) {
    ConversationRow c;
    c.id = row.number(0);
    c.title = row.text(1);
    c.titled_by_hand = row.number(2) != 0;
    c.created_ms = row.number(3);
    c.changed_ms = row.number(4);
    c.leaf = row.number(5);
    c.settings = Settings::from_json(QJsonDocument::fromJson(row.utf8(6).toByteArray()).object());
    return c;
}

MessageRow read_message(const Statement& row) {
    MessageRow m;
    m.id = row.number(0);
    m.conversation = row.number(1);
    m.parent = row.number(2);
    m.role = row.number(3) == static_cast<int>(Role::user) ? Role::user : Role::model;
    m.text = row.text(4);
    m.state = static_cast<State>(
        qBound(0, static_cast<int>(row.number(5)), static_cast<int>(State::cut)));
    m.model = row.text(6);
    m.error = row.text(7);
    m.created_ms = row.number(8);
    m.stats.prompt_tokens = static_cast<int>(row.number(9));
    m.stats.cached_tokens = static_cast<int>(row.number(10));
    m.stats.drawn_tokens = static_cast<int>(row.number(11));
    m.stats.first_token_s = row.real(12);
    m.stats.tokens_per_s = row.real(13);
    m.stats.context_used = static_cast<int>(row.number(14));
    m.stats.seed = static_cast<quint64>(row.number(15));
    m.token_ids = row.blob(16);
    return m;
}

// Parameters 3 to 14 of the statements that write a message.
void bind_answer(Statement& statement, const MessageRow& m) {
    statement.bind(3, m.text)
        .bind(4, static_cast<int>(m.state))
        .bind(5, m.model)
        .bind(6, m.error)
        .bind(7, m.stats.prompt_tokens)
        .bind(8, m.stats.cached_tokens)
        .bind(9, m.stats.drawn_tokens)
        .bind(10, m.stats.first_token_s)
        .bind(11, m.stats.tokens_per_s)
        .bind(12, m.stats.context_used)
        .bind(13, static_cast<qint64>(m.stats.seed))
        .bind(14, m.token_ids);
}

void write_file(const QString& path, const QByteArray& bytes) {
    QSaveFile file(path);
    const bool open = file.open(QIODevice::WriteOnly);
    if (!open && file.error() != QFile::ResourceError)
        throw StoreError(
            Kind::other,
            QString("%1 cannot be written (%2).").arg(native(path), file.errorString()));
    // A disk that takes a part of the bytes is no error to Qt.
    if (!open || file.write(bytes) != bytes.size() ||
        !file.setPermissions(QFile::ReadOwner | QFile::WriteOwner) || !file.commit())
        throw StoreError(Kind::full,
                         QString("The disk is full: %1 is not written.").arg(native(path)));
}

}  // namespace

Store::Store(const QString& folder)
    : folder_(QDir(folder).absolutePath()), database_(database_file(folder_)) {
    open_format(database_);
    changed_elsewhere();
}

bool Store::changed_elsewhere() {
    // The number is another one after each commit of another connection.
    const qint64 version = database_.number("PRAGMA data_version");
    return std::exchange(seen_version_, version) != version;
}

void Store::transaction(const std::function<void()>& work) {
    if (database_.in_transaction())
        return work();
    new_pictures_.clear();
    database_.transaction([&] {
        try {
            work();
        } catch (...) {  // it goes on; here the files are still nobody else's
            for (const QString& path : std::as_const(new_pictures_))
                QFile::remove(path);
            throw;
        }
    });
}

QList<ConversationRow> Store::conversations() {
    QList<ConversationRow> all;
    Statement rows(database_,
                   kConversations + "WHERE removed_ms IS NULL ORDER BY changed_ms DESC, id DESC");
    while (rows.step())
        all.append(read_conversation(rows));
    return all;
}

std::optional<ConversationRow> Store::conversation(qint64 id) {
    Statement row(database_, kConversations + "WHERE id = ?1");
    row.bind(1, id);
    if (!row.step())
        return std::nullopt;
    return read_conversation(row);
}

ConversationRow Store::require_conversation(qint64 id) {
    const std::optional<ConversationRow> row = conversation(id);
    if (!row)
        throw gone("conversation", id, database_);
    return *row;
}

ConversationRow Store::add_conversation(const QString& title, const Settings& settings) {
    ConversationRow row;
    row.title = title;
    row.settings = settings;
    row.created_ms = row.changed_ms = now_ms();
    return add_tree(row, {});
}

ConversationRow Store::add_tree(const ConversationRow& conversation,
                                const QList<MessageRow>& messages) {
    ConversationRow added = conversation;
    transaction([&] {
        Statement insert(database_,
                         "INSERT INTO conversation (title, titled_by_hand, created_ms, changed_ms,"
                         " settings) VALUES (?1, ?2, ?3, ?4, ?5)");
        added.title = title_text(conversation.title);
        insert.bind(1, added.title)
            .bind(2, int{conversation.titled_by_hand})
            .bind(3, conversation.created_ms)
            .bind(4, conversation.changed_ms)
            .bind(5, settings_text(conversation.settings))
            .run();
        added.id = database_.last_id();
        QHash<qint64, qint64> ids{{0, 0}};
        for (MessageRow message : messages) {
            message.conversation = added.id;
            message.parent = ids.value(message.parent, -1);
            ids.insert(message.id, insert_message(message));
        }
        added.leaf = ids.value(conversation.leaf, -1);
        set_leaf(added.id, added.leaf);
    });
    return added;
}

void Store::change_conversation(Statement& statement, qint64 id) {
    transaction([&] {
        statement.run();
        if (database_.changes() == 0)
            throw gone("conversation", id, database_);
    });
}

void Store::rename(qint64 id, const QString& title, bool by_hand) {
    Statement update(database_,
                     "UPDATE conversation SET title = ?2, titled_by_hand = ?3 WHERE id = ?1");
    update.bind(1, id).bind(2, title_text(title)).bind(3, int{by_hand});
    change_conversation(update, id);
}

void Store::set_settings(qint64 id, const Settings& settings) {
    Statement update(database_, "UPDATE conversation SET settings = ?2 WHERE id = ?1");
    update.bind(1, id).bind(2, settings_text(settings));
    change_conversation(update, id);
}

void Store::set_leaf(qint64 id, qint64 message) {
    Statement known(database_, "SELECT 1 FROM message WHERE conversation = ?1 AND id = ?2");
    Statement update(database_, "UPDATE conversation SET leaf = ?2 WHERE id = ?1");
    bind_id(update.bind(1, id), 2, message);
    transaction([&] {
        if (message != 0 && !known.bind(1, id).bind(2, message).step())
            throw gone("message", message, database_);
        change_conversation(update, id);
    });
}

void Store::touch(qint64 conversation) {
    Statement update(database_, "UPDATE conversation SET changed_ms = ?2 WHERE id = ?1");
    update.bind(1, conversation).bind(2, now_ms());
    change_conversation(update, conversation);
}

void Store::remove(qint64 id) {
    Statement update(database_, "UPDATE conversation SET removed_ms = ?2 WHERE id = ?1");
    update.bind(1, id).bind(2, now_ms());
    change_conversation(update, id);
}

void Store::restore(qint64 id) {
    Statement update(database_, "UPDATE conversation SET removed_ms = NULL WHERE id = ?1");
    update.bind(1, id);
    change_conversation(update, id);
}

void Store::purge(int removed_seconds_ago) {
    const qint64 before = now_ms() - 1000ll * removed_seconds_ago;
    transaction([&] {
        Statement(database_, "UPDATE conversation SET leaf = NULL WHERE removed_ms <= ?1")
            .bind(1, before)
            .run();
        Statement(database_,
                  "DELETE FROM message WHERE conversation IN"
                  " (SELECT id FROM conversation WHERE removed_ms <= ?1)")
            .bind(1, before)
            .run();
        Statement(database_, "DELETE FROM conversation WHERE removed_ms <= ?1")
            .bind(1, before)
            .run();
        delete_unused_pictures();
    });
}

// The lock of the transaction keeps other programs from adding one of them meanwhile.
void Store::delete_unused_pictures() {
    const qint64 before = now_ms() - 1000ll * kPictureGraceSeconds;
    Statement unused(database_,
                     "SELECT hash, extension FROM picture WHERE added_ms <= ?1"
                     " AND hash NOT IN (SELECT hash FROM message_picture)");
    Statement forget(database_, "DELETE FROM picture WHERE hash = ?1");
    QStringList hashes;
    unused.bind(1, before);
    while (unused.step())
        hashes.append(unused.text(0));
    for (const QString& hash : std::as_const(hashes))
        forget.bind(1, hash).run();

    // Also files that a program left behind when it ended before it had said what they are.
    static const QRegularExpression ours("^([0-9a-f]{64})\\.");
    Statement known(database_, "SELECT 1 FROM picture WHERE hash = ?1");
    const auto files = QDir(folder_ + "/pictures").entryInfoList(QDir::Files | QDir::Hidden);
    for (const QFileInfo& file : files) {
        const QRegularExpressionMatch name = ours.match(file.fileName());
        if (!name.hasMatch())
            continue;
        const bool is_known = known.bind(1, name.captured(1)).step();
        known.reset();
        const bool was_unused = hashes.contains(name.captured(1));
        if (!is_known && (was_unused || file.lastModified().toMSecsSinceEpoch() <= before))
            QFile::remove(file.absoluteFilePath());
    }
}

QList<MessageRow> Store::read_messages(Statement& rows, Statement& pictures) {
    QList<MessageRow> all;
    database_.snapshot([&] {
        while (rows.step())
            all.append(read_message(rows));
        auto message = all.begin();
        while (pictures.step()) {  // in the order of the messages
            while (message != all.end() && message->id != pictures.number(0))
                ++message;
            if (message == all.end())
                break;  // the file is damaged
            message->pictures.append({pictures.text(1), pictures.text(2),
                                      static_cast<int>(pictures.number(3)),
                                      static_cast<int>(pictures.number(4))});
        }
        rows.reset();
        pictures.reset();
    });
    return all;
}

QList<MessageRow> Store::messages(qint64 conversation) {
    Statement rows(database_, kMessages + "WHERE conversation = ?1 ORDER BY id");
    Statement pictures(database_, kPictures +
                                      "IN (SELECT id FROM message WHERE conversation = ?1)"
                                      " ORDER BY message, position");
    rows.bind(1, conversation);
    pictures.bind(1, conversation);
    return read_messages(rows, pictures);
}

std::optional<MessageRow> Store::message(qint64 id) {
    Statement row(database_, kMessages + "WHERE id = ?1");
    Statement pictures(database_, kPictures + "= ?1 ORDER BY position");
    row.bind(1, id);
    pictures.bind(1, id);
    const QList<MessageRow> found = read_messages(row, pictures);
    return found.isEmpty() ? std::nullopt : std::optional(found.first());
}

qint64 Store::insert_message(const MessageRow& message) {
    if (message.parent != 0) {
        Statement known(database_, "SELECT 1 FROM message WHERE conversation = ?1 AND id = ?2");
        if (!known.bind(1, message.conversation).bind(2, message.parent).step())
            throw gone("message", message.parent, database_);
    }
    Statement insert(database_,
                     "INSERT INTO message (conversation, parent, role, created_ms, text, state,"
                     " model, error, prompt_tokens, cached_tokens, drawn_tokens, first_token_s,"
                     " tokens_per_s, context_used, seed, token_ids) VALUES (?1, ?2, ?15, ?16, ?3,"
                     " ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)");
    bind_id(insert.bind(1, message.conversation), 2, message.parent);
    bind_answer(insert, message);
    insert.bind(15, static_cast<int>(message.role))
        .bind(16, message.created_ms != 0 ? message.created_ms : now_ms())
        .run();
    const qint64 id = database_.last_id();
    if (message.pictures.isEmpty())
        return id;
    Statement picture(database_, "INSERT INTO message_picture VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    for (qsizetype i = 0; i < message.pictures.size(); ++i) {
        const PictureRef& p = message.pictures[i];
        if (picture_path(p).isEmpty())
            throw StoreError(Kind::other,
                             QString("The picture %1 is not in %2.").arg(p.hash, native(folder_)));
        picture.bind(1, id)
            .bind(2, qint64{i})
            .bind(3, p.hash)
            .bind(4, p.name.left(kMaxPictureName));
        picture.bind(5, p.width).bind(6, p.height).run();
    }
    return id;
}

qint64 Store::add_message(const MessageRow& message) {
    return add_messages({message}).first();
}

QList<qint64> Store::add_messages(const QList<MessageRow>& messages) {
    QList<qint64> ids;
    transaction([&] {
        for (MessageRow message : messages) {
            touch(message.conversation);
            if (message.parent == kPrevious)
                message.parent = ids.value(ids.size() - 1);
            ids.append(insert_message(message));
            set_leaf(message.conversation, ids.last());
        }
    });
    return ids;
}

void Store::update_message(const MessageRow& message) {
    Statement update(database_,
                     "UPDATE message SET text = ?3, state = ?4, model = ?5, error = ?6,"
                     " prompt_tokens = ?7, cached_tokens = ?8, drawn_tokens = ?9,"
                     " first_token_s = ?10, tokens_per_s = ?11, context_used = ?12, seed = ?13,"
                     " token_ids = ?14 WHERE id = ?1 AND conversation = ?2");
    update.bind(1, message.id).bind(2, message.conversation);
    bind_answer(update, message);
    transaction([&] {
        update.run();
        if (database_.changes() == 0)
            throw gone("message", message.id, database_);
        touch(message.conversation);
    });
}

// Where a leaf goes when the message and all below it are deleted.
qint64 Store::leaf_without(const MessageRow& message, qint64 leaf) {
    Statement among(database_, kWithBelow + "SELECT 1 FROM below WHERE id = ?3");
    if (!among.bind(1, message.id).bind(2, message.conversation).bind(3, leaf).step())
        return leaf;
    Statement sibling(database_,
                      "SELECT max(id) FROM message WHERE conversation = ?1"
                      " AND parent IS ?2 AND id <> ?3");
    bind_id(sibling.bind(1, message.conversation), 2, message.parent).bind(3, message.id).step();
    if (sibling.number(0) == 0)
        return message.parent;
    Statement newest(database_, kWithBelow + "SELECT max(id) FROM below");
    newest.bind(1, sibling.number(0)).bind(2, message.conversation).step();
    return newest.number(0);
}

qint64 Store::remove_branch(qint64 id) {
    qint64 leaf = 0;
    transaction([&] {
        const std::optional<MessageRow> top = message(id);
        if (!top)
            throw gone("message", id, database_);
        leaf = leaf_without(*top, require_conversation(top->conversation).leaf);
        set_leaf(top->conversation, leaf);
        Statement(database_, kWithBelow + "DELETE FROM message WHERE id IN below")
            .bind(1, id)
            .bind(2, top->conversation)
            .run();
        touch(top->conversation);
    });
    return leaf;
}

bool Store::is_picture_name(const QString& hash, const QString& extension) {
    static const QRegularExpression hashes("^[0-9a-f]{64}\\z"), extensions("^[a-z0-9]{1,8}\\z");
    return hashes.match(hash).hasMatch() && extensions.match(extension).hasMatch();
}

// Returns the path: a picture that is here already keeps its extension.
QString Store::keep_picture(const QString& hash, const QString& extension) {
    const QString lower = extension.toLower();
    if (!is_picture_name(hash, lower))
        throw StoreError(Kind::other, QString("A picture cannot be called \"%1.%2\".")
                                          .arg(hash.left(100), extension.left(100)));
    Statement(database_,
              "INSERT INTO picture (hash, extension, added_ms) VALUES (?1, ?2, ?3)"
              " ON CONFLICT (hash) DO UPDATE SET added_ms = excluded.added_ms")
        .bind(1, hash)
        .bind(2, lower)
        .bind(3, now_ms())
        .run();
    return picture_path({.hash = hash});
}

void Store::add_lost_picture(const QString& hash, const QString& extension) {
    transaction([&] { keep_picture(hash, extension); });
}

PictureRef Store::add_picture(const QByteArray& file, const QString& extension, const QString& name,
                              int width, int height) {
    const QByteArray hash = QCryptographicHash::hash(file, QCryptographicHash::Sha256).toHex();
    const PictureRef picture{QString::fromLatin1(hash), name.left(kMaxPictureName), width, height};
    transaction([&] {
        const QString path = keep_picture(picture.hash, extension);
        const QFileInfo there(path);
        if (there.isFile() && there.size() == file.size())
            return;
        make_private(folder_ + "/pictures");
        write_file(path, file);
        new_pictures_.append(path);
    });
    return picture;
}

QString Store::picture_path(const PictureRef& picture) {
    Statement row(database_, "SELECT extension FROM picture WHERE hash = ?1");
    if (!row.bind(1, picture.hash).step())
        return {};
    return folder_ + "/pictures/" + picture.hash + '.' + row.text(0);
}

void Store::search_messages(Statement& texts, const Found& title, const TextSearch& needle,
                            qsizetype limit, QList<Found>& found) {
    texts.bind(1, title.conversation);
    while (found.size() < limit && !interrupted_ && texts.step()) {
        const qsizetype at = needle.find(texts.utf8(1));
        if (at < 0)
            continue;
        const Excerpt e = excerpt(texts.text(1), at, needle.length());
        found.append({title.conversation, texts.number(0), title.title, e.text, e.at, e.length});
    }
    texts.reset();
}

QList<Found> Store::search(const QString& text, int limit) {
    interrupted_ = false;
    QList<Found> found;
    const TextSearch needle(text);
    if (needle.empty())
        return found;
    database_.snapshot([&] {
        Statement titles(database_,
                         "SELECT id, title FROM conversation WHERE removed_ms IS NULL"
                         " ORDER BY changed_ms DESC, id DESC");
        Statement texts(database_,
                        "SELECT id, text FROM message WHERE conversation = ?1 ORDER BY id");
        while (found.size() < limit && !interrupted_ && titles.step()) {
            Found title{.conversation = titles.number(0), .title = titles.text(1)};
            if (const qsizetype at = needle.find(titles.utf8(1)); at >= 0) {
                const Excerpt e = excerpt(title.title, at, needle.length());
                found.append({title.conversation, 0, title.title, e.text, e.at, e.length});
            }
            search_messages(texts, title, needle, limit, found);
        }
    });
    return found;
}

}  // namespace olivine::desktop
