#include "app/desktop/text_formats.h"

#include <QAbstractTextDocumentLayout>
#include <QTextBlock>
#include <QTextDocument>
#include <algorithm>

namespace olivine::desktop {
namespace {

// The part of a range from `from` to `to`, if there is one.
void append_part(FormatRanges& result, const QTextLayout::FormatRange& range, int from, int to) {
    from = std::max(from, range.start);
    to = std::min(to, range.start + range.length);
    if (from < to)
        result.append({from, to - from, range.format});
}

}  // namespace

FormatRanges with_found(const FormatRanges& ranges, const QString& text, const QString& find,
                        const QColor& found) {
    if (find.isEmpty())
        return ranges;
    FormatRanges result;
    auto range = ranges.begin();
    int done = 0;  // up to where the result goes
    const auto copy_to = [&](int end) {
        for (; range != ranges.end() && range->start < end; ++range) {
            append_part(result, *range, done, end);
            if (range->start + range->length > end)
                break;
        }
        done = std::max(done, end);
    };
    for (qsizetype at = text.indexOf(find, 0, Qt::CaseInsensitive); at >= 0;
         at = text.indexOf(find, at + find.size(), Qt::CaseInsensitive)) {
        const int begin = static_cast<int>(at), end = begin + static_cast<int>(find.size());
        copy_to(begin);
        // Below it the text keeps its own colours.
        for (auto below = range;; ++below) {
            const int next = below == ranges.end() ? end : std::clamp(below->start, done, end);
            QTextCharFormat format;
            format.setBackground(found);
            if (done < next)
                result.append({done, next - done, format});
            if (below == ranges.end() || below->start >= end)
                break;
            format.merge(below->format);
            format.setBackground(found);
            append_part(result, {below->start, below->length, format}, next, end);
            done = std::clamp(below->start + below->length, next, end);
        }
        done = end;
        while (range != ranges.end() && range->start + range->length <= end)
            ++range;
    }
    copy_to(static_cast<int>(text.size()));
    return result;
}

void FormatSetter::set(const QTextBlock& block, const FormatRanges& ranges) {
    if (block.layout()->formats() == ranges)
        return;
    block.layout()->setFormats(ranges);
    changed_.append(block);
}

FormatSetter::~FormatSetter() {
    if (changed_.isEmpty())
        return;
    const int begin = changed_.first().position();
    const QTextBlock& last = changed_.last();
    document_.markContentsDirty(begin, last.position() + last.length() - begin);
    for (const QTextBlock& block : changed_)
        Q_EMIT document_.documentLayout()->updateBlock(block);  // for TextEdit, to draw it anew
}

QString well_formed(const QString& text) {
    QString result = text;
    for (qsizetype i = 0; i < result.size(); ++i) {
        const QChar c = text[i];
        if (c.isHighSurrogate() && i + 1 < text.size() && text[i + 1].isLowSurrogate()) {
            ++i;
            continue;
        }
        const bool no_text = c.isSurrogate() || (c >= QChar(0xfdd0) && c <= QChar(0xfdef));
        if (no_text || c == QChar(0) || c == QChar::ObjectReplacementCharacter)
            result[i] = QChar::ReplacementCharacter;
        else if (c == QChar::ParagraphSeparator || c == QChar::LineSeparator)
            result[i] = u'\n';
    }
    return result;
}

}  // namespace olivine::desktop
