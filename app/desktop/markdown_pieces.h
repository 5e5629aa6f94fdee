// Markdown, read by QTextDocument, as the pieces that a view's document is put together from.
#pragma once

#include <QString>
#include <vector>

namespace olivine::desktop {

struct MarkdownRun {
    QString text = {};
    bool bold = false, italic = false, strike = false, code = false;
    QString link = {};  // http, https or mailto
    bool same_format(const MarkdownRun& other) const {
        return bold == other.bold && italic == other.italic && strike == other.strike &&
               code == other.code && link == other.link;
    }
    bool operator==(const MarkdownRun&) const = default;
};

struct MarkdownCell {
    std::vector<MarkdownRun> runs;
    int alignment = 0;  // of Qt::Alignment
    bool operator==(const MarkdownCell&) const = default;
};

struct MarkdownPiece {
    enum Kind { paragraph, heading, item, code, rule, table };
    enum Gap { none, small, medium, large };  // above it

    Kind kind = paragraph;
    int level = 0;   // of a heading: 1 to 6
    int depth = 0;   // of lists
    int quotes = 0;  // of quotes
    Gap gap = none;
    bool below_code = false;
    bool right_to_left = false;
    QString marker = {};                   // of a list's item: a bullet, "7." or a box
    std::vector<MarkdownRun> runs = {};    // lines are parted by QChar::LineSeparator
    int columns = 0;                       // of a table
    std::vector<MarkdownCell> cells = {};  // [rows][columns]

    bool same_shape(const MarkdownPiece& other) const;  // but for the text
    bool operator==(const MarkdownPiece&) const = default;
};

// GitHub's dialect without HTML, which is text. Pictures are links: nothing is read from anywhere.
// What is too large to be laid out as more is one piece for each line, as it was written.
std::vector<MarkdownPiece> parse_markdown(const QString& markdown);

// One piece for each line.
std::vector<MarkdownPiece> plain_pieces(const QString& text);

}  // namespace olivine::desktop
