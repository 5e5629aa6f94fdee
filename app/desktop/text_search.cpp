#include "app/desktop/text_search.h"

#include <algorithm>
#include <memory>

namespace olivine::desktop {

namespace {

constexpr qsizetype kBefore = 40, kAfter = 120;  // UTF-16 units around what was found

// QChar::toCaseFolded finds its way through three tables; a search of 30 million letters wants one.
class FoldTable {
public:
    FoldTable() : units_(new char16_t[0x10000]) {
        for (char32_t unit = 0; unit < 0x10000; ++unit)
            units_[unit] =
                static_cast<char16_t>(QChar::isSurrogate(unit) ? unit : QChar::toCaseFolded(unit));
        units_[0x130] = units_[0x131] = u'i';  // Unicode folds these for Turkish only
    }
    char16_t operator[](char16_t unit) const { return units_[unit]; }

private:
    std::unique_ptr<char16_t[]> units_;
};

void fold(QString& text) {
    static const FoldTable table;
    char16_t* unit = reinterpret_cast<char16_t*>(text.data());
    char16_t* const end = unit + text.size();
    for (; unit != end; ++unit) {
        *unit = table[*unit];
        if (!QChar::isHighSurrogate(*unit) || unit + 1 == end || !QChar::isLowSurrogate(unit[1]))
            continue;
        const char32_t folded = QChar::toCaseFolded(QChar::surrogateToUcs4(unit[0], unit[1]));
        unit[0] = QChar::highSurrogate(folded);
        unit[1] = QChar::lowSurrogate(folded);
        ++unit;
    }
}

}  // namespace

TextSearch::TextSearch(const QString& needle)
    : needle_(needle.normalized(QString::NormalizationForm_C)) {
    fold(needle_);
}

qsizetype TextSearch::find(QByteArrayView utf8) const {
    QString text = QString::fromUtf8(utf8);
    fold(text);
    return text.indexOf(needle_);
}

Excerpt excerpt(const QString& text, qsizetype at, qsizetype length) {
    at = std::clamp<qsizetype>(at, 0, text.size());
    length = std::clamp<qsizetype>(length, 0, text.size() - at);
    qsizetype begin = std::max<qsizetype>(0, at - kBefore);
    qsizetype end = std::min(text.size(), at + length + kAfter);
    // From a word's beginning, where the script has spaces; never from the middle of a character.
    if (begin > 0) {
        const qsizetype space = QStringView(text).sliced(begin, (at - begin) / 2).indexOf(u' ');
        if (space >= 0)
            begin += space + 1;
        else if (text[begin].isLowSurrogate())
            ++begin;
    }
    if (end < text.size() && text[end].isLowSurrogate())
        --end;

    Excerpt result;
    result.text = text.sliced(begin, end - begin);
    for (QChar& c : result.text)  // one for one: places stay
        if (c.isSpace() || c.category() == QChar::Other_Control)
            c = u' ';
    result.at = static_cast<int>(at - begin);
    result.length = static_cast<int>(length);
    if (begin > 0) {
        result.text.prepend(u'…');
        ++result.at;
    }
    if (end < text.size())
        result.text.append(u'…');
    return result;
}

}  // namespace olivine::desktop
