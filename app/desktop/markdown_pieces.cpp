#include "app/desktop/markdown_pieces.h"

#include <QCoreApplication>
#include <QRegularExpression>
#include <QTextBlock>
#include <QTextCursor>
#include <QTextDocument>
#include <QTextList>
#include <QTextTable>
#include <QUrl>
#include <algorithm>
#include <utility>

#include "app/desktop/text_formats.h"

namespace olivine::desktop {
namespace {

// Beyond these a document takes longer to lay out than a frame may wait; MessageBlocks, which cuts
// messages into rows, hands out less.
constexpr qsizetype kMaxLength = 50'000;
constexpr int kMaxItems = 1000;  // of lists: each costs the reader what the list has before it
constexpr size_t kMaxPieces = 4000;
constexpr size_t kMaxRuns = 20'000;
constexpr int kMaxCells = 2000;
constexpr int kMaxColumns = 40;
constexpr int kMaxDepth = 8;            // further lists and quotes are not indented more
constexpr qsizetype kMaxLine = 4000;    // of plain text: longer ones are cut
constexpr qsizetype kMaxNesting = 100;  // markers of lists and quotes in one line

// Qt's dialect has underlined text between underscores, which GitHub's has not: there it is
// slanted, and bold between two.
constexpr int kUnderline = 0x4000;  // MD_FLAG_UNDERLINE of md4c, which Qt reads with
const auto kFeatures = QTextDocument::MarkdownFeatures::fromInt(
    (QTextDocument::MarkdownDialectGitHub & ~kUnderline) | QTextDocument::MarkdownNoHTML);

// What the reader of QTextDocument loses is marked in the source with characters that no text has,
// and taken from what has been read: the number of an item, a break in a line, and a picture
// without words. In code the marks are undone.
constexpr char16_t kNumber = 0xfdd2, kNumberEnd = 0xfdd3;
constexpr char16_t kBreak = 0xfdd4, kSlashBreak = 0xfdd5;  // by two spaces, and by "\"
constexpr char16_t kPicture = 0xfdd6;

bool is_digit(QChar c) {
    return c >= u'0' && c <= u'9';
}

// The item's text begins such that a mark before it leaves all as it was.
bool may_mark(QStringView text) {
    if (text.isEmpty() || QStringView(u" \t#>|+-=~").contains(text[0]))
        return false;
    static const QRegularExpression other(QStringLiteral(
        "^(```|\\d+[.)]\\s|[*_]\\s|[*]\\s*[*]\\s*[*]|_\\s*_\\s*_|\\[[ xX]\\]\\s|\\[.*\\]:)"));
    return !other.match(text.left(200).toString()).hasMatch();
}

// "3. three" with its number marked. `at`: where the text of the line begins.
void mark_number(QString& line, qsizetype at) {
    qsizetype i = at;
    while (i < line.size() && i - at < 9 && is_digit(line[i]))
        ++i;
    const QString number = line.mid(at, i - at);
    if (number.isEmpty() || i + 1 >= line.size() || (line[i] != u'.' && line[i] != u')') ||
        line[i + 1] != u' ')
        return;
    i += 2;
    for (int spaces = 0; spaces < 3 && i < line.size() && line[i] == u' '; ++spaces)
        ++i;
    if (may_mark(QStringView(line).mid(i)))
        line.insert(i, QChar(kNumber) + number + QChar(kNumberEnd) + u' ');
}

void mark_break(QString& line, qsizetype at) {
    const QStringView text = QStringView(line).mid(at);
    const bool slash = text.endsWith(u'\\') && !text.endsWith(QStringView(u"\\\\"));
    if (!slash && !text.endsWith(QStringView(u"  ")))
        return;
    // A mark would spoil these, and they break no line.
    if (text.startsWith(u'|') || text.startsWith(u'[') || text.contains(QStringView(u"```")) ||
        text.contains(QStringView(u"~~~")) ||
        std::none_of(text.begin(), text.end(), [](QChar c) { return c.isLetterOrNumber(); }))
        return;
    qsizetype end = line.size() - (slash ? 1 : 0);
    while (end > at && line[end - 1] == u' ')
        --end;
    line = line.left(end) + u' ' + QChar(slash ? kSlashBreak : kBreak);
}

// "|-|:-:|" below a table's head: md4c 0.4 wants three characters in each of its columns.
void widen_delimiters(QString& line, qsizetype columns) {
    static const QRegularExpression delimiters(
        QStringLiteral("^ {0,3}[|]?\\s*:?-+:?\\s*([|]\\s*:?-+:?\\s*)*[|]?\\s*$"));
    static const QRegularExpression dashes(QStringLiteral("-+"));
    if (columns > 0 && line.count(u'|') == columns && delimiters.match(line).hasMatch())
        line.replace(dashes, QStringLiteral("---"));
}

QString marked(const QString& markdown) {
    QString result;
    result.reserve(markdown.size() + markdown.size() / 16);
    qsizetype columns = 0;  // bars in the line above
    for (QStringView part : QStringView(markdown).split(u'\n')) {
        QString line = part.toString();
        if (line.endsWith(u'\r'))
            line.chop(1);
        qsizetype at = 0;
        while (at < line.size() && (line[at] == u' ' || line[at] == u'\t' || line[at] == u'>'))
            ++at;
        if (at < line.size()) {
            widen_delimiters(line, std::exchange(columns, line.count(u'|')));
            mark_break(line, at);
            mark_number(line, at);
            line.replace(QStringLiteral("![]("),
                         QStringLiteral("![") + QChar(kPicture) + QStringLiteral("]("));
        }
        result += line;
        result += u'\n';
    }
    return result;
}

QString unmarked(QString text, bool code_block) {
    static const QRegularExpression number(QStringLiteral("\\x{fdd2}\\d{1,9}\\x{fdd3} ?"));
    static const QRegularExpression line_break(QStringLiteral(" ?\\x{fdd4} ?"));
    static const QRegularExpression slash_break(QStringLiteral(" ?\\x{fdd5} ?"));
    const bool has_any = std::any_of(text.begin(), text.end(), [](QChar c) {
        return c >= QChar(kNumber) && c <= QChar(kPicture);
    });
    if (!has_any)
        return text;
    text.remove(QChar(kPicture));
    text.remove(number);
    text.replace(line_break, code_block ? QStringLiteral("  ") : QString(QChar::LineSeparator));
    text.replace(slash_break, code_block ? QStringLiteral("\\") : QString(QChar::LineSeparator));
    return text;
}

// More lists and quotes in one line than anybody means, since each is a level of the reader's, or
// more items.
bool is_too_much(const QString& markdown) {
    int items = 0;
    for (QStringView line : QStringView(markdown).split(u'\n')) {
        qsizetype markers = 0;
        for (qsizetype i = 0; i < line.size() && markers <= kMaxNesting; ++i) {
            const QChar c = line[i];
            if (c == u'>' || c == u'-' || c == u'+' || c == u'*' || c == u'.' || c == u')')
                ++markers;
            else if (!is_digit(c) && c != u' ' && c != u'\t')
                break;
        }
        // A rule, or the line below a table's head, is one marker many times.
        if (markers > kMaxNesting && line.contains(u' '))
            return true;
        if (markers > kMaxNesting && line.startsWith(u'>'))
            return true;
        if (markers > 0 && ++items > kMaxItems)
            return true;
    }
    return false;
}

bool opens(const QString& link) {
    const QString scheme = QUrl(link, QUrl::TolerantMode).scheme();
    return scheme == QLatin1String("http") || scheme == QLatin1String("https") ||
           scheme == QLatin1String("mailto");
}

void append_run(std::vector<MarkdownRun>& runs, MarkdownRun run) {
    if (run.text.isEmpty())
        return;
    if (!runs.empty() && runs.back().same_format(run))
        runs.back().text += run.text;
    else
        runs.push_back(std::move(run));
}

class Reader {
public:
    std::vector<MarkdownPiece> read(const QString& markdown) {
        QTextDocument document;  // has no layout, so that nothing looks at pictures
        document.setUndoRedoEnabled(false);
        // In one edit block: else each piece of text costs what its paragraph has before it.
        QTextCursor edit(&document);
        edit.beginEditBlock();
        document.setMarkdown(marked(markdown), kFeatures);
        edit.endEditBlock();
        QTextFrame* root = document.rootFrame();
        for (auto it = root->begin(); !it.atEnd() && !too_much_; ++it) {
            if (const auto* table = qobject_cast<QTextTable*>(it.currentFrame()))
                add_table(*table);
            else if (it.currentBlock().isValid())
                add_block(it.currentBlock());
        }
        return std::move(pieces_);
    }
    bool too_much() const { return too_much_; }

private:
    static bool is_code(const QTextBlockFormat& format) {
        return format.hasProperty(QTextFormat::BlockCodeLanguage) ||
               format.hasProperty(QTextFormat::BlockCodeFence);
    }

