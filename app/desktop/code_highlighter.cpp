#include "app/desktop/code_highlighter.h"

#include <QCoreApplication>
#include <QDateTime>
#include <QElapsedTimer>
#include <QFile>
#include <QLoggingCategory>
#include <QStringList>
#include <algorithm>
#include <cstring>
#include <utility>

namespace olivine::desktop {
namespace {

constexpr int kLongestMs = 2000;  // for one code block; one that takes longer stays plain

// Of highlight.js's 185 languages: those that are asked about, and what they refer to.
constexpr const char* kLanguages[] = {
    "bash",       "cmake",      "cpp",      "cs",      "css",       "dart",       "diff",
    "django",     "dockerfile", "dos",      "elixir",  "erlang",    "fortran",    "glsl",
    "go",         "gradle",     "groovy",   "haskell", "http",      "ini",        "java",
    "javascript", "json",       "julia",    "kotlin",  "less",      "lisp",       "llvm",
    "lua",        "makefile",   "markdown", "matlab",  "nginx",     "nix",        "objectivec",
    "ocaml",      "perl",       "pgsql",    "php",     "plaintext", "powershell", "properties",
    "protobuf",   "python",     "qml",      "r",       "ruby",      "rust",       "scala",
    "scheme",     "scss",       "shell",    "sql",     "swift",     "tex",        "typescript",
    "verilog",    "vhdl",       "vim",      "x86asm",  "xml",       "yaml"};

// Names that models write, beside highlight.js's own.
constexpr struct {
    const char *language, *names;
} kAliases[] = {
    {"bash", "fish sh zsh"},
    {"cpp", "c c++ cc cuda cxx h hpp"},
    {"cs", "c# csharp"},
    {"diff", "patch"},
    {"django", "jinja jinja2"},
    {"dockerfile", "docker"},
    {"dos", "bat batch cmd"},
    {"elixir", "ex"},
    {"glsl", "hlsl"},
    {"go", "golang"},
    {"haskell", "hs"},
    {"ini", "cfg conf toml"},
    {"javascript", "js jsx mjs"},
    {"json", "json5 jsonc jsonl"},
    {"julia", "jl"},
    {"kotlin", "kt"},
    {"makefile", "make"},
    {"markdown", "md"},
    {"objectivec", "m objc objective-c"},
    {"ocaml", "ml"},
    {"perl", "pl"},
    {"pgsql", "plpgsql postgres postgresql"},
    {"powershell", "ps1 pwsh"},
    {"properties", "env"},
    {"protobuf", "proto"},
    {"python", "py python3"},
    {"ruby", "rb"},
    {"rust", "rs wgsl"},
    {"scss", "sass"},
    {"shell", "console terminal"},
    {"sql", "mysql sqlite"},
    {"tex", "latex"},
    {"typescript", "ts tsx"},
    {"x86asm", "asm assembly nasm"},
    {"xml", "htm html svelte svg vue xhtml"},
    {"yaml", "yml"},
};

// Classes of highlight.js, without "hljs-". Others have no colour of their own.
constexpr struct {
    Token token;
    const char* classes;
} kTokens[] = {
    {Token::comment, "comment quote"},
    {Token::keyword, "doctag keyword meta-keyword selector-pseudo template-tag"},
    {Token::string, "code formula link meta-string regexp string"},
    {Token::number, "bullet literal number symbol"},
    {Token::title, "section selector-class selector-id title"},
    {Token::type, "built_in builtin-name type"},
    {Token::attribute, "attr attribute selector-attr template-variable variable"},
    {Token::meta, "meta"},
    {Token::tag, "name selector-tag"},
    {Token::addition, "addition"},
    {Token::deletion, "deletion"},
    {Token::plain, "subst"},  // code in a string
};

// Whether `word` is one of the words.
bool is_one_of(const QByteArray& word, const char* words) {
    return !word.isEmpty() && QByteArray(words).split(' ').contains(word);
}

// The token of a tag "<span class="hljs-..."; `outer` where it has none.
Token token_of(QStringView tag, Token outer) {
    const qsizetype begin = tag.indexOf(QStringView(u"hljs-"));
    if (begin < 0)
        return outer;
    const QStringView rest = tag.mid(begin + 5);
    const QByteArray name = rest.left(std::max<qsizetype>(0, rest.indexOf(u'"'))).toLatin1();
    for (const auto& known : kTokens)
        if (is_one_of(name, known.classes))
            return known.token;
    return outer;
}

// highlight.js with those of its languages that are ours: each is a call to registerLanguage.
QString library() {
    QFile file(QStringLiteral(":/olivine/highlight.min.js"));
    if (!file.open(QIODevice::ReadOnly))
        return {};
    const QByteArray all = file.readAll();
    const QByteArray begins = "hljs.registerLanguage(\"";
    qsizetype at = all.indexOf(begins);
    if (at < 0)
        return {};
    QByteArray ours = all.left(at);
    while (at >= 0) {
        const qsizetype next = all.indexOf(begins, at + begins.size());
        const QByteArray part = next < 0 ? all.mid(at) : all.mid(at, next - at);
        const QByteArray name =
            part.mid(begins.size(), part.indexOf('"', begins.size()) - begins.size());
        if (std::find(std::begin(kLanguages), std::end(kLanguages), name) != std::end(kLanguages))
            ours += part;
        at = next;
    }
    return QString::fromUtf8(ours);
}

// Set up before the library: it finds `exports` and fills it, and sees no browser.
const char kBefore[] =
    "var exports = {}; var console = {log: function(){}, warn: function(){}, "
    "error: function(){}};";
// Guessing is between languages that differ, since each costs a run.
const char kAfter[] = R"((function(code, language) {
    if (language !== "")
        return hljs.highlight(language, code, true).value;
    var guess = hljs.highlightAuto(code, ["bash", "cpp", "css", "diff", "go", "java", "javascript",
                                          "json", "python", "rust", "sql", "xml", "yaml"]);
    return guess.relevance >= 5 ? guess.value : "";
}))";

