// Messages as rows, markdown as a document, and the colours of code; and how all three stand what
// no writer means: random text, half characters, 100 KB of one sign.
#include <QClipboard>
#include <QDir>
#include <QElapsedTimer>
#include <QFile>
#include <QGuiApplication>
#include <QKeyEvent>
#include <QQmlComponent>
#include <QQmlEngine>
#include <QQuickItem>
#include <QQuickWindow>
#include <QTemporaryDir>
#include <QTextBlock>
#include <QTextDocument>
#include <QTextLayout>
#include <QTextTable>
#include <QUrl>
#include <catch2/catch_session.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cmath>
#include <functional>
#include <memory>
#include <random>

#include "app/desktop/code_colours.h"
#include "app/desktop/code_highlighter.h"
#include "app/desktop/markdown_document.h"
#include "app/desktop/markdown_pieces.h"
#include "app/desktop/message_blocks.h"
#include "app/desktop/text_formats.h"

namespace Catch {
template <>
struct StringMaker<QString> {
    static std::string convert(const QString& text) { return '"' + text.toStdString() + '"'; }
};
}  // namespace Catch

namespace olivine::desktop {
namespace {

bool wait_for(const std::function<bool()>& condition, int ms = 20'000) {
    QElapsedTimer timer;
    timer.start();
    while (!condition() && timer.elapsed() < ms)
        QCoreApplication::processEvents(QEventLoop::AllEvents | QEventLoop::WaitForMoreEvents, 10);
    return condition();
}

void wait(int ms) {
    wait_for([] { return false; }, ms);
}

// What the rows are, in a form that is easy to read in a failed test.
QStringList summary(const std::vector<MessageBlock>& blocks) {
    QStringList result;
    for (const MessageBlock& block : blocks)
        result << (block.code ? QStringLiteral("%1[%2]%3")
                                    .arg(block.closed ? "code" : "open", block.language, block.text)
                              : block.text);
    return result;
}

QStringList rows(const QString& text) {
    return summary(split_message(text));
}

// Counts what it is asked to read. Every call is one too many.
class WatchedDocument : public QTextDocument {
public:
    int loads = 0;

protected:
    QVariant loadResource(int, const QUrl&) override {
        ++loads;
        return {};
    }
};

struct Page {
    WatchedDocument document;
    MarkdownDocument markdown;

    Page() {
        QFont font = document.defaultFont();
        font.setPixelSize(15);
        document.setDefaultFont(font);
        document.setDocumentMargin(0);
        document.setTextWidth(600);
        markdown.set_text_color(QColor("#101010"));
        markdown.set_muted_color(QColor("#606060"));
        markdown.set_link_color(QColor("#0000c0"));
        markdown.set_code_background(QColor("#e0e0e0"));
        markdown.set_mono_family(QStringLiteral("DejaVu Sans Mono"));
        markdown.set_text_document(&document);
    }
    QTextBlock block(const QString& text) const {
        for (QTextBlock block = document.begin(); block.isValid(); block = block.next())
            if (block.text().contains(text))
                return block;
        FAIL("no block has " << text.toStdString() << " in "
                             << document.toPlainText().toStdString());
        return {};
    }
    QTextCharFormat format(const QString& text) const {
        const QTextBlock found = block(text);
        QTextCursor cursor(found);
        cursor.setPosition(found.position() + static_cast<int>(found.text().indexOf(text)) + 1);
        return cursor.charFormat();
    }
    QString text() const { return document.toPlainText(); }
    qreal layout_ms() {
        QElapsedTimer timer;
        timer.start();
        document.size();
        return static_cast<qreal>(timer.nsecsElapsed()) * 1e-6;
    }
};

// All that is in a document: texts, formats and tables.
QStringList contents(const QTextDocument& document) {
    QStringList result;
    for (QTextBlock block = document.begin(); block.isValid(); block = block.next()) {
        const QTextBlockFormat format = block.blockFormat();
        const QTextTable* table = QTextCursor(block).currentTable();
        result << QStringLiteral("%1 %2 %3 %4 %5 %6 %7 %8")
                      .arg(format.topMargin())
                      .arg(format.bottomMargin())
                      .arg(format.leftMargin())
                      .arg(format.rightMargin())
                      .arg(format.textIndent())
                      .arg(format.lineHeight())
                      .arg(format.headingLevel())
                      .arg(table ? table->format().bottomMargin() : -1);
        for (auto it = block.begin(); !it.atEnd(); ++it) {
            const QTextCharFormat text = it.fragment().charFormat();
            result << QStringLiteral("  %1 %2 %3 %4 %5 %6")
                          .arg(it.fragment().text())
                          .arg(text.fontWeight())
                          .arg(text.fontItalic())
                          .arg(text.anchorHref())
                          .arg(text.fontFamilies().toStringList().join(u','))
                          .arg(text.foreground().color().name());
        }
    }
    return result;
}

class RandomMarkdown {
public:
    explicit RandomMarkdown(unsigned seed) : random_(seed) {}
    unsigned below(unsigned limit) {
        return std::uniform_int_distribution<unsigned>(0, limit - 1)(random_);
    }

