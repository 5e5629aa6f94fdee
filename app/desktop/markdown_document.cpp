#include "app/desktop/markdown_document.h"

#include <QAbstractTextDocumentLayout>
#include <QElapsedTimer>
#include <QFontMetricsF>
#include <QTextBlock>
#include <QTextDocument>
#include <QTextTable>
#include <algorithm>
#include <utility>

#include "app/desktop/text_formats.h"

namespace olivine::desktop {
namespace {

// In pixels of the text's size.
constexpr qreal kLine = 1.5;
constexpr qreal kHeadingLine = 1.3;
constexpr qreal kHeading[] = {1.6, 1.35, 1.18, 1.05, 1, 1};
constexpr qreal kGaps[] = {0, 0.35, 0.8, 1.45};  // MarkdownPiece::Gap
constexpr qreal kIndent = 1.75;                  // of a list's level
constexpr qreal kQuoteIndent = 1.15;
constexpr qreal kMarkerGap = 0.45;
constexpr qreal kCode = 0.9;
constexpr qreal kPanelX = 0.8, kPanelY = 0.55;  // around code
constexpr qreal kCell = 0.55;                   // around the text of a table's cell
constexpr double kSlowMs = 8;
constexpr qreal kRule = 0.6;  // the height of a rule's line

QVariantMap decoration(const char* kind, const QRectF& rect) {
    return {{QStringLiteral("kind"), QLatin1String(kind)},
            {QStringLiteral("x"), rect.x()},
            {QStringLiteral("y"), rect.y()},
            {QStringLiteral("width"), rect.width()},
            {QStringLiteral("height"), rect.height()}};
}

// The runs without their first `length` characters.
std::vector<MarkdownRun> behind(const std::vector<MarkdownRun>& runs, int length) {
    std::vector<MarkdownRun> rest;
    for (MarkdownRun run : runs) {
        const int cut = std::min(length, static_cast<int>(run.text.size()));
        length -= cut;
        run.text = run.text.mid(cut);
        if (!run.text.isEmpty())
            rest.push_back(std::move(run));
    }
    return rest;
}

// How many characters both begin with, in the same formats.
int common_length(const std::vector<MarkdownRun>& a, const std::vector<MarkdownRun>& b) {
    int length = 0;
    for (size_t i = 0; i < std::min(a.size(), b.size()) && a[i].same_format(b[i]); ++i) {
        const QString &x = a[i].text, &y = b[i].text;
        const auto [at, other] = std::mismatch(x.begin(), x.end(), y.begin(), y.end());
        length += static_cast<int>(at - x.begin());
        if (at != x.end() || other != y.end())
            break;
    }
    return length;
}

}  // namespace

MarkdownDocument::MarkdownDocument(QObject* parent) : QObject(parent) {
    later_.setSingleShot(true);
    connect(&later_, &QTimer::timeout, this, [this] { render(false); });
}

void MarkdownDocument::componentComplete() {
    complete_ = true;
    render(true);
}

void MarkdownDocument::set_document(QQuickTextDocument* document) {
    if (document == quick_document_)
        return;
    quick_document_ = document;
    set_text_document(document ? document->textDocument() : nullptr);
    Q_EMIT document_changed();
}

void MarkdownDocument::set_text_document(QTextDocument* document) {
    if (document_ && document_->documentLayout())
        document_->documentLayout()->disconnect(this);
    document_ = document;
    if (!document_)
        return;
    document_->setUndoRedoEnabled(false);
    connect(document_->documentLayout(), &QAbstractTextDocumentLayout::documentSizeChanged, this,
            &MarkdownDocument::decorate_later);
    connect(document_->documentLayout(), &QAbstractTextDocumentLayout::update, this,
            &MarkdownDocument::decorate_later);
    render(true);
}

void MarkdownDocument::set_markdown(const QString& markdown) {
    if (markdown == markdown_)
        return;
    const bool grows = !markdown_.isEmpty() && markdown.startsWith(markdown_);
    markdown_ = markdown;
    // Where this is slow (a thousand emoji are), it has no more than a third of the thread's time.
    if (grows && render_ms_ > kSlowMs && !later_.isActive())
        later_.start(static_cast<int>(2 * render_ms_));
    if (!later_.isActive() || !grows)
        render(false);
    Q_EMIT markdown_changed();
}

void MarkdownDocument::set_plain(bool plain) {
    if (plain == plain_)
        return;
    plain_ = plain;
    render(false);
    Q_EMIT markdown_changed();
}

void MarkdownDocument::set_find(const QString& find) {
    if (find == find_)
        return;
    find_ = find;
    highlight();
    Q_EMIT find_changed();
}

// A theme changes many properties, one after the other.
void MarkdownDocument::restyle_later() {
    if (std::exchange(will_restyle_, true))
        return;
    QMetaObject::invokeMethod(
        this,
        [this] {
            if (will_restyle_)
                render(true);
        },
        Qt::QueuedConnection);
}

void MarkdownDocument::render(bool all) {
    if (!document_ || !complete_)
        return;
    QElapsedTimer timer;
    timer.start();
    later_.stop();
    all = std::exchange(will_restyle_, false) || all;
    const std::vector<MarkdownPiece> pieces =
        plain_ ? plain_pieces(markdown_) : parse_markdown(markdown_);
    size_t same = 0;
    while (!all && same < std::min(pieces.size(), shown_.size()) &&
           pieces[same] == shown_[same].piece)
        ++same;

    QTextCursor cursor(document_);
    cursor.beginEditBlock();
    if (all) {
        cursor.select(QTextCursor::Document);
        cursor.removeSelectedText();
        shown_.clear();
        free_block_ = true;
    } else {
        if (same + 1 < shown_.size())
            cut_from(cursor, same + 1);
        if (same < pieces.size() && extend_last(cursor, pieces[same]))
            ++same;
        else if (same < shown_.size())
            cut_from(cursor, same);
    }
    for (size_t i = same; i < pieces.size(); ++i)
        add(cursor, pieces[i]);
    if (shown_.empty())
        cursor.setBlockFormat({});
    cursor.endEditBlock();
    highlight();
    decorate_later();
    render_ms_ = static_cast<double>(timer.nsecsElapsed()) * 1e-6;
}

// The last piece that is shown becomes `piece` by a change behind what both begin with.
bool MarkdownDocument::extend_last(QTextCursor& cursor, const MarkdownPiece& piece) {
    if (shown_.empty() || shown_.back().piece.kind == MarkdownPiece::table ||
        !shown_.back().piece.same_shape(piece) || shown_.back().piece == piece)
        return false;
    Shown& last = shown_.back();
    const int same = common_length(last.piece.runs, piece.runs);
    if (same == 0)
        return false;
    cursor.setPosition(last.text + same);
    cursor.movePosition(QTextCursor::End, QTextCursor::KeepAnchor);
    cursor.removeSelectedText();
    add_runs(cursor, behind(piece.runs, same), text_format(piece));
    last.piece = piece;
    return true;
}

// Removes the pieces from that one on.
void MarkdownDocument::cut_from(QTextCursor& cursor, size_t piece) {
    const Shown& first = shown_[piece];
    if (first.piece.kind == MarkdownPiece::table) {
        // With the end of the block before it, as a table is removed only as part of more.
        cursor.setPosition(first.begin - 1);
        free_block_ = piece == 0 || shown_[piece - 1].piece.kind == MarkdownPiece::table;
    } else {
        cursor.setPosition(first.begin);
        free_block_ = true;
    }
    cursor.movePosition(QTextCursor::End, QTextCursor::KeepAnchor);
    cursor.removeSelectedText();
    shown_.resize(piece);
    space_last_table(0);
    if (!free_block_ || piece == 0 || shown_.back().piece.kind == MarkdownPiece::table)
        return;
    // No empty block stays below: the next piece begins one.
    cursor.movePosition(QTextCursor::End);
    cursor.deletePreviousChar();
    cursor.setBlockFormat(block_format(shown_.back().piece));
    free_block_ = false;
}

void MarkdownDocument::add(QTextCursor& cursor, const MarkdownPiece& piece) {
    space_last_table(kGaps[piece.gap] * style_.pixels);
    cursor.movePosition(QTextCursor::End);
    if (piece.kind == MarkdownPiece::table)
        add_table(cursor, piece);
    else
        add_text(cursor, piece);
}

void MarkdownDocument::add_text(QTextCursor& cursor, const MarkdownPiece& piece) {
    const QTextCharFormat format = text_format(piece);
    if (std::exchange(free_block_, false)) {
        cursor.setBlockFormat(block_format(piece));
        cursor.setBlockCharFormat(format);
    } else {
        cursor.insertBlock(block_format(piece), format);
    }
    Shown shown{.piece = piece, .begin = cursor.position()};
    if (!piece.marker.isEmpty()) {
        QTextCharFormat marker = format;
        marker.setForeground(style_.muted);
        cursor.insertText(piece.marker, marker);
        // Not a wider space, since it may be copied.
        marker.setFontLetterSpacingType(QFont::AbsoluteSpacing);
        const QFontMetricsF metrics(document_->defaultFont());
        marker.setFontLetterSpacing(
            std::max<qreal>(0, kMarkerGap * style_.pixels - metrics.horizontalAdvance(u' ')));
        cursor.insertText(QStringLiteral(" "), marker);
    }
    shown.text = cursor.position();
    add_runs(cursor, piece.runs, format);
    shown_.push_back(std::move(shown));
}

void MarkdownDocument::add_table(QTextCursor& cursor, const MarkdownPiece& piece) {
    const int rows = static_cast<int>(piece.cells.size()) / piece.columns;
    QTextTableFormat format;
    format.setBorder(0);  // decorate_table() draws thinner ones
    format.setCellSpacing(0);
    format.setCellPadding(kCell * style_.pixels);
    format.setTopMargin((kGaps[piece.gap] + (piece.below_code ? kPanelY : 0)) * style_.pixels);
    format.setBottomMargin(0);
    format.setHeaderRowCount(1);
    if (piece.right_to_left)
        format.setLayoutDirection(Qt::RightToLeft);
    if (free_block_ && shown_.empty())  // it stays above the table, where it is not seen
        cursor.setBlockFormat({});
    QTextTable* table = cursor.insertTable(rows, piece.columns, format);
    shown_.push_back({.piece = piece, .begin = table->firstPosition(), .table = table});
    for (int i = 0; i < rows * piece.columns; ++i) {
        const MarkdownCell& cell = piece.cells[static_cast<size_t>(i)];
        QTextCursor inside =
            table->cellAt(i / piece.columns, i % piece.columns).firstCursorPosition();
        MarkdownPiece text;
        if (!cell.runs.empty())
            text.right_to_left = cell.runs[0].text.isRightToLeft();
        QTextBlockFormat block = block_format(text);
        block.setLineHeight(kHeadingLine * style_.pixels, QTextBlockFormat::MinimumHeight);
        if (cell.alignment != 0)
            block.setAlignment(static_cast<Qt::AlignmentFlag>(cell.alignment));
        QTextCharFormat characters = text_format(text);
        if (i < piece.columns)
            characters.setFontWeight(QFont::DemiBold);
        inside.setBlockFormat(block);
        inside.setBlockCharFormat(characters);
        add_runs(inside, cell.runs, characters);
    }
    // The block behind it, which every table has, is as good as none unless the next piece takes
    // it.
    cursor.movePosition(QTextCursor::End);
    QTextBlockFormat none;
    none.setLineHeight(1, QTextBlockFormat::FixedHeight);
    cursor.setBlockFormat(none);
    free_block_ = true;
}

// The margin above the block behind a table counts for nothing.
void MarkdownDocument::space_last_table(qreal margin) {
    QTextTable* table = shown_.empty() ? nullptr : shown_.back().table.data();
    if (!table)
        return;
    QTextTableFormat format = table->format();
    if (format.bottomMargin() == margin)
        return;
    format.setBottomMargin(margin);
    table->setFormat(format);
}

void MarkdownDocument::add_runs(QTextCursor& cursor, const std::vector<MarkdownRun>& runs,
                                const QTextCharFormat& format) {
    for (const MarkdownRun& run : runs) {
        QTextCharFormat own = format;
        if (run.bold)
            own.setFontWeight(QFont::Bold);
        own.setFontItalic(run.italic);
        own.setFontStrikeOut(run.strike);
        if (run.code) {
            own.setFontFamilies({style_.mono_family});
            own.setFontFixedPitch(true);
            own.setProperty(QTextFormat::FontPixelSize,
                            qRound(kCode * format.intProperty(QTextFormat::FontPixelSize)));
            own.setBackground(style_.code_background);
        }
        if (!run.link.isEmpty()) {
            own.setAnchor(true);
            own.setAnchorHref(run.link);
            own.setForeground(style_.link);
            own.setFontUnderline(true);
        }
        cursor.insertText(run.text, own);
    }
}

QTextBlockFormat MarkdownDocument::block_format(const MarkdownPiece& piece) const {
    const qreal pixels = style_.pixels;
    QTextBlockFormat format;
    format.setAlignment(Qt::AlignLeft);  // of text from right to left: Qt::AlignRight
    format.setLayoutDirection(piece.right_to_left ? Qt::RightToLeft : Qt::LeftToRight);
    const qreal gap = kGaps[piece.gap] + (piece.below_code ? kPanelY : 0);
    format.setTopMargin(gap * pixels);
    format.setLineHeight(kLine * pixels, QTextBlockFormat::MinimumHeight);
    qreal margin = piece.quotes * kQuoteIndent * pixels + piece.depth * kIndent * pixels;
    switch (piece.kind) {
    case MarkdownPiece::heading:
        format.setHeadingLevel(piece.level);
        format.setLineHeight(kHeadingLine * kHeading[piece.level - 1] * pixels,
                             QTextBlockFormat::MinimumHeight);
        break;
    case MarkdownPiece::item: {
        const QFontMetricsF metrics(document_->defaultFont());
        const qreal space = std::max(kMarkerGap * pixels, metrics.horizontalAdvance(u' '));
        const qreal width = metrics.horizontalAdvance(piece.marker) + space;
        margin = std::max(margin, margin - kIndent * pixels + width);
        format.setTextIndent(-width);
        break;
    }
    case MarkdownPiece::code:
        margin += kPanelX * pixels;
        format.setTopMargin((gap + kPanelY) * pixels);
        format.setBottomMargin(kPanelY * pixels);
        format.setLineHeight(kHeadingLine * pixels, QTextBlockFormat::MinimumHeight);
        break;
    case MarkdownPiece::rule:
        format.setLineHeight(kRule * pixels, QTextBlockFormat::FixedHeight);
        break;
    default: break;
    }
    if (piece.right_to_left)
        format.setRightMargin(margin);
    else
        format.setLeftMargin(margin);
    return format;
}

QTextCharFormat MarkdownDocument::text_format(const MarkdownPiece& piece) const {
    QTextCharFormat format;
    format.setForeground(piece.quotes > 0 ? style_.muted : style_.text);
    qreal pixels = style_.pixels;
    if (piece.kind == MarkdownPiece::heading) {
        format.setFontWeight(QFont::DemiBold);
        pixels *= kHeading[piece.level - 1];
    } else if (piece.kind == MarkdownPiece::code) {
        format.setFontFamilies({style_.mono_family});
        format.setFontFixedPitch(true);
        pixels *= kCode;
    } else if (piece.kind == MarkdownPiece::rule) {
        pixels *= 0.2;
    }
    format.setProperty(QTextFormat::FontPixelSize, std::max(1, qRound(pixels)));
    return format;
}

// What is found has a colour of its own beside the text's formats, like what a spelling checker
// underlines, so nothing of the text changes.
void MarkdownDocument::highlight() {
    if (!document_ || (find_.isEmpty() && !highlighted_))
        return;
    highlighted_ = !find_.isEmpty();
    FormatSetter setter(*document_);
    for (QTextBlock block = document_->begin(); block.isValid(); block = block.next()) {
        const QString text = block.text();
        FormatRanges ranges;
        if (highlighted_ && text.contains(find_, Qt::CaseInsensitive)) {
            // In a block that has such formats, backgrounds of the text itself are not drawn.
            for (auto it = block.begin(); !it.atEnd(); ++it) {
                QTextCharFormat own;
                own.setBackground(it.fragment().charFormat().background());
                if (own.background().style() != Qt::NoBrush)
                    ranges.append(
                        {it.fragment().position() - block.position(), it.fragment().length(), own});
            }
            ranges = with_found(ranges, text, find_, style_.found);
        }
        setter.set(block, ranges);
    }
}

void MarkdownDocument::decorate_later() {
    if (std::exchange(will_decorate_, true))
        return;
    QMetaObject::invokeMethod(this, &MarkdownDocument::decorate, Qt::QueuedConnection);
}

void MarkdownDocument::decorate() {
    will_decorate_ = false;
    if (!document_)
        return;
    const qreal pixels = style_.pixels;
    const qreal width = std::max(document_->textWidth(), document_->idealWidth());
    QVariantList result;
    std::vector<std::pair<qreal, qreal>> bars(16, {-1, -1});  // of each level of quotes: from, to
    const auto end_bars = [&](size_t level) {
        for (; level < bars.size() && bars[level].first >= 0; ++level) {
            const auto [from, to] = std::exchange(bars[level], {-1, -1});
            const qreal x = (static_cast<qreal>(level) * kQuoteIndent + 0.1) * pixels;
            result.append(decoration("bar", {x, from, std::max(2.0, 0.2 * pixels), to - from}));
        }
    };
    for (const Shown& shown : shown_) {
        const MarkdownPiece& piece = shown.piece;
        end_bars(static_cast<size_t>(piece.quotes));
        if (piece.kind == MarkdownPiece::table)
            decorate_table(shown, result);
        if (piece.kind == MarkdownPiece::table ||
            (piece.quotes == 0 && piece.kind != MarkdownPiece::code &&
             piece.kind != MarkdownPiece::rule))
            continue;
        QRectF rect =
            document_->documentLayout()->blockBoundingRect(document_->findBlock(shown.begin));
        if (piece.kind == MarkdownPiece::code)
            rect.adjust(0, -kPanelY * pixels, 0, kPanelY * pixels);
        for (size_t level = 0; level < static_cast<size_t>(piece.quotes); ++level) {
            if (bars[level].first < 0)
                bars[level].first = rect.top();
            bars[level].second = rect.bottom();
        }
        const qreal left = (piece.quotes * kQuoteIndent + piece.depth * kIndent) * pixels;
        if (piece.kind == MarkdownPiece::code)
            result.append(decoration("panel", {left, rect.top(), width - left, rect.height()}));
        if (piece.kind == MarkdownPiece::rule)
            result.append(decoration("rule", {left, rect.center().y(), width - left, 1}));
    }
    end_bars(0);
    if (result == decorations_)
        return;
    decorations_ = result;
    Q_EMIT decorations_changed();
}

void MarkdownDocument::decorate_table(const Shown& shown, QVariantList& result) const {
    const QTextTable* table = shown.table;
    if (!table)
        return;
    const QAbstractTextDocumentLayout* layout = document_->documentLayout();
    const QTextTableFormat format = table->format();
    const qreal padding = format.cellPadding();
    const auto corner = [&](int row, int column) {
        const QTextBlock block = table->cellAt(row, column).firstCursorPosition().block();
        return layout->blockBoundingRect(block).topLeft() - QPointF(padding, padding);
    };
    // Of a table's rectangle the size is right, and the place is not.
    const QSizeF size = layout->frameBoundingRect(shown.table).size();
    const QPointF top_left(std::min(corner(0, 0).x(), corner(0, table->columns() - 1).x()),
                           corner(0, 0).y());
    const QRectF all(
        top_left, QSizeF(size.width(), size.height() - format.topMargin() - format.bottomMargin()));
    const qreal head_end = table->rows() > 1 ? corner(1, 0).y() : all.bottom();
    result.append(decoration("head", {all.x(), all.y(), all.width(), head_end - all.y()}));
    result.append(decoration("grid", all));
    for (int row = 1; row < table->rows(); ++row)
        result.append(decoration("rule", {all.x(), corner(row, 0).y(), all.width(), 1}));
}

}  // namespace olivine::desktop