QLoggingCategory::CategoryFilter filter_before = nullptr;

// The engine warns of each variable of the library that is used above its `var`.
void without_compiler_warnings(QLoggingCategory* category) {
    if (filter_before)
        filter_before(category);
    if (std::strcmp(category->categoryName(), "qt.qml.compiler") == 0)
        category->setEnabled(QtWarningMsg, false);
}

qint64 now_ms() {
    return QDateTime::currentMSecsSinceEpoch();
}

}  // namespace

QString known_language(const QString& language) {
    const QByteArray name = language.toLower().toLatin1();
    for (const auto& alias : kAliases)
        if (is_one_of(name, alias.names))
            return QLatin1String(alias.language);
    for (const char* known : kLanguages)
        if (name == known)
            return name == "plaintext" ? QString() : QString::fromLatin1(name);
    return {};
}

std::vector<TokenSpan> spans_of(QStringView html) {
    std::vector<TokenSpan> spans;
    std::vector<Token> open;
    Token token = Token::plain;
    int at = 0;  // in the code
    const auto append = [&](int length) {
        if (token == Token::plain) {
        } else if (!spans.empty() && spans.back().token == token &&
                   spans.back().begin + spans.back().length == at) {
            spans.back().length += length;
        } else {
            spans.push_back({at, length, token});
        }
        at += length;
    };
    for (qsizetype i = 0; i < html.size();) {
        if (html[i] == u'<') {
            const qsizetype end = html.indexOf(u'>', i);
            if (end < 0)
                break;
            if (html[i + 1] == u'/') {
                token = open.empty() ? Token::plain : open.back();
                if (!open.empty())
                    open.pop_back();
            } else {
                open.push_back(token);
                token = token_of(html.mid(i, end - i), token);
            }
            i = end + 1;
        } else if (html[i] == u'&') {
            const qsizetype end = html.indexOf(u';', i);
            append(1);
            i = end < 0 ? html.size() : end + 1;
        } else {
            append(1);
            ++i;
        }
    }
    return spans;
}