    std::vector<MarkdownRun> runs_of(const QTextBlock& block, bool code_block) {
        std::vector<MarkdownRun> runs;
        QString picture;  // of the picture that the last run is of: its words come one by one
        for (auto it = block.begin(); !it.atEnd(); ++it) {
            const QTextCharFormat format = it.fragment().charFormat();
            const bool heading = block.blockFormat().headingLevel() > 0;
            MarkdownRun run{.bold = !heading && format.fontWeight() > QFont::Medium,
                            .italic = format.fontItalic(),
                            .strike = format.fontStrikeOut(),
                            .code = !code_block && format.fontFixedPitch()};
            if (format.isImageFormat()) {
                run.link = format.toImageFormat().name();
                run.text = format.property(QTextFormat::ImageAltText).toString();
                run.text.remove(QChar(kPicture));
                if (run.text.isEmpty() && picture != run.link)
                    run.text = QCoreApplication::translate("Markdown", "picture");
                picture = run.link;
            } else {
                run.text = it.fragment().text();
                run.link = format.anchorHref();
                picture.clear();
            }
            run.text = unmarked(std::move(run.text), code_block);
            if (!opens(run.link))
                run.link.clear();
            append_run(runs, std::move(run));
        }
        while (!code_block && !runs.empty()) {  // a break behind which nothing comes
            QString& text = runs.back().text;
            while (!text.isEmpty() && text.back().isSpace())
                text.chop(1);
            if (!text.isEmpty())
                break;
            runs.pop_back();
        }
        runs_ += runs.size();
        too_much_ = too_much_ || runs_ > kMaxRuns;
        return runs;
    }

