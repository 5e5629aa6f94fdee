// Finds a text in others without regard to case, in every script.
#pragma once

#include <QByteArrayView>
#include <QString>

namespace olivine::desktop {

// One character stays one: Greek final sigmas are sigmas, Turkish dotted and dotless letters are
// both i, but a German sharp s is no double s. So a place in the folded text is the same place in
// the text.
class TextSearch {
public:
    explicit TextSearch(const QString& needle);

    bool empty() const { return needle_.isEmpty(); }
    qsizetype length() const { return needle_.size(); }
    // Where the first one begins, in UTF-16 units; -1: nowhere.
    qsizetype find(QByteArrayView utf8) const;

private:
    QString needle_;  // folded
};

// One line around a place of a text.
struct Excerpt {
    QString text;
    int at = 0, length = 0;
};
Excerpt excerpt(const QString& text, qsizetype at, qsizetype length);

}  // namespace olivine::desktop
