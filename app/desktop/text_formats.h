// Formats that stand beside those of a document's text, so that the text stays as it is.
#pragma once

#include <QColor>
#include <QList>
#include <QString>
#include <QTextBlock>
#include <QTextLayout>

namespace olivine::desktop {

using FormatRanges = QList<QTextLayout::FormatRange>;

// The ranges, which are in order and do not overlap, with all places of `find` in `text` in the
// colour `found`. (What overlaps is drawn wrong.)
FormatRanges with_found(const FormatRanges& ranges, const QString& text, const QString& find,
                        const QColor& found);

// Gives blocks of a document such ranges, and has all that changed laid out at once in the end.
class FormatSetter {
public:
    explicit FormatSetter(QTextDocument& document) : document_(document) {}
    ~FormatSetter();
    FormatSetter(const FormatSetter&) = delete;
    FormatSetter& operator=(const FormatSetter&) = delete;

    void set(const QTextBlock& block, const FormatRanges& ranges);  // from the first on

private:
    QTextDocument& document_;
    QList<QTextBlock> changed_;
};

// Without what is no text in UTF-16 or means something to QTextDocument; of the same length.
QString well_formed(const QString& text);

}  // namespace olivine::desktop
