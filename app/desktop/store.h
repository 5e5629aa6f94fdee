// Keeps the conversations: olivine.db and pictures/ in one folder. A Store is for one thread at a
// time; several may be open on one folder, in other threads and programs too.
//
// Whatever changes something is one transaction: when it has returned, the change outlives the
// program and the power; when it throws (StoreError), nothing has changed.
#pragma once

#include <QByteArray>
#include <QList>
#include <QString>
#include <QStringList>
#include <atomic>
#include <functional>
#include <optional>

#include "app/desktop/chat_types.h"
#include "app/desktop/database.h"

namespace olivine::desktop {

class TextSearch;

// A place where the text that was searched for is.
struct Found {
    qint64 conversation = 0;
    qint64 message = 0;  // 0: in the title
    QString title;
    QString excerpt;         // one line
    int at = 0, length = 0;  // what was searched for, within the excerpt
};

class Store {
public:
    // As the parent of a message in add_messages(): the one before it in the list.
    static constexpr qint64 kPrevious = -1;
    static constexpr int kMaxTitle = 1000;  // longer ones are cut
    static constexpr int kPictureGraceSeconds = 3600;

    // Makes the folder (for its owner only) and the database where there are none. A database of a
    // newer program, or a file that is none, is left as it is: StoreError.
    explicit Store(const QString& folder);

    const QString& folder() const { return folder_; }
    // Another store has changed something since this was last asked for.
    bool changed_elsewhere();

    QList<ConversationRow> conversations();  // last changed first, without those removed
    std::optional<ConversationRow> conversation(qint64 id);  // also one that is removed
    ConversationRow require_conversation(qint64 id);         // throws when there is none
    ConversationRow add_conversation(const QString& title, const Settings& settings);
    void rename(qint64 id, const QString& title, bool by_hand);
    void set_settings(qint64 id, const Settings& settings);
    void set_leaf(qint64 id, qint64 message);  // 0: none
    // Removed conversations are kept for restore() until the next purge().
    void remove(qint64 id);
    void restore(qint64 id);
    // Deletes what was removed at least so long ago, and the pictures that no message has any
    // more: but those added within the last hour, whose message may be still to come.
    void purge(int removed_seconds_ago = 0);

    QList<MessageRow> messages(qint64 conversation);  // the whole tree, ordered by id
    std::optional<MessageRow> message(qint64 id);
    // The message, or the last one, becomes the leaf.
    qint64 add_message(const MessageRow& message);
    QList<qint64> add_messages(const QList<MessageRow>& messages);
    // Stores text, tokens, state, model, error and statistics; the rest of a message stays.
    void update_message(const MessageRow& message);
    // Deletes the message and all below it. A leaf that was among them goes to the newest message
    // below the newest sibling, or else to the parent. Returns the leaf.
    qint64 remove_branch(qint64 message);

    // Stores the bytes of a picture file, the same bytes once. extension: "png".
    PictureRef add_picture(const QByteArray& file, const QString& extension, const QString& name,
                           int width, int height);
    // 64 hexadecimal digits; some small letters and digits.
    static bool is_picture_name(const QString& hash, const QString& extension);
    // Empty when the store does not know the picture. That the file is there isn't certain.
    QString picture_path(const PictureRef& picture);

    // Messages and titles that have the text, in either case of every script; the conversation
    // that changed last comes first. Not those of removed conversations.
    QList<Found> search(const QString& text, int limit);
    // From another thread: a search that runs returns what it has found so far.
    void interrupt() { interrupted_ = true; }

    // Changes that belong together, as one transaction. The pictures that it added go again when
    // it throws.
    void transaction(const std::function<void()>& work);
    // For an import: a whole conversation with the times it has. Ids, parents and the leaf are
    // numbers among the messages themselves, a parent before its children; they become others.
    ConversationRow add_tree(const ConversationRow& conversation,
                             const QList<MessageRow>& messages);
    // A picture whose file is lost, so that its messages can be stored.
    void add_lost_picture(const QString& hash, const QString& extension);

    Database& database() { return database_; }  // for tests

private:
    QList<MessageRow> read_messages(Statement& rows, Statement& pictures);
    qint64 insert_message(const MessageRow& message);
    void touch(qint64 conversation);
    void change_conversation(Statement& statement, qint64 id);
    qint64 leaf_without(const MessageRow& message, qint64 leaf);
    QString keep_picture(const QString& hash, const QString& extension);
    void search_messages(Statement& texts, const Found& title, const TextSearch& needle,
                         qsizetype limit, QList<Found>& found);
    void delete_unused_pictures();

    QString folder_;
    Database database_;
    qint64 seen_version_ = 0;
    QStringList new_pictures_;  // files of the transaction that runs
    std::atomic<bool> interrupted_ = false;
};

}  // namespace olivine::desktop