    void add(MarkdownPiece piece) {
        piece.depth = std::min(piece.depth, kMaxDepth);
        piece.quotes = std::min(piece.quotes, kMaxDepth);
        using P = MarkdownPiece;
        if (pieces_.empty())
            piece.gap = P::none;
        else if (piece.kind == P::heading && pieces_.back().kind != P::heading)
            piece.gap = P::large;
        else if (piece.kind == P::item && pieces_.back().depth > 0)
            piece.gap = P::small;
        else
            piece.gap =
                piece.kind == P::rule || pieces_.back().kind == P::rule ? P::large : P::medium;
        piece.below_code = !pieces_.empty() && pieces_.back().kind == P::code;
        pieces_.push_back(std::move(piece));
        too_much_ = too_much_ || pieces_.size() > kMaxPieces;
    }

    void add_block(const QTextBlock& block) {
        const QTextBlockFormat format = block.blockFormat();
        MarkdownPiece piece{.depth = format.indent(),
                            .quotes = format.intProperty(QTextFormat::BlockQuoteLevel)};
        const bool code = is_code(format);
        if (const QTextList* list = block.textList())
            piece.depth = std::max(1, list->format().indent());
        piece.runs = runs_of(block, code);
        if (code) {
            add_code_line(std::move(piece));
            return;
        }
        piece.right_to_left = block.text().isRightToLeft();
        if (format.headingLevel() > 0) {
            piece.kind = MarkdownPiece::heading;
            piece.level = format.headingLevel();
        }
        if (const QTextList* list = block.textList()) {
            piece.kind = MarkdownPiece::item;
            piece.marker = marker_of(block, *list, piece.depth);
        }
        if (!piece.runs.empty() || piece.kind == MarkdownPiece::item)
            add(std::move(piece));
        if (format.hasProperty(QTextFormat::BlockTrailingHorizontalRulerWidth))
            add({.kind = MarkdownPiece::rule});
    }

