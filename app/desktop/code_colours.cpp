#include "app/desktop/code_colours.h"

#include <QClipboard>
#include <QGuiApplication>
#include <QTextBlock>
#include <QTextCursor>
#include <QTextDocument>
#include <algorithm>
#include <utility>

#include "app/desktop/text_formats.h"

namespace olivine::desktop {
namespace {

constexpr qsizetype kMaxLength = 200'000;      // longer code stays plain
constexpr qsizetype kMaxGuessLength = 20'000;  // of code of no language
constexpr int kRestMs = 60;                    // between two requests for the same code, at least
constexpr int kRestFactor = 3;                 // and so many times what the last one took

// At least 4.5 to 1 against #f0f0f0 and #282828, and so against lighter and darker backgrounds.
struct Palette {
    Token token;
    const char *light, *dark;
};
constexpr Palette kPalette[] = {
    {Token::comment, "#5c6370", "#9aa3ad"},   {Token::keyword, "#b3202f", "#ff8a80"},
    {Token::string, "#1a6b2d", "#a8d48a"},    {Token::number, "#0b57b0", "#8ab8ff"},
    {Token::title, "#6f3fc0", "#d3b0ff"},     {Token::type, "#8f4300", "#ffbd73"},
    {Token::attribute, "#0b5c7d", "#7fd0e0"}, {Token::meta, "#7a5200", "#e0c46c"},
    {Token::tag, "#0f6a4c", "#7fdca4"},       {Token::addition, "#1a6b2d", "#8fdc9a"},
    {Token::deletion, "#b3202f", "#ff9a92"}};

// What a first capital letter does not make.
const QStringList kTitles = {
    "C#",  "C++",  "CMake", "CSS",   "CSV", "GLSL",       "GraphQL",    "HTML", "HTTP",
    "INI", "JSON", "JSX",   "LaTeX", "PHP", "PowerShell", "JavaScript", "QML",  "SCSS",
    "SQL", "SVG",  "TOML",  "TSX",   "XML", "YAML",       "TypeScript", "TeX",  "OCaml"};
constexpr struct {
    const char *language, *title;
} kOtherTitles[] = {
    {"cpp", "C++"},
    {"cs", "C#"},
    {"csharp", "C#"},
    {"golang", "Go"},
    {"js", "JavaScript"},
    {"kt", "Kotlin"},
    {"md", "Markdown"},
    {"objc", "Objective-C"},
    {"objectivec", "Objective-C"},
    {"ps1", "PowerShell"},
    {"py", "Python"},
    {"rb", "Ruby"},
    {"rs", "Rust"},
    {"sh", "Shell"},
    {"ts", "TypeScript"},
    {"x86asm", "Assembly"},
    {"yml", "YAML"},
};

bool is_plain(const QString& language) {
    return language == QLatin1String("text") || language == QLatin1String("txt") ||
           language == QLatin1String("plain") || language == QLatin1String("plaintext") ||
           language == QLatin1String("output") || language == QLatin1String("none");
}

}  // namespace

QColor token_color(Token token, bool dark) {
    for (const Palette& palette : kPalette)
        if (palette.token == token)
            return QColor(QLatin1String(dark ? palette.dark : palette.light));
    return {};
}

CodeColours::CodeColours(QObject* parent) : QObject(parent) {
    timer_.setSingleShot(true);
    connect(&timer_, &QTimer::timeout, this, &CodeColours::request);
}

void CodeColours::set_document(QQuickTextDocument* document) {
    if (document == quick_document_)
        return;
    quick_document_ = document;
    set_text_document(document ? document->textDocument() : nullptr);
    Q_EMIT document_changed();
}

void CodeColours::set_text_document(QTextDocument* document) {
    document_ = document;
    if (!document_)
        return;
    document_->setUndoRedoEnabled(false);
    show_code({});
    paint();
}

void CodeColours::set_code(const QString& code) {
    // What is no text is replaced by what is, one for one, so the spans fit the document.
    const QString text =
        well_formed(QString(code).replace(QStringLiteral("\r\n"), QStringLiteral("\n")));
    if (text == code_)
        return;
    const QString before = std::exchange(code_, text);
    if (!code_.startsWith(before))
        spans_.clear();
    show_code(before);
    request_later();
    Q_EMIT code_changed();
}

void CodeColours::show_code(const QString& before) {
    if (!document_)
        return;
    QTextCursor cursor(document_);
    cursor.beginEditBlock();
    const bool appends = !before.isEmpty() && code_.startsWith(before);
    if (appends)
        cursor.movePosition(QTextCursor::End);
    else
        cursor.select(QTextCursor::Document);
    cursor.insertText(appends ? code_.mid(before.size()) : code_);
    cursor.endEditBlock();
    if (!find_.isEmpty() || !appends)
        paint();
}

void CodeColours::set_language(const QString& language) {
    if (language == language_)
        return;
    language_ = language;
    request_later();
    Q_EMIT language_changed();
}

void CodeColours::set_closed(bool closed) {
    if (closed == closed_)
        return;
    closed_ = closed;
    if (closed && language_.isEmpty())  // now it may be guessed
        request_later();
    Q_EMIT closed_changed();
}

void CodeColours::set_dark(bool dark) {
    if (dark == dark_)
        return;
    dark_ = dark;
    paint();
    Q_EMIT dark_changed();
}

void CodeColours::set_find(const QString& find) {
    if (find == find_)
        return;
    find_ = find;
    paint();
    Q_EMIT find_changed();
}

void CodeColours::set_found_color(const QColor& color) {
    if (color == found_color_)
        return;
    found_color_ = color;
    if (!find_.isEmpty())
        paint();
    Q_EMIT find_changed();
}

QString CodeColours::title() const {
    for (const auto& known : kOtherTitles)
        if (language_ == QLatin1String(known.language))
            return QLatin1String(known.title);
    for (const QString& title : kTitles)
        if (title.compare(language_, Qt::CaseInsensitive) == 0)
            return title;
    return language_.isEmpty() ? QString() : language_.at(0).toUpper() + language_.mid(1);
}

void CodeColours::copy() const {
    QGuiApplication::clipboard()->setText(code_);
}

// QML sets code, language and closed one after the other.
void CodeColours::request_later() {
    stale_ = true;
    if (!under_way_ && !timer_.isActive())
        timer_.start(0);
}

void CodeColours::request() {
    if (!std::exchange(stale_, false) || under_way_)
        return;
    const QString language = known_language(language_);
    const bool guess = language_.isEmpty() && closed_ && code_.size() < kMaxGuessLength;
    const bool possible = !code_.isEmpty() && code_.size() <= kMaxLength &&
                          (!language.isEmpty() || guess) && !is_plain(language_);
    CodeHighlighter* highlighter = possible ? CodeHighlighter::instance() : nullptr;
    if (!highlighter) {
        if (!spans_.empty()) {
            spans_.clear();
            paint();
        }
        return;
    }
    under_way_ = true;
    highlighter->highlight(this, code_, language,
                           [this, code = code_, language = language_](auto spans, int ms) {
                               take(code, language, std::move(spans), ms);
                           });
}

void CodeColours::take(const QString& code, const QString& language, std::vector<TokenSpan> spans,
                       int ms) {
    under_way_ = false;
    if (language == language_ && code_.startsWith(code)) {
        spans_ = std::move(spans);
        paint();
        Q_EMIT coloured();
    }
    timer_.start(std::max(kRestMs, kRestFactor * ms));  // also for what comes soon
}

// Colours stand beside the text's formats, as with QSyntaxHighlighter: the text stays as it is.
void CodeColours::paint() {
    if (!document_)
        return;
    QTextCharFormat formats[std::size(kPalette) + 1];
    for (const Palette& palette : kPalette)
        formats[static_cast<size_t>(palette.token)].setForeground(
            token_color(palette.token, dark_));
    FormatSetter setter(*document_);
    auto span = spans_.begin();
    for (QTextBlock block = document_->begin(); block.isValid(); block = block.next()) {
        const int begin = block.position(), end = begin + block.length() - 1;
        FormatRanges ranges;
        for (; span != spans_.end() && span->begin < end; ++span) {
            const int from = std::max(span->begin, begin);
            const int to = std::min(span->begin + span->length, end);
            if (from < to)
                ranges.append({from - begin, to - from, formats[static_cast<size_t>(span->token)]});
            if (span->begin + span->length > end)
                break;  // it goes on in the next line
        }
        setter.set(block, with_found(ranges, find_.isEmpty() ? QString() : block.text(), find_,
                                     found_color_));
    }
}

}  // namespace olivine::desktop
