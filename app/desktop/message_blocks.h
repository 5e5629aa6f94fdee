// A message as the rows that its view shows: prose, and code blocks between.
#pragma once

#include <QtQml/qqmlregistration.h>

#include <QAbstractListModel>
#include <QString>
#include <QStringView>
#include <vector>

namespace olivine::desktop {

// What the lines before a row mean for those in it.
struct BlockContext {
    int list_indent = -1;  // the column where the text of the list item begins; -1: in no list
    int dedent = 0;  // columns that a code block in a list stood in, and its text after it does
    int column = 0;  // of the row's first character, in "- ```"
};

struct MessageBlock {
    bool code = false;
    QString text = {};      // as markdown; of code: what is between the fences
    QString language = {};  // the first word behind the opening fence, in lower case
    bool closed = true;

    // For what is appended to the message.
    qsizetype begin = 0;
    BlockContext context = {};
    bool settled = true;  // false: the line of the opening fence may yet become something else
};

// The rows of source.mid(begin), which starts a row.
std::vector<MessageBlock> split_message(QStringView source, qsizetype begin = 0,
                                        BlockContext context = {});

// Roles: kind ("prose" or "code"), text, language, closed. While a message is streamed, only its
// last rows change: delegates of the others stay, and so do the selections in them.
class MessageBlocks : public QAbstractListModel {
    Q_OBJECT
    QML_ELEMENT
    Q_PROPERTY(QString text READ text WRITE set_text NOTIFY text_changed)
    // One row of prose, as it was typed.
    Q_PROPERTY(bool plain READ plain WRITE set_plain NOTIFY plain_changed)
    Q_PROPERTY(int count READ count NOTIFY count_changed)

public:
    enum Role { KindRole = Qt::UserRole, TextRole, LanguageRole, ClosedRole };

    explicit MessageBlocks(QObject* parent = nullptr);

    QString text() const { return text_; }
    void set_text(const QString& text);
    bool plain() const { return plain_; }
    void set_plain(bool plain);
    int count() const { return static_cast<int>(blocks_.size()); }
    const std::vector<MessageBlock>& blocks() const { return blocks_; }

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role) const override;
    QHash<int, QByteArray> roleNames() const override;

Q_SIGNALS:
    void text_changed();
    void plain_changed();
    void count_changed();

private:
    void rescan(bool from_the_start);
    void replace_from(size_t row, std::vector<MessageBlock> fresh);
    void update_row(size_t row, MessageBlock fresh);

    QString text_;
    bool plain_ = false;
    std::vector<MessageBlock> blocks_;
};

}  // namespace olivine::desktop
