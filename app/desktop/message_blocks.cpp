#include "app/desktop/message_blocks.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace olivine::desktop {
namespace {

// Prose is cut at the first good place behind this: what one more token lays out anew.
constexpr qsizetype kRowLength = 3000;
// A list or a quote this long is cut at one of its items or lines, though it shows.
constexpr qsizetype kLongRow = 12'000, kManyLines = 200;
constexpr qsizetype kLongestRow = 40'000, kMostLines = 1000;  // cut at the end of any line
constexpr qsizetype kLongestLine = 4000;                      // cut at a space, or anywhere
// A line that is still streamed may become another kind until it has these many characters.
constexpr qsizetype kTellsItsKind = 12;

struct Line {
    qsizetype begin = 0, end = 0, next = 0;  // end: before "\n" or "\r\n"
    qsizetype text = 0;                      // the first character that is no space
    int indent = 0;                          // the column of that
    bool complete = false;
    bool blank() const { return text == end; }
};

struct Fence {
    QChar mark;
    qsizetype length = 0, begin = 0;
    int indent = 0;
    QString language = {};
};

bool is_space(QChar c) {
    return c == u' ' || c == u'\t';
}

// Columns behind `c` at `column`.
int advance(QChar c, int column) {
    return c == u'\t' ? (column / 4 + 1) * 4 : column + 1;
}

Line line_at(QStringView source, qsizetype begin, int column) {
    Line line{.begin = begin};
    const qsizetype found = source.indexOf(u'\n', begin);
    line.complete = found >= 0;
    line.end = line.complete ? found : source.size();
    line.next = line.complete ? found + 1 : source.size();
    if (line.end > begin && source[line.end - 1] == u'\r')
        --line.end;
    for (line.text = begin; line.text < line.end && is_space(source[line.text]); ++line.text)
        column = advance(source[line.text], column);
    line.indent = column;
    return line;
}

// The characters of a list marker and the spaces behind it ("12. "); 0: there is none at `at`.
qsizetype marker_length(QStringView source, qsizetype at, qsizetype end) {
    qsizetype i = at;
    if (i < end && (source[i] == u'-' || source[i] == u'*' || source[i] == u'+')) {
        ++i;
    } else {
        while (i < end && i - at < 9 && source[i] >= u'0' && source[i] <= u'9')
            ++i;
        if (i == at || i == end || (source[i] != u'.' && source[i] != u')'))
            return 0;
        ++i;
    }
    if (i == end)
        return i - at;
    if (!is_space(source[i]))
        return 0;
    for (int spaces = 0; i < end && is_space(source[i]) && spaces < 4; ++spaces)
        ++i;
    return i - at;
}

// "Python", "{.python #id}" and "python:main.py" are all python.
QString language_of(QStringView info) {
    if (info.startsWith(u'{'))
        info = info.mid(1).trimmed();
    if (info.startsWith(u'.'))
        info = info.mid(1);
    const auto ends = [](QChar c) {
        return c.isSpace() || c == u'{' || c == u'}' || c == u',' || c == u':' || c == u';';
    };
    const auto end = std::find_if(info.begin(), info.end(), ends);
    return info.left(end - info.begin()).left(40).toString().toLower();
}

std::optional<Fence> fence_at(QStringView source, qsizetype at, qsizetype end, int indent) {
    if (at == end || (source[at] != u'`' && source[at] != u'~'))
        return {};
    Fence fence{.mark = source[at], .begin = at, .indent = indent};
    while (at < end && source[at] == fence.mark)
        ++at;
    fence.length = at - fence.begin;
    const QStringView info = source.mid(at, end - at).trimmed();
    if (fence.length < 3 || (fence.mark == u'`' && info.contains(u'`')))
        return {};
    fence.language = language_of(info);
    return fence;
}

bool closes(QStringView source, const Line& line, const Fence& fence) {
    if (line.blank() || line.indent > fence.indent + 3 || source[line.text] != fence.mark)
        return false;
    const QStringView rest = source.mid(line.text, line.end - line.text).trimmed();
    return rest.size() >= fence.length && rest.count(fence.mark) == rest.size();
}

// Where a line that is too long is cut. What comes behind kLongestLine has no say in it.
qsizetype cut_in_line(QStringView source, qsizetype begin) {
    const qsizetype last = begin + kLongestLine;
    for (qsizetype at = last; at > last - 200; --at)
        if (is_space(source[at - 1]))
            return at;
    qsizetype at = last;  // not within a character that is many
    while (at > last - 50 && (source[at].isLowSurrogate() || source[at].isMark() ||
                              source[at] == QChar(0x200d) || source[at - 1] == QChar(0x200d)))
        --at;
    return at;
}

// The line without up to `columns` of the space before it.
QString dedented(QStringView source, const Line& line, int columns, int column = 0) {
    qsizetype at = line.begin;
    while (at < line.text && column < columns)
        column = advance(source[at++], column);
    return QString(std::max(0, column - columns), u' ') + source.mid(at, line.end - at).toString();
}

class Splitter {
public:
    Splitter(QStringView source, qsizetype begin, BlockContext context)
        : source_(source), at_(begin), context_(context), prose_begin_(begin), entered_(context) {}