    QString next(unsigned most_parts) {
        static const QStringList parts = {"word",
                                          " ",
                                          "\n",
                                          "\n\n",
                                          "# ",
                                          "## ",
                                          "- ",
                                          "1. ",
                                          "3) ",
                                          "> ",
                                          ">",
                                          "```",
                                          "~~~",
                                          "`",
                                          "**",
                                          "*",
                                          "_",
                                          "__",
                                          "~~",
                                          "|",
                                          "|-|-|",
                                          "\n|a|b|\n|-|-|\n|c|d|\n",
                                          "[a](http://b.c)",
                                          "![",
                                          "![x](y.png)",
                                          "![](z)",
                                          "[",
                                          "](",
                                          ")",
                                          "<b>",
                                          "</b>",
                                          "<!--",
                                          "&amp;",
                                          "&#0;",
                                          "&",
                                          "\\",
                                          "  \n",
                                          "\\\n",
                                          "---\n",
                                          "===\n",
                                          "    ",
                                          "\t",
                                          "- [ ] ",
                                          "- [x] ",
                                          "http://x.y/z",
                                          "a@b.cd",
                                          "\u202e",
                                          "שלום",
                                          "مرحبا",
                                          "漢字",
                                          "🎉",
                                          "e\u0301",
                                          "\r\n",
                                          "\r",
                                          "\f",
                                          "\n```py\nx = 1\n```\n",
                                          "\n- a\n  - b\n",
                                          "\n> q\n",
                                          "[r]: http://s\n",
                                          "[r]",
                                          "1) 2) 3. ",
                                          "* * *\n",
                                          "+ ",
                                          ":-:",
                                          "\n\n    code\n",
                                          "<http://a.b>",
                                          "\\`",
                                          "javascript:x",
                                          "\u00a0"};
        QString text;
        const unsigned count = below(most_parts) + 1;
        for (unsigned i = 0; i < count; ++i) {
            switch (below(40)) {
            case 0: text += QChar(static_cast<char16_t>(0xd800 + below(0x800))); break;
            case 1: text += QChar(static_cast<char16_t>(below(0x10000))); break;
            case 2: text += QChar(static_cast<char16_t>(below(32))); break;
            case 3: text += QChar(static_cast<char16_t>(0xfdd0 + below(16))); break;
            default: text += parts[below(static_cast<unsigned>(parts.size()))];
            }
        }
        return text;
    }

private:
    std::mt19937 random_;
};

}  // namespace

TEST_CASE("code between fences is a row, and so is the prose around it") {
    CHECK(rows("a\n\n```cpp\nint x;\n\ny\n```\n\nb\n") ==
          QStringList{"a", "code[cpp]int x;\n\ny", "b"});
    CHECK(rows("```\nx\n```") == QStringList{"code[]x"});
    CHECK(rows("~~~~ Python title=1\n~~~\n```\n~~~~~  \nb") ==
          QStringList{"code[python]~~~\n```", "b"});
    CHECK(rows("   ```js\n   a\n     b\n  c\n  ```") == QStringList{"code[js]a\n  b\nc"});
    CHECK(rows("a\r\n```c\r\nx\r\n```\r\nb") == QStringList{"a", "code[c]x", "b"});
    CHECK(rows("```{.python #id}\n```").first().startsWith("code[python]"));
    CHECK(rows("```rust,ignore\n```").first().startsWith("code[rust]"));
    CHECK(rows("a\n    ```\n    b") == QStringList{"a\n    ```\n    b"});  // indented code
    CHECK(rows("``` a`b\nc") == QStringList{"``` a`b\nc"});                // code in a line
    CHECK(rows("> ```\n> a\n> ```") == QStringList{"> ```\n> a\n> ```"});  // the quote's
    CHECK(rows("").isEmpty());
    CHECK(rows("\n \n\t\n").isEmpty());
}

TEST_CASE("a fence that nothing closes is code up to the end") {
    CHECK(rows("a\n```py\nb\n\nc") == QStringList{"a", "open[py]b\n\nc"});
    CHECK(rows("````\n```\n") == QStringList{"open[]```"});
    CHECK(rows("```py") == QStringList{"open[py]"});
}

TEST_CASE("fences in lists are the list's, and what comes after them stays text") {
    CHECK(rows("1. do\n   ```sh\n   ls\n     -l\n   ```\n   more\n2. next\n   - a") ==
          QStringList{"1. do", "code[sh]ls\n  -l", "more\n2. next\n   - a"});
    CHECK(rows("- a\n  - b\n\n      ```\n      x\n      ```\n      y\n\nz") ==
          QStringList{"- a\n  - b", "code[]x", "y\n\nz"});
    CHECK(rows("- ```py\n  x\n  ```\n- b") == QStringList{"-", "code[py]x", "- b"});
    CHECK(rows("10. a\n\n\t```\n\tx\n\t```\n") == QStringList{"10. a", "code[]x"});
}

TEST_CASE("long prose is cut between paragraphs, and not in a list, a quote or a table") {
    const QString paragraph = QString("word ").repeated(60).trimmed() + "\n\n";
    const QString prose = paragraph.repeated(100);
    const std::vector<MessageBlock> cut = split_message(prose);
    REQUIRE(cut.size() >= 8);
    QStringList texts;
    for (const MessageBlock& block : cut) {
        CHECK(block.text.size() < 3600);
        texts << block.text;
    }
    CHECK(texts.join("\n\n") == prose.trimmed());

    const QString item = "- " + QString("item ").repeated(30).trimmed() + "\n\n";
    CHECK(rows(paragraph + item.repeated(40)).size() == 1);
    CHECK(rows(item.repeated(40) + "after\n").size() == 2);
    const QString quote = "> " + QString("said ").repeated(30).trimmed() + "\n";
    CHECK(rows(quote.repeated(40)).size() == 1);
    const QString table =
        "|a|b|\n|-|-|\n" + QString("|" + QString("cell ").repeated(20) + "|x|\n").repeated(60);
    CHECK(rows(paragraph + table).size() == 1);

    // There is an end to it.
    for (const MessageBlock& block : split_message(item.repeated(1000)))
        CHECK(block.text.size() < 13'000);
    CHECK(rows(QString("- x\n").repeated(1000)).size() == 5);
    const std::vector<MessageBlock> line = split_message(QString("🎉").repeated(20'000));
    REQUIRE(line.size() > 9);
    for (const MessageBlock& block : line)
        CHECK(well_formed(block.text) == block.text);  // no half characters
    CHECK(split_message(QString("word ").repeated(2000))[0].text.endsWith("word"));
    for (const MessageBlock& block :
         split_message(QString("|a very long table|\n").repeated(10'000)))
        CHECK(block.text.size() < 41'000);
}

TEST_CASE("streamed, the rows are those of the whole text, and only the last ones change") {
    RandomMarkdown random(1);
    for (int round = 0; round < 60; ++round) {
        QString text = random.next(80);
        if (round % 3 == 0)  // long enough to be cut
            text = text + QString("\n\nSome words, and then more. ").repeated(140) +
                   random.next(40) + QString("\n\n- an item of a list").repeated(200) +
                   random.next(20);
        CAPTURE(round, text);
        MessageBlocks streamed;
        int touched = 0;  // the first row that the last change touched
        QObject::connect(&streamed, &MessageBlocks::dataChanged,
                         [&](const QModelIndex& from) { touched = std::min(touched, from.row()); });
        QObject::connect(&streamed, &MessageBlocks::rowsInserted,
                         [&](const QModelIndex&, int from) { touched = std::min(touched, from); });
        QObject::connect(&streamed, &MessageBlocks::rowsRemoved,
                         [&](const QModelIndex&, int from) { touched = std::min(touched, from); });
        bool last_only = true;
        for (qsizetype end = 0; end < text.size();) {
            end = std::min(text.size(), end + 1 + random.below(7));
            const int before = streamed.count();
            touched = before;
            streamed.set_text(text.left(end));
            last_only = last_only && touched >= before - 2;
        }
        CHECK(last_only);
        CHECK(summary(streamed.blocks()) == rows(text));
    }
}

TEST_CASE("another text, and text as it was typed") {
    MessageBlocks blocks;
    blocks.set_text("a\n```\nb\n```\nc");
    REQUIRE(blocks.count() == 3);
    CHECK(blocks.data(blocks.index(1), MessageBlocks::KindRole) == "code");
    CHECK(blocks.data(blocks.index(1), MessageBlocks::TextRole) == "b");
    CHECK(blocks.data(blocks.index(1), MessageBlocks::ClosedRole) == true);
    blocks.set_text("x\n```\ny");
    CHECK(summary(blocks.blocks()) == QStringList{"x", "open[]y"});
    blocks.set_plain(true);
    REQUIRE(blocks.count() == 1);
    CHECK(blocks.data(blocks.index(0), MessageBlocks::KindRole) == "prose");
    CHECK(blocks.data(blocks.index(0), MessageBlocks::TextRole) == "x\n```\ny");
    blocks.set_plain(false);
    CHECK(blocks.count() == 2);
    blocks.set_text("");
    CHECK(blocks.count() == 0);
}

TEST_CASE("markdown becomes a document") {
    Page page;
    page.markdown.set_markdown(
        "# Title\n\nSome **bold**, _slanted_, __strong__, ~~gone~~ and `mono` text.\nThe same "
        "paragraph.\n\n"
        "### Third\n\n> said\n>\n> > twice\n\n---\n\nend");
    CHECK(page.text() ==
          "Title\nSome bold, slanted, strong, gone and mono text. The same paragraph.\n"
          "Third\nsaid\ntwice\n\nend");
    CHECK(page.block("Title").blockFormat().headingLevel() == 1);
    CHECK(page.format("Title").intProperty(QTextFormat::FontPixelSize) > 20);
    CHECK(page.format("Third").intProperty(QTextFormat::FontPixelSize) > 15);
    CHECK(page.format("Title").fontWeight() >= QFont::DemiBold);
    CHECK(page.format("bold").fontWeight() == QFont::Bold);
    CHECK(page.format("slanted").fontItalic());
    CHECK(page.format("strong").fontWeight() == QFont::Bold);
    CHECK(!page.format("slanted").fontUnderline());
    CHECK(page.format("gone").fontStrikeOut());
    CHECK(page.format("mono").background().color() == QColor("#e0e0e0"));
    CHECK(page.format("mono").fontFamilies().toStringList() == QStringList{"DejaVu Sans Mono"});
    CHECK(page.format("Some").foreground().color() == QColor("#101010"));
    CHECK(page.format("said").foreground().color() == QColor("#606060"));
    CHECK(page.block("twice").blockFormat().leftMargin() >
          page.block("said").blockFormat().leftMargin());
    CHECK(page.block("said").blockFormat().leftMargin() >
          page.block("Some").blockFormat().leftMargin());
    page.layout_ms();
    CHECK(
        wait_for([&] { return page.markdown.decorations().size() == 3; }));  // two bars and a rule
}

TEST_CASE("lists have their markers, numbers and levels") {
    Page page;
    page.markdown.set_markdown(
        "3. three\n4. **four**\n   - in it\n     - deeper\n5. five\n\n"
        "- [ ] open\n- [x] done\n\n1) one\n");
    CHECK(page.text() ==
          "3. three\n4. four\n\u25e6 in it\n\u2022 deeper\n5. five\n\u2610 open\n"
          "\u2611 done\n1) one");
}

TEST_CASE("depth of lists indents, and the text hangs") {
    Page page;
    page.markdown.set_markdown("- one\n  - two\n\n100. hundred\n");
    const QTextBlockFormat one = page.block("one").blockFormat(),
                           two = page.block("two").blockFormat();
    CHECK(one.textIndent() < 0);
    CHECK(one.leftMargin() + one.textIndent() >= 0);
    CHECK(two.leftMargin() > one.leftMargin() + 15);
    const QTextBlockFormat hundred = page.block("hundred").blockFormat();
    CHECK(hundred.leftMargin() + hundred.textIndent() >= 0);
}

TEST_CASE("what looks like the marks of the reader's helper in the source stays what it is") {
    Page page;
    // Breaks in a line; and in code all stays.
    page.markdown.set_markdown(
        "one  \ntwo\\\nthree\n\n    3. x\\\n    y  \n    z\n\n2. `a`\n3. [l](http://m)\n");
    CHECK(page.text() == "one\ntwo\nthree\n3. x\\\ny  \nz\n2. a\n3. l");
    page.markdown.set_markdown("7. # head\n8. - list\n\n2024. a year\n");
    CHECK(page.text().contains("head"));
    page.markdown.set_markdown(QString("a") + QChar(0xfdd2) + "5" + QChar(0xfdd3) + "b");
    CHECK(page.text() == QString("a\ufffd5\ufffdb"));
    page.markdown.set_markdown("**bold.**  \nnext\n\n1. _slanted_\n2. **bold**\n");
    CHECK(page.format("bold.").fontWeight() == QFont::Bold);
    CHECK(page.format("slanted").fontItalic());
    CHECK(page.text() == "bold.\nnext\n1. slanted\n2. bold");
}

TEST_CASE("tables have cells, alignments and a bold head") {
    Page page;
    page.markdown.set_markdown(
        "before\n\n| a | b | c |\n|:--|:-:|--:|\n| 1 | **2** | 3 |\n| 4 |\n\nafter");
    QTextTable* table = QTextCursor(page.block("1")).currentTable();
    REQUIRE(table);
    CHECK(table->rows() == 3);
    CHECK(table->columns() == 3);
    CHECK(page.format("a").fontWeight() >= QFont::DemiBold);
    CHECK(page.format("1").fontWeight() == QFont::Normal);
    CHECK(page.format("2").fontWeight() == QFont::Bold);
    CHECK((page.block("3").blockFormat().alignment() & Qt::AlignRight));
    CHECK((page.block("2").blockFormat().alignment() & Qt::AlignHCenter));
    CHECK(table->format().bottomMargin() > 0);
    page.markdown.set_markdown("before\n\n| a | b | c |\n|:--|:-:|--:|\n| 1 | **2** | 3 |\n| 4 |");
    CHECK(table->format().bottomMargin() == 0);
    page.markdown.set_markdown("|a|\n|-|\n|x|\n\n|b|\n|-|\n|y|\n");
    CHECK(page.document.rootFrame()->childFrames().size() == 2);
    page.markdown.set_markdown("gone");
    CHECK(page.text() == "gone");
    CHECK(page.document.rootFrame()->childFrames().isEmpty());
}

TEST_CASE("pictures are links, and nothing is read from anywhere") {
    Page page;
    page.markdown.set_markdown(
        "![a cat](http://cats.org/cat.png) ![local](file:///etc/passwd)\n"
        "![](https://no.words/x.png)\n\n![ref][r]\n\n[r]: http://r.org/r.png\n\n"
        "`![code](http://in.code)` <img src=\"http://html\">");
    page.layout_ms();
    CHECK(page.document.loads == 0);
    CHECK(!page.document.toHtml().contains("<img"));
    CHECK(!page.text().contains(QChar::ObjectReplacementCharacter));
    CHECK(page.format("a cat").anchorHref() == "http://cats.org/cat.png");
    CHECK(page.format("local").anchorHref().isEmpty());
    CHECK(page.format("picture").anchorHref() == "https://no.words/x.png");
    CHECK(page.format("ref").anchorHref() == "http://r.org/r.png");
    CHECK(page.text().contains("![code](http://in.code)"));
    CHECK(page.text().contains("<img src=\"http://html\">"));  // HTML is text
}

TEST_CASE("only the web and mail are linked to") {
    Page page;
    page.markdown.set_markdown(
        "[web](https://a.b) [mail](mailto:a@b.c) [script](javascript:alert(1)) "
        "[file](file:///etc/passwd) [part](#x) http://bare.org");
    CHECK(page.format("web").isAnchor());
    CHECK(page.format("web").foreground().color() == QColor("#0000c0"));
    CHECK(page.format("mail").isAnchor());
    CHECK(page.format("bare").anchorHref() == "http://bare.org");
    CHECK(!page.format("script").isAnchor());
    CHECK(!page.format("file").isAnchor());
    CHECK(!page.format("part").isAnchor());
}

TEST_CASE("paragraphs from right to left begin at the right") {
    Page page;
    page.markdown.set_markdown(
        "left\n\nשלום `code`\n\n- مرحبا\n- item\n\n| שם | x |\n|-|-|\n| א | b |");
    page.layout_ms();
    const auto natural = [&](const QString& text) {
        return page.block(text).layout()->lineAt(0).naturalTextRect();
    };
    CHECK(natural("left").left() < 5);
    CHECK(natural("שלום").right() > 590);
    CHECK(natural("item").left() < 40);
    CHECK(natural("مرحبا").right() > 560);
    CHECK(page.block("مرحبا").blockFormat().rightMargin() > 15);
    CHECK(QTextCursor(page.block("שם")).currentTable()->format().layoutDirection() ==
          Qt::RightToLeft);
    CHECK(page.block("b").blockFormat().layoutDirection() == Qt::LeftToRight);
}

TEST_CASE("streamed markdown becomes the document that it becomes at once") {
    RandomMarkdown random(2);
    for (int round = 0; round < 250; ++round) {
        const QString text = random.next(60);
        CAPTURE(round, text);
        Page streamed, whole;
        for (qsizetype end = 0; end < text.size();) {
            end = std::min(text.size(), end + 1 + random.below(20));
            streamed.markdown.set_markdown(text.left(end));
        }
        REQUIRE(wait_for([&] { return streamed.markdown.up_to_date(); }));
        whole.markdown.set_markdown(text);
        REQUIRE(contents(streamed.document) == contents(whole.document));
    }
}

TEST_CASE("any markdown may follow any other") {
    RandomMarkdown random(3);
    Page page;
    for (int round = 0; round < 400; ++round) {
        const QString text = random.next(30);
        CAPTURE(round, text);
        page.markdown.set_markdown(text);
        Page whole;
        whole.markdown.set_markdown(text);
        REQUIRE(contents(page.document) == contents(whole.document));
    }
}

TEST_CASE("a selection before what changes stays") {
    const QString text =
        "# Head\n\nOne two three.\n\n- item **bold**\n\n| a | b |\n|-|-|\n| c | d |\n\nand the end";
    Page page;
    page.markdown.set_markdown(text);
    QTextCursor cursor(&page.document);
    cursor.setPosition(2);
    cursor.setPosition(page.block("item").position() + 4, QTextCursor::KeepAnchor);
    const QString selected = cursor.selectedText();
    QTextCursor in_last(&page.document);
    in_last.setPosition(page.block("and the end").position() + 4);
    in_last.movePosition(QTextCursor::NextCharacter, QTextCursor::KeepAnchor, 3);
    REQUIRE(in_last.selectedText() == "the");
    page.markdown.set_markdown(text + " grows");
    page.markdown.set_markdown(text + " grows **more**\n\n1. list\n2. list");
    REQUIRE(wait_for([&] { return page.markdown.up_to_date(); }));
    CHECK(page.text().endsWith("2. list"));
    CHECK(cursor.selectedText() == selected);
    CHECK(in_last.selectedText() == "the");
}

TEST_CASE("what is looked for is highlighted beside the text's own formats") {
    Page page;
    page.markdown.set_found_color(Qt::yellow);
    page.markdown.set_markdown("A needle in `needles`, **Need**le.\n\nnone");
    const QStringList before = contents(page.document);
    page.markdown.set_find("needle");
    CHECK(contents(page.document) == before);
    int found = 0;
    for (const auto& range : page.block("A needle").layout()->formats())
        found += range.format.background().color() == Qt::yellow ? range.length : 0;
    CHECK(found == 18);
    CHECK(page.block("none").layout()->formats().isEmpty());
    page.markdown.set_find("");
    CHECK(page.block("A needle").layout()->formats().isEmpty());
}

TEST_CASE("ranges of what is found part those below") {
    QTextCharFormat red, blue;
    red.setForeground(Qt::red);
    blue.setForeground(Qt::blue);
    const FormatRanges ranges = {{0, 4, red}, {6, 2, blue}, {9, 5, red}};
    const QString text = "abcdeXXfgXXhijXX";
    const FormatRanges result = with_found(ranges, text, "xx", Qt::yellow);
    QString map(text.size(), u'.');
    int end = 0;
    for (const auto& range : result) {
        CHECK(range.start >= end);
        end = range.start + range.length;
        const bool found = range.format.background().color() == Qt::yellow;
        const QColor color = range.format.foreground().color();
        const bool colored = range.format.hasProperty(QTextFormat::ForegroundBrush);
        const QChar mark = !colored           ? u'y'
                           : color == Qt::red ? (found ? u'R' : u'r')
                                              : (found ? u'B' : u'b');
        for (int i = range.start; i < end; ++i)
            map[i] = mark;
    }
    CHECK(map == "rrrr.yBb.RRrrryy");
    CHECK(with_found(ranges, text, "", Qt::yellow) == ranges);
}

TEST_CASE("text is made well-formed, one character for one") {
    CHECK(well_formed(QStringLiteral("aé🎉")) == QStringLiteral("aé🎉"));
    QString broken = QStringLiteral("a");
    broken += QChar(0xd83c);
    broken += u'b';
    broken += QChar(0xdf89);
    broken += QChar(0xfdd0);
    broken += QChar(0xfffc);
    broken += QChar(0);
    broken += QChar(0x2029);
    CHECK(well_formed(broken) == QStringLiteral("a\ufffdb\ufffd\ufffd\ufffd\ufffd\n"));
}

TEST_CASE("2,000 random documents do no harm") {
    RandomMarkdown random(4);
    Page page;
    for (int round = 0; round < 2000; ++round) {
        const QString text = random.next(round % 50 == 0 ? 1500 : 60);
        CAPTURE(round, text);
        page.markdown.set_plain(round % 10 == 9);
        page.markdown.set_markdown(text);
        if (round % 4 == 0)
            page.layout_ms();
        for (QTextBlock block = page.document.begin(); block.isValid(); block = block.next())
            for (auto it = block.begin(); !it.atEnd(); ++it)
                REQUIRE(!it.fragment().charFormat().isImageFormat());
        split_message(text);
        spans_of(text);
    }
    CHECK(page.document.loads == 0);
}

TEST_CASE("100 KB of one sign is shown in a bounded time") {
    const QString sign =
        GENERATE("> ", ">", "[", "![", "*", "**a", "_*", "a*", "- ", "1. ", "`", "`a ``b ", "(",
                 "[a](", "~~ ", "&amp;", "<a ", "|a", "# \n", "-\n", ">\n", "a\n\n", "---\n\n",
                 "*a* `b` ", "http://a.b ", "[a]: b\n", "\\", "a@b.c ", "[x](y* ",
                 "|a|b|\n|-|-|\n|c|d|\n\n", "word ", "x", "🎉", "\u0301", "א1", "1.\n", "- a\n\n  ",
                 "  - ", "- a\n", "***", "<", "!", "\t", " ", "\n", "|a|b|c|d|e|f|g|h|\n");
    CAPTURE(sign);
    const QString text = sign.repeated(100'000 / sign.size());
    Page page;
    QElapsedTimer timer;
    timer.start();
    page.markdown.set_markdown(text);
    const qint64 set = timer.restart();
    page.layout_ms();
    const qint64 laid_out = timer.restart();
    const std::vector<MessageBlock> blocks = split_message(text);
    const qint64 split = timer.elapsed();
    CAPTURE(set, laid_out, split, blocks.size());
    // The slowest, by far, are 50,000 emoji: 8 s, or 0.2 ms each. Rows of messages are shorter.
    CHECK(set < 60'000);
    CHECK(laid_out < 1000);
    CHECK(split < 2000);
    // What is shown of a message that is streamed.
    Page row;
    const QString last = blocks.empty() ? QString() : blocks[blocks.size() / 2].text;
    timer.restart();
    row.markdown.set_markdown(last);
    CHECK(timer.elapsed() < (sign == "🎉" ? 5000 : 1000));
}

TEST_CASE("a long answer is streamed without the old being read again") {
    const QString paragraph =
        "Some words that fill a line, and **some** more of them.\n\n```c\nint x;\n```\n\n";
    const QString text = paragraph.repeated(4000);  // 300 KB
    MessageBlocks blocks;
    QElapsedTimer timer;
    timer.start();
    for (qsizetype end = 0; end <= text.size(); end += 40)
        blocks.set_text(text.left(end));
    // 7,500 changes take 0.5 s, nearly all of it copying; reading all each time takes a minute.
    CHECK(timer.elapsed() < 10'000);
    CHECK(blocks.count() == 8000);
}

TEST_CASE("spans come from highlight.js's HTML") {
    CHECK(spans_of(QStringLiteral(
              "a <span class=\"hljs-keyword\">if</span> &lt;<span class=\"hljs-string\">"
              "&quot;x<span class=\"hljs-subst\">y</span>z&quot;</span>")) ==
          std::vector<TokenSpan>{
              {2, 2, Token::keyword}, {6, 2, Token::string}, {9, 2, Token::string}});
    CHECK(spans_of(QStringLiteral("<span class=\"hljs-meta-keyword\">x</span>")) ==
          std::vector<TokenSpan>{{0, 1, Token::keyword}});
    CHECK(spans_of(QStringLiteral("<span class=\"hljs-unheard\">x</span></span></span>&amp"))
              .empty());
    CHECK(known_language("C++") == "cpp");
    CHECK(known_language("js") == "javascript");
    CHECK(known_language("toml") == "ini");
    CHECK(known_language("klingon").isEmpty());
    CHECK(known_language("").isEmpty());
}

namespace {

Token token_at(const CodeColours& colours, const QString& text) {
    const qsizetype at = colours.code().indexOf(text);
    REQUIRE(at >= 0);
    for (const TokenSpan& span : colours.spans())
        if (span.begin <= at && at < span.begin + span.length)
            return span.token;
    return Token::plain;
}

struct ColouredPage {
    QTextDocument document;
    CodeColours colours;
    int times = 0;
    ColouredPage() {
        colours.set_text_document(&document);
        QObject::connect(&colours, &CodeColours::coloured, [this] { ++times; });
    }
};

}  // namespace

TEST_CASE("code is shown at once, and coloured then") {
    ColouredPage page;
    page.colours.set_language("cpp");
    page.colours.set_code(
        "// words\nint main() {\n    return \"a<b>&amp;\" + 42; /* two\nlines */ x\n}\n");
    CHECK(page.document.toPlainText() == page.colours.code());
    CHECK(page.colours.spans().empty());
    REQUIRE(wait_for([&] { return page.times > 0; }));
    CHECK(token_at(page.colours, "// words") == Token::comment);
    CHECK(token_at(page.colours, "int") == Token::keyword);
    CHECK(token_at(page.colours, "return") == Token::keyword);
    CHECK(token_at(page.colours, "\"a<b>&amp;\"") == Token::string);
    CHECK(token_at(page.colours, "42") == Token::number);
    CHECK(token_at(page.colours, "lines") == Token::comment);
    CHECK(token_at(page.colours, "x\n}") == Token::plain);
    // In the document, too, in each line and in both themes.
    for (const bool dark : {false, true}) {
        page.colours.set_dark(dark);
        const auto first = page.document.begin().layout()->formats();
        REQUIRE(first.size() == 1);
        CHECK(first[0].start == 0);
        CHECK(first[0].length == 8);
        CHECK(first[0].format.foreground().color() == token_color(Token::comment, dark));
        const auto fourth = page.document.findBlockByNumber(3).layout()->formats();
        REQUIRE(fourth.size() == 1);
        CHECK(fourth[0].length == 8);
    }
}

TEST_CASE("every language that is built in colours something") {
    const auto [language, code] =
        GENERATE(table<const char*, const char*>({{"c", "int x = 1;"},
                                                  {"cpp", "int x;"},
                                                  {"cs", "var x = 1;"},
                                                  {"css", "a { color: red; }"},
                                                  {"bash", "if true; then echo \"x\"; fi"},
                                                  {"diff", "+ a"},
                                                  {"dockerfile", "FROM debian"},
                                                  {"glsl", "uniform vec3 x;"},
                                                  {"go", "func main() {}"},
                                                  {"haskell", "main = do x"},
                                                  {"html", "<a href=\"b\">"},
                                                  {"xml", "<a b=\"c\"/>"},
                                                  {"ini", "[a]\nb=1"},
                                                  {"toml", "a = 1"},
                                                  {"java", "class A {}"},
                                                  {"javascript", "let x = 1;"},
                                                  {"json", "{\"a\": 1}"},
                                                  {"julia", "function f() end"},
                                                  {"kotlin", "fun main() {}"},
                                                  {"latex", "\\begin{a}"},
                                                  {"lua", "local x = 1"},
                                                  {"makefile", "all: # x"},
                                                  {"markdown", "# a"},
                                                  {"objectivec", "@interface A"},
                                                  {"perl", "my $x = 1;"},
                                                  {"php", "<?php echo 1;"},
                                                  {"powershell", "Get-Item $x"},
                                                  {"python", "def f(): pass"},
                                                  {"r", "x <- \"a\""},
                                                  {"ruby", "def f; end"},
                                                  {"rust", "fn main() {}"},
                                                  {"scala", "object A"},
                                                  {"sql", "SELECT * FROM a;"},
                                                  {"swift", "let x = 1"},
                                                  {"typescript", "let x: number = 1;"},
                                                  {"yaml", "a: 1"},
                                                  {"x86asm", "mov eax, 1"},
                                                  {"cmake", "set(a b)"}}));
    CAPTURE(language);
    ColouredPage page;
    page.colours.set_language(language);
    page.colours.set_code(code);
    REQUIRE(wait_for([&] { return page.times > 0; }));
    CHECK(!page.colours.spans().empty());
}

TEST_CASE("code that grows is appended to, and ends up coloured as a whole") {
    ColouredPage page;
    page.colours.set_language("python");
    page.colours.set_closed(false);
    QString code;
    QTextCursor kept(&page.document);
    QElapsedTimer timer;
    timer.start();
    for (int i = 0; i < 300; ++i) {
        code += QStringLiteral("def f%1(x):\n    return x + %1  # note\n").arg(i);
        page.colours.set_code(code);
        if (i == 0) {
            kept.setPosition(4);
            kept.setPosition(6, QTextCursor::KeepAnchor);
        }
        wait(2);
    }
    CHECK(page.times <= timer.elapsed() / 60 + 2);  // not for each change
    REQUIRE(wait_for([&] { return token_at(page.colours, "def f299") == Token::keyword; }));
    CHECK(page.document.toPlainText() == code);
    CHECK(kept.selectedText() == "f0");
    page.colours.set_code("pass");
    CHECK(page.document.toPlainText() == "pass");
    CHECK(wait_for([&] { return token_at(page.colours, "pass") == Token::keyword; }));
    CHECK(page.colours.spans().size() == 1);
}

TEST_CASE("colours of code that has been replaced are not shown") {
    ColouredPage page;
    bool fits = true;
    QObject::connect(&page.colours, &CodeColours::coloured, [&] {
        for (const TokenSpan& span : page.colours.spans())
            fits = fits && span.begin + span.length <= page.colours.code().size();
    });
    page.colours.set_language("cpp");
    page.colours.set_code(QString("int x = 1;\n").repeated(2000));
    wait(1);  // it is being read
    page.colours.set_code("int");
    REQUIRE(wait_for([&] { return page.colours.spans().size() == 1; }));
    CHECK(fits);
}

TEST_CASE("what nothing is known about stays plain") {
    const QString python =
        "import os\n\ndef main():\n    print('a')\n\nif __name__ == '__main__':\n    main()\n";
    ColouredPage page;
    SECTION("a language that is not known") {
        page.colours.set_language("klingon");
        page.colours.set_code(python);
        wait(300);
        CHECK(page.times == 0);
    }
    SECTION("code without a language is guessed when it has ended") {
        page.colours.set_closed(false);
        page.colours.set_code(python);
        wait(300);
        CHECK(page.times == 0);
        page.colours.set_closed(true);
        REQUIRE(wait_for([&] { return page.times > 0; }));
        CHECK(token_at(page.colours, "def") == Token::keyword);
        page.colours.set_code("hello there");
        const int before = page.times;
        REQUIRE(wait_for([&] { return page.times > before; }));
        CHECK(page.colours.spans().empty());
    }
    SECTION("very long code") {
        page.colours.set_language("python");
        page.colours.set_code(QString("x = 1\n").repeated(34'000));
        wait(300);
        CHECK(page.times == 0);
        CHECK(page.document.blockCount() == 34'001);
    }
}

TEST_CASE("code of half characters and controls is highlighted in the right places") {
    ColouredPage page;
    page.colours.set_language("cpp");
    QString code = "/* ";
    code += QChar(0xd800);
    code += QChar(0);
    code += "\r\n*/ int x; // 🎉 ";
    code += QChar(0x2028);
    code += "return";
    page.colours.set_code(code);
    REQUIRE(wait_for([&] { return page.times > 0; }));
    CHECK(token_at(page.colours, "int") == Token::keyword);
    const QTextBlock second = page.document.findBlockByNumber(1);
    REQUIRE(second.layout()->formats().size() == 3);
    CHECK(second.text().mid(second.layout()->formats()[1].start, 3) == "int");
}

TEST_CASE("blocks may go while their code is read") {
    for (int i = 0; i < 200; ++i) {
        auto page = std::make_unique<ColouredPage>();
        page->colours.set_language("cpp");
        page->colours.set_code(QString("int f(int x) { return x; }\n").repeated(20));
        if (i % 3 == 0)
            wait(1);
    }
    ColouredPage last;
    last.colours.set_language("cpp");
    last.colours.set_code("int x;");
    CHECK(wait_for([&] { return last.times > 0; }));
}

TEST_CASE("the colours of code have enough contrast") {
    const auto luminance = [](const QColor& color) {
        const auto linear = [](double c) {
            return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
        };
        return 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) +
               0.0722 * linear(color.blueF());
    };
    for (const bool dark : {false, true})
        for (int token = 1; token <= static_cast<int>(Token::deletion); ++token) {
            const QColor color = token_color(static_cast<Token>(token), dark);
            REQUIRE(color.isValid());
            const double text = luminance(color),
                         ground = luminance(QColor(dark ? "#282828" : "#f0f0f0"));
            CAPTURE(dark, token);
            CHECK((std::max(text, ground) + 0.05) / (std::min(text, ground) + 0.05) >= 4.5);
        }
}

namespace {

// Our QML files beside a Theme of which nothing is missing and nothing changes.
class View {
public:
    View() {
        const QString folder = directory_.path() + "/Olivine/";
        REQUIRE(QDir().mkpath(folder));
        for (const char* name : {"Prose", "CodeBlock", "MessageBody"})
            REQUIRE(QFile::copy(QStringLiteral(":/qt/qml/Olivine/qml/%1.qml").arg(name),
                                folder + name + ".qml"));
        write(folder + "Theme.qml",
              "pragma Singleton\nimport QtQuick\nQtObject {\n property bool dark: false\n"
              " property real zoom: 1\n property color background: 'white'\n property color "
              "surface: '#eee'\n"
              " property color raised: '#eee'\n property color border: '#ccc'\n property color "
              "text: 'black'\n"
              " property color muted: 'gray'\n property color accent: 'blue'\n"
              " property color accentText: 'white'\n property color codeBackground: '#eee'\n"
              " property color codeText: 'black'\n property color danger: 'red'\n"
              " property color selection: 'yellow'\n property real fontSize: 15 * zoom\n"
              " property real small: 12 * zoom\n property real radius: 10\n property real spacing: "
              "8\n"
              " property string monoFamily: 'DejaVu Sans Mono'\n}\n");
        write(folder + "qmldir",
              "module Olivine\nsingleton Theme 1.0 Theme.qml\nProse 1.0 Prose.qml\n"
              "CodeBlock 1.0 CodeBlock.qml\nMessageBody 1.0 MessageBody.qml\n");
        engine_.addImportPath(directory_.path());
        QQmlComponent component(&engine_);
        component.setData(
            "import QtQuick\nimport Olivine\nWindow { width: 500; height: 600; visible: true\n"
            " property alias body: body\n MessageBody { id: body; width: 460 } }",
            QUrl());
        window_.reset(qobject_cast<QQuickWindow*>(component.create()));
        CAPTURE(component.errorString());
        REQUIRE(window_);
        body = window_->property("body").value<QQuickItem*>();
        REQUIRE(body);
    }

    // All items that have the property.
    QList<QQuickItem*> with(const char* property) const {
        QList<QQuickItem*> found;
        const std::function<void(QQuickItem*)> visit = [&](QQuickItem* item) {
            if (item->property(property).isValid())
                found << item;
            for (QQuickItem* child : item->childItems())
                visit(child);
        };
        visit(body);
        return found;
    }
    void press(int key) {
        for (const QEvent::Type type : {QEvent::KeyPress, QEvent::KeyRelease}) {
            QKeyEvent event(type, key, Qt::NoModifier);
            QCoreApplication::sendEvent(window_.get(), &event);
        }
    }
    QQuickWindow& window() { return *window_; }

    QQuickItem* body = nullptr;

private:
    static void write(const QString& path, const QByteArray& text) {
        QFile file(path);
        REQUIRE(file.open(QIODevice::WriteOnly));
        file.write(text);
    }
    QTemporaryDir directory_;
    QQmlEngine engine_;
    std::unique_ptr<QQuickWindow> window_;
};

}  // namespace

TEST_CASE("a message in a window: rows, heights, and selections that stay while it grows") {
    View view;
    const QString text = "One **two** three.\n\n```cpp\nint x;\n```\n\nAfter it";
    view.body->setProperty("text", text);
    REQUIRE(view.with("selectedText").size() == 3);
    QQuickItem* first = view.with("selectedText")[0];
    QQuickItem* last = view.with("selectedText")[2];
    CHECK(first->property("length").toInt() == 14);
    CHECK(first->height() > 15);
    REQUIRE(wait_for([&] { return view.body->height() > 100; }));
    const qreal height = view.body->height();
    REQUIRE(QMetaObject::invokeMethod(first, "select", Q_ARG(int, 4), Q_ARG(int, 7)));
    REQUIRE(QMetaObject::invokeMethod(last, "select", Q_ARG(int, 0), Q_ARG(int, 5)));
    QString grown = text;
    for (int i = 0; i < 20; ++i) {
        grown += i % 5 == 4 ? " **and**\n\n- more" : " and more";
        view.body->setProperty("text", grown);
        QCoreApplication::processEvents();
    }
    REQUIRE(view.with("selectedText").size() == 3);
    CHECK(view.with("selectedText")[0] == first);
    CHECK(view.with("selectedText")[2] == last);
    CHECK(first->property("selectedText") == "two");
    CHECK(last->property("selectedText") == "After");
    CHECK(wait_for([&] { return view.body->height() > height; }));
    view.body->setProperty("plain", true);
    REQUIRE(view.with("selectedText").size() == 1);
    CHECK(view.with("selectedText")[0]->property("length").toInt() == grown.size());
}

TEST_CASE("the button copies the code, says so, and is reached with the keyboard") {
    View view;
    view.body->setProperty("text", "```py\nx = 1\n\ty = 2\n```\n");
    QGuiApplication::clipboard()->setText("before");
    QList<QQuickItem*> buttons = view.with("checkable");
    REQUIRE(buttons.size() == 1);
    CHECK(buttons[0]->property("text") == "Copy");
    view.window().requestActivate();
    wait(50);
    for (int i = 0; i < 5 && !buttons[0]->hasActiveFocus(); ++i)
        view.press(Qt::Key_Tab);
    REQUIRE(buttons[0]->hasActiveFocus());
    view.press(Qt::Key_Return);
    CHECK(QGuiApplication::clipboard()->text() == "x = 1\n\ty = 2");
    CHECK(buttons[0]->property("text") == "Copied");
    CHECK(wait_for([&] { return buttons[0]->property("text") == "Copy"; }, 4000));
}

}  // namespace olivine::desktop

int main(int count, char** arguments) {
    if (!qEnvironmentVariableIsSet("QT_QPA_PLATFORM"))
        qputenv("QT_QPA_PLATFORM", "offscreen");
    if (!qEnvironmentVariableIsSet("QT_QUICK_BACKEND"))
        qputenv("QT_QUICK_BACKEND", "software");
    QGuiApplication application(count, arguments);
    using namespace olivine::desktop;
    // The names that the module gives them.
    qmlRegisterType<MessageBlocks>("Olivine", 1, 0, "MessageBlocks");
    qmlRegisterType<MarkdownDocument>("Olivine", 1, 0, "MarkdownDocument");
    qmlRegisterType<CodeColours>("Olivine", 1, 0, "CodeColours");
    const int result = Catch::Session().run(count, arguments);
    // The application ends while code is being read.
    CodeColours last;
    last.set_language(QStringLiteral("cpp"));
    last.set_code(QStringLiteral("int f(int x) { return x; }\n").repeated(5000));
    QCoreApplication::processEvents();
    return result;
}
