// Tells the tokens of source code apart: highlight.js in a script engine, on a thread of its own.
#pragma once

#include <QHash>
#include <QJSEngine>
#include <QObject>
#include <QPointer>
#include <QString>
#include <QThread>
#include <QTimer>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace olivine::desktop {

// One colour each.
enum class Token : uint8_t {
    plain,
    comment,
    keyword,
    string,
    number,
    title,
    type,
    attribute,
    meta,
    tag,
    addition,
    deletion
};

struct TokenSpan {
    int begin = 0, length = 0;
    Token token = Token::plain;
    bool operator==(const TokenSpan&) const = default;
};

// Of highlight.js's HTML: <span class="hljs-...">, which nest, and &amp; &lt; &gt; &quot; &#x27;.
std::vector<TokenSpan> spans_of(QStringView html);

// highlight.js's name of a language ("js" is "javascript"); empty for one that it does not know.
QString known_language(const QString& language);

// Lives on its thread. highlight.js is read when the first code comes.
class HighlightWorker : public QObject {
    Q_OBJECT

public:
    ~HighlightWorker() override;
    // language empty: it is guessed. Emits done() always.
    void highlight(quint64 request, const QString& code, const QString& language);
    // From any thread: what runs ends soon, as plain text; stopping: and all that comes.
    void interrupt(bool stopping);
    int running_ms() const;  // since when what runs has been running; 0: nothing does

Q_SIGNALS:
    void done(quint64 request, std::vector<olivine::desktop::TokenSpan> spans, int ms);

private:
    std::vector<TokenSpan> run(const QString& code, const QString& language);
    bool load();

    std::mutex mutex_;  // for engine_'s coming and going
    std::unique_ptr<QJSEngine> engine_;
    QJSValue highlight_;
    bool loaded_ = false;
    std::atomic<bool> stopping_ = false;
    std::atomic<qint64> began_ = 0;
};

// The application's one, started when it is first asked for, and ended with the application.
class CodeHighlighter : public QObject {
    Q_OBJECT

public:
    // Null when the application has ended or not begun.
    static CodeHighlighter* instance();
    ~CodeHighlighter() override;

    // ms: how long it took. Never called at once, nor when `owner` is gone.
    using Done = std::function<void(std::vector<TokenSpan> spans, int ms)>;
    void highlight(QObject* owner, const QString& code, const QString& language, Done done);

private:
    CodeHighlighter();
    void finish(quint64 request, const std::vector<TokenSpan>& spans, int ms);
    void watch();

    struct Request {
        QPointer<QObject> owner;
        Done done;
    };
    QThread thread_;
    HighlightWorker* worker_;
    QHash<quint64, Request> requests_;
    quint64 last_request_ = 0;
    QTimer watch_;
};

}  // namespace olivine::desktop