    std::vector<MessageBlock> run() {
        bool after_blank = true;
        while (at_ < source_.size()) {
            const Line line = line_at(source_, at_, std::exchange(context_.column, 0));
            if (const std::optional<Fence> fence = opening(line)) {
                add_prose(fence->begin == line.text ? line.begin : fence->begin);
                add_code(*fence);
                after_blank = true;
                continue;
            }
            if (!line.blank() && may_cut(line, after_blank)) {
                add_prose(line.begin);
                start_prose(line.begin);
            }
            follow(line, after_blank);
            after_blank = line.blank();
            at_ = line.next;
            ++lines_;
            if (line.end - line.begin > kLongestLine && !line.blank()) {
                at_ = cut_in_line(source_, line.begin);
                add_prose(at_);
                start_prose(at_);
            }
        }
        add_prose(source_.size());
        return std::move(blocks_);
    }

private:
    std::optional<Fence> opening(const Line& line) {
        // Four columns make an indented code block, but in a list, where they may be the item's.
        if (line.indent > 3 && context_.list_indent < 0)
            return {};
        if (std::optional<Fence> fence = fence_at(source_, line.text, line.end, line.indent))
            return fence;
        // "- ```python"
        const qsizetype marker = marker_length(source_, line.text, line.end);
        if (marker == 0)
            return {};
        const int column = line.indent + static_cast<int>(marker);
        std::optional<Fence> fence = fence_at(source_, line.text + marker, line.end, column);
        if (fence)
            context_.list_indent = column;
        return fence;
    }

    // Whether the prose before the line and that from it on look the same in two rows.
    bool may_cut(const Line& line, bool after_blank) const {
        const qsizetype length = line.begin - prose_begin_;
        if ((length < kRowLength && lines_ < kManyLines) ||
            (!line.complete && line.end - line.begin < kTellsItsKind))
            return false;
        if (length >= kLongestRow || lines_ >= kMostLines)
            return true;
        const bool item = marker_length(source_, line.text, line.end) > 0;
        const bool long_row = length >= kLongRow || lines_ >= kManyLines;
        if (!after_blank)
            return long_row && item && line.indent == 0;
        return long_row || (line.indent == 0 && !item && source_[line.text] != u'>');
    }

    // What the line changes for those behind it.
    void follow(const Line& line, bool after_blank) {
        if (line.blank())
            return;
        if (line.indent < context_.dedent)
            context_.dedent = 0;
        const qsizetype marker = marker_length(source_, line.text, line.end);
        if (marker > 0 && (line.indent <= 3 || context_.list_indent >= 0))
            context_.list_indent = line.indent + static_cast<int>(marker);
        else if (line.indent == 0 && (after_blank || source_[line.text] == u'#'))
            context_.list_indent = -1;
    }

    void start_prose(qsizetype begin) {
        prose_begin_ = begin;
        entered_ = context_;
        lines_ = 0;
    }

    void add_prose(qsizetype end) {
        QString text;
        BlockContext context = entered_;
        qsizetype at = prose_begin_;
        while (at < end && context.dedent > 0) {
            const Line line = line_at(source_.left(end), at, std::exchange(context.column, 0));
            if (!line.blank() && line.indent < context.dedent)
                break;
            text += dedented(source_, line, context.dedent) + u'\n';
            at = line.next;
        }
        text += source_.mid(at, end - at);
        // Blank lines around it are the view's to space out. The first line keeps its indent.
        qsizetype begin = 0;
        for (qsizetype i = 0; i < text.size() && text[i].isSpace(); ++i)
            begin = text[i] == u'\n' ? i + 1 : begin;
        qsizetype last = text.size();
        while (last > begin && text[last - 1].isSpace())
            --last;
        if (last > begin)
            blocks_.push_back({.text = text.mid(begin, last - begin),
                               .begin = prose_begin_,
                               .context = entered_});
    }

