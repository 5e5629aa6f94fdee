// Puts code into the document of a TextEdit, and colours it when the highlighter has read it.
#pragma once

#include <QtQml/qqmlregistration.h>

#include <QColor>
#include <QObject>
#include <QPointer>
#include <QQuickTextDocument>
#include <QString>
#include <QTimer>
#include <vector>

#include "app/desktop/code_highlighter.h"

namespace olivine::desktop {

QColor token_color(Token token, bool dark);  // invalid for plain

// Code that grows is appended to, and coloured again as often as the highlighter keeps up with.
class CodeColours : public QObject {
    Q_OBJECT
    QML_ELEMENT
    Q_PROPERTY(
        QQuickTextDocument* document READ document WRITE set_document NOTIFY document_changed)
    Q_PROPERTY(QString code READ code WRITE set_code NOTIFY code_changed)
    Q_PROPERTY(QString language READ language WRITE set_language NOTIFY language_changed)
    Q_PROPERTY(bool closed READ closed WRITE set_closed NOTIFY closed_changed)  // no more comes
    Q_PROPERTY(bool dark READ dark WRITE set_dark NOTIFY dark_changed)
    Q_PROPERTY(QString find READ find WRITE set_find NOTIFY find_changed)  // is highlighted
    Q_PROPERTY(QColor foundColor READ found_color WRITE set_found_color NOTIFY find_changed)
    Q_PROPERTY(QString title READ title NOTIFY language_changed)  // the language as it is written

public:
    explicit CodeColours(QObject* parent = nullptr);

    QQuickTextDocument* document() const { return quick_document_; }
    void set_document(QQuickTextDocument* document);
    void set_text_document(QTextDocument* document);  // one that no TextEdit has
    QString code() const { return code_; }
    void set_code(const QString& code);
    QString language() const { return language_; }
    void set_language(const QString& language);
    bool closed() const { return closed_; }
    void set_closed(bool closed);
    bool dark() const { return dark_; }
    void set_dark(bool dark);
    QString find() const { return find_; }
    void set_find(const QString& find);
    QColor found_color() const { return found_color_; }
    void set_found_color(const QColor& color);
    QString title() const;

    Q_INVOKABLE void copy() const;  // all of the code, to the clipboard
    const std::vector<TokenSpan>& spans() const { return spans_; }

Q_SIGNALS:
    void document_changed();
    void code_changed();
    void language_changed();
    void closed_changed();
    void dark_changed();
    void find_changed();
    void coloured();

private:
    void show_code(const QString& before);
    void request_later();
    void request();
    void take(const QString& code, const QString& language, std::vector<TokenSpan> spans, int ms);
    void paint();

    QPointer<QQuickTextDocument> quick_document_;
    QPointer<QTextDocument> document_;
    QString code_, language_, find_;
    QColor found_color_;
    bool closed_ = true, dark_ = false;
    std::vector<TokenSpan> spans_;
    bool under_way_ = false, stale_ = false;
    QTimer timer_;  // until the next request
};

}  // namespace olivine::desktop