HighlightWorker::~HighlightWorker() = default;

bool HighlightWorker::load() {
    if (std::exchange(loaded_, true))
        return highlight_.isCallable();
    {
        const std::lock_guard lock(mutex_);
        if (stopping_)
            return false;
        engine_ = std::make_unique<QJSEngine>();
    }
    filter_before = QLoggingCategory::installFilter(nullptr);
    QLoggingCategory::installFilter(without_compiler_warnings);
    engine_->evaluate(QLatin1String(kBefore));
    const QJSValue read = engine_->evaluate(library());
    QLoggingCategory::installFilter(filter_before);
    if (!read.isError())
        highlight_ = engine_->evaluate(QLatin1String(kAfter));
    return highlight_.isCallable();
}

void HighlightWorker::highlight(quint64 request, const QString& code, const QString& language) {
    QElapsedTimer timer;
    timer.start();
    began_ = now_ms();
    std::vector<TokenSpan> spans = run(code, language);
    began_ = 0;
    Q_EMIT done(request, std::move(spans), static_cast<int>(timer.elapsed()));
}

std::vector<TokenSpan> HighlightWorker::run(const QString& code, const QString& language) {
    if (stopping_ || !load())
        return {};
    const QJSValue html = highlight_.call({QJSValue(code), QJSValue(language)});
    if (engine_->isInterrupted() && !stopping_)
        engine_->setInterrupted(false);
    return html.isString() ? spans_of(html.toString()) : std::vector<TokenSpan>();
}

void HighlightWorker::interrupt(bool stopping) {
    const std::lock_guard lock(mutex_);
    stopping_ = stopping_ || stopping;
    if (engine_)
        engine_->setInterrupted(true);
}

int HighlightWorker::running_ms() const {
    const qint64 began = began_;
    return began == 0 ? 0 : static_cast<int>(now_ms() - began);
}

namespace {
CodeHighlighter* highlighter = nullptr;
}

CodeHighlighter* CodeHighlighter::instance() {
    if (!highlighter && QCoreApplication::instance() && !QCoreApplication::closingDown()) {
        highlighter = new CodeHighlighter;
        // Before the application's own things go, which the thread uses.
        qAddPostRoutine([] { delete std::exchange(highlighter, nullptr); });
    }
    return highlighter;
}

CodeHighlighter::CodeHighlighter() : worker_(new HighlightWorker) {
    qRegisterMetaType<std::vector<TokenSpan>>();
    thread_.setObjectName(QStringLiteral("code colours"));
    worker_->moveToThread(&thread_);
    connect(&thread_, &QThread::finished, worker_, &QObject::deleteLater);
    connect(worker_, &HighlightWorker::done, this, &CodeHighlighter::finish);
    connect(&watch_, &QTimer::timeout, this, &CodeHighlighter::watch);
    watch_.setInterval(250);
    thread_.start(QThread::LowPriority);
}

CodeHighlighter::~CodeHighlighter() {
    worker_->interrupt(true);
    thread_.quit();
    thread_.wait();
}

void CodeHighlighter::highlight(QObject* owner, const QString& code, const QString& language,
                                Done done) {
    const quint64 request = ++last_request_;
    requests_.insert(request, {owner, std::move(done)});
    QMetaObject::invokeMethod(
        worker_,
        [worker = worker_, request, code, language] { worker->highlight(request, code, language); },
        Qt::QueuedConnection);
    if (!watch_.isActive())
        watch_.start();
}

void CodeHighlighter::finish(quint64 request, const std::vector<TokenSpan>& spans, int ms) {
    const Request ended = requests_.take(request);
    if (requests_.isEmpty())
        watch_.stop();
    if (ended.owner)
        ended.done(spans, ms);
}

void CodeHighlighter::watch() {
    if (worker_->running_ms() > kLongestMs)
        worker_->interrupt(false);
}

}  // namespace olivine::desktop