    void add_code(const Fence& fence) {
        const Line first = line_at(source_, fence.begin, fence.indent);
        MessageBlock block{.code = true,
                           .language = fence.language,
                           .closed = false,
                           .begin = fence.begin,
                           .context = context_,
                           .settled = first.complete};
        block.context.column = fence.indent;
        block.context.dedent = 0;
        QStringList lines;
        for (at_ = first.next; at_ < source_.size() && !block.closed;) {
            const Line line = line_at(source_, at_, 0);
            block.closed = closes(source_, line, fence);
            if (!block.closed)
                lines.append(dedented(source_, line, fence.indent));
            at_ = line.next;
        }
        block.text = lines.join(u'\n');
        blocks_.push_back(std::move(block));
        context_.dedent = context_.list_indent >= 0 ? fence.indent : 0;
        start_prose(at_);
    }

    QStringView source_;
    qsizetype at_;
    BlockContext context_;
    qsizetype prose_begin_;
    qsizetype lines_ = 0;   // since there
    BlockContext entered_;  // at prose_begin_
    std::vector<MessageBlock> blocks_;
};

}  // namespace

std::vector<MessageBlock> split_message(QStringView source, qsizetype begin, BlockContext context) {
    return Splitter(source, begin, context).run();
}

MessageBlocks::MessageBlocks(QObject* parent) : QAbstractListModel(parent) {}

void MessageBlocks::set_text(const QString& text) {
    if (text == text_)
        return;
    const bool grows = text.startsWith(text_);
    text_ = text;
    rescan(!grows);
    Q_EMIT text_changed();
}

void MessageBlocks::set_plain(bool plain) {
    if (plain == plain_)
        return;
    plain_ = plain;
    rescan(true);
    Q_EMIT plain_changed();
}

void MessageBlocks::rescan(bool from_the_start) {
    if (plain_) {
        replace_from(0, {{.text = text_}});
        return;
    }
    size_t row = 0;
    if (!from_the_start && !blocks_.empty()) {
        row = blocks_.size() - 1;
        if (!blocks_[row].settled && row > 0)
            --row;
    }
    if (row == 0) {
        replace_from(0, split_message(text_));
        return;
    }
    const qsizetype begin = blocks_[row].begin;
    replace_from(row, split_message(text_, begin, blocks_[row].context));
}

void MessageBlocks::replace_from(size_t row, std::vector<MessageBlock> fresh) {
    const int before = count();
    size_t same = 0;
    while (same < fresh.size() && row + same < blocks_.size() &&
           fresh[same].code == blocks_[row + same].code) {
        update_row(row + same, std::move(fresh[same]));
        ++same;
    }
    const size_t from = row + same;
    if (from < blocks_.size()) {
        beginRemoveRows({}, static_cast<int>(from), before - 1);
        blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(from), blocks_.end());
        endRemoveRows();
    }
    if (same < fresh.size()) {
        beginInsertRows({}, static_cast<int>(from), static_cast<int>(row + fresh.size()) - 1);
        std::move(fresh.begin() + static_cast<std::ptrdiff_t>(same), fresh.end(),
                  std::back_inserter(blocks_));
        endInsertRows();
    }
    if (count() != before)
        Q_EMIT count_changed();
}

void MessageBlocks::update_row(size_t row, MessageBlock fresh) {
    MessageBlock& block = blocks_[row];
    QList<int> roles;
    if (fresh.text != block.text)
        roles.append(TextRole);
    if (fresh.language != block.language)
        roles.append(LanguageRole);
    if (fresh.closed != block.closed)
        roles.append(ClosedRole);
    block = std::move(fresh);
    const QModelIndex changed = index(static_cast<int>(row));
    if (!roles.isEmpty())
        Q_EMIT dataChanged(changed, changed, roles);
}

int MessageBlocks::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : count();
}

QVariant MessageBlocks::data(const QModelIndex& index, int role) const {
    if (!index.isValid() || index.row() >= count())
        return {};
    const MessageBlock& block = blocks_[static_cast<size_t>(index.row())];
    switch (role) {
    case KindRole: return block.code ? QStringLiteral("code") : QStringLiteral("prose");
    case TextRole: return block.text;
    case LanguageRole: return block.language;
    case ClosedRole: return block.closed;
    }
    return {};
}

QHash<int, QByteArray> MessageBlocks::roleNames() const {
    return {
        {KindRole, "kind"}, {TextRole, "text"}, {LanguageRole, "language"}, {ClosedRole, "closed"}};
}

}  // namespace olivine::desktop