    // Each line of code is a block.
    void add_code_line(MarkdownPiece piece) {
        piece.kind = MarkdownPiece::code;
        if (pieces_.empty() || pieces_.back().kind != MarkdownPiece::code ||
            pieces_.back().quotes != std::min(piece.quotes, kMaxDepth)) {
            add(std::move(piece));
            return;
        }
        append_run(pieces_.back().runs, {.text = QString(QChar::LineSeparator)});
        for (MarkdownRun& run : piece.runs)
            append_run(pieces_.back().runs, std::move(run));
    }

    QString marker_of(const QTextBlock& block, const QTextList& list, int depth) {
        using Marker = QTextBlockFormat::MarkerType;
        const Marker box = block.blockFormat().marker();
        if (box != Marker::NoMarker)
            return box == Marker::Checked ? QStringLiteral("\u2611") : QStringLiteral("\u2610");
        const QTextListFormat format = list.format();
        if (format.style() > QTextListFormat::ListDecimal) {  // styles are negative; discs are -1
            return depth % 2 == 1 ? QStringLiteral("\u2022") : QStringLiteral("\u25e6");
        }
        const QString text = block.text();
        int number = list.itemNumber(block) + 1;
        const qsizetype end = text.indexOf(QChar(kNumberEnd));
        if (text.startsWith(QChar(kNumber)) && end > 0 && end <= 10 && list.itemNumber(block) == 0)
            first_numbers_[&list] = text.mid(1, end - 1).toInt();
        number += first_numbers_.value(&list, 1) - 1;
        const QString suffix = format.numberSuffix();
        return QString::number(number) + (suffix.isEmpty() ? QStringLiteral(".") : suffix);
    }

    void add_table(const QTextTable& table) {
        MarkdownPiece piece{.kind = MarkdownPiece::table, .columns = table.columns()};
        if (table.columns() > kMaxColumns || table.rows() * table.columns() > kMaxCells) {
            too_much_ = true;
            return;
        }
        for (int row = 0; row < table.rows(); ++row)
            for (int column = 0; column < table.columns(); ++column)
                piece.cells.push_back(cell_of(table.cellAt(row, column)));
        if (!piece.cells[0].runs.empty())
            piece.right_to_left = piece.cells[0].runs[0].text.isRightToLeft();
        add(std::move(piece));
    }

    MarkdownCell cell_of(const QTextTableCell& source) {
        MarkdownCell cell;
        for (auto it = source.begin(); !it.atEnd(); ++it) {
            const QTextBlock block = it.currentBlock();
            if (!block.isValid() || block.length() <= 1)
                continue;
            cell.alignment =
                static_cast<int>(block.blockFormat().alignment() & Qt::AlignHorizontal_Mask);
            for (MarkdownRun& run : runs_of(block, false))
                append_run(cell.runs, std::move(run));
        }
        return cell;
    }

    std::vector<MarkdownPiece> pieces_;
    QHash<const QTextList*, int> first_numbers_;
    size_t runs_ = 0;
    bool too_much_ = false;
};

}  // namespace

bool MarkdownPiece::same_shape(const MarkdownPiece& other) const {
    return kind == other.kind && level == other.level && depth == other.depth &&
           quotes == other.quotes && gap == other.gap && below_code == other.below_code &&
           right_to_left == other.right_to_left && marker == other.marker &&
           columns == other.columns;
}

std::vector<MarkdownPiece> parse_markdown(const QString& markdown) {
    const QString text = well_formed(markdown);
    if (text.size() > kMaxLength || is_too_much(text))
        return plain_pieces(text);
    Reader reader;
    std::vector<MarkdownPiece> pieces = reader.read(text);
    return reader.too_much() ? plain_pieces(text) : pieces;
}

std::vector<MarkdownPiece> plain_pieces(const QString& text) {
    std::vector<MarkdownPiece> pieces;
    const QString formed = well_formed(text);
    for (QStringView line : QStringView(formed).split(u'\n')) {
        if (line.endsWith(u'\r'))
            line.chop(1);
        do {
            qsizetype end = std::min(line.size(), kMaxLine);
            if (end < line.size() && line[end].isLowSurrogate())
                --end;
            MarkdownPiece piece{.right_to_left = line.isRightToLeft()};
            append_run(piece.runs, {.text = line.left(end).toString()});
            pieces.push_back(std::move(piece));
            line = line.mid(end);
        } while (!line.isEmpty());
    }
    return pieces;
}

}  // namespace olivine::desktop
