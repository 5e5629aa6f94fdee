// Fills the document of a TextEdit with markdown, and keeps what did not change in it.
#pragma once

#include <QtQml/qqmlregistration.h>

#include <QColor>
#include <QObject>
#include <QPointer>
#include <QQmlParserStatus>
#include <QQuickTextDocument>
#include <QString>
#include <QTextBlockFormat>
#include <QTextCharFormat>
#include <QTextCursor>
#include <QTextTable>
#include <QTimer>
#include <QVariantList>
#include <vector>

#include "app/desktop/markdown_pieces.h"

namespace olivine::desktop {

struct MarkdownStyle {
    QColor text, muted, link, code_background, border, found;
    int pixels = 15;
    QString mono_family = QStringLiteral("monospace");
    bool operator==(const MarkdownStyle&) const = default;
};

// While markdown grows, only what comes behind the first difference is replaced, so a selection
// before that stays.
class MarkdownDocument : public QObject, public QQmlParserStatus {
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    QML_ELEMENT
    Q_PROPERTY(
        QQuickTextDocument* document READ document WRITE set_document NOTIFY document_changed)
    Q_PROPERTY(QString markdown READ markdown WRITE set_markdown NOTIFY markdown_changed)
    Q_PROPERTY(bool plain READ plain WRITE set_plain NOTIFY markdown_changed)  // as it was typed
    Q_PROPERTY(QString find READ find WRITE set_find NOTIFY find_changed)      // is highlighted
    Q_PROPERTY(QColor textColor READ text_color WRITE set_text_color NOTIFY style_changed)
    Q_PROPERTY(QColor mutedColor READ muted_color WRITE set_muted_color NOTIFY style_changed)
    Q_PROPERTY(QColor linkColor READ link_color WRITE set_link_color NOTIFY style_changed)
    Q_PROPERTY(
        QColor codeBackground READ code_background WRITE set_code_background NOTIFY style_changed)
    Q_PROPERTY(QColor borderColor READ border_color WRITE set_border_color NOTIFY style_changed)
    Q_PROPERTY(QColor foundColor READ found_color WRITE set_found_color NOTIFY style_changed)
    Q_PROPERTY(
        int fontPixelSize READ font_pixel_size WRITE set_font_pixel_size NOTIFY style_changed)
    Q_PROPERTY(QString monoFamily READ mono_family WRITE set_mono_family NOTIFY style_changed)
    // What text cannot draw, to be drawn below it: maps of kind ("bar" beside a quote, "panel"
    // behind code, "grid" around a table, "head" behind its first row, or "rule"), x, y, width and
    // height.
    Q_PROPERTY(QVariantList decorations READ decorations NOTIFY decorations_changed)

public:
    explicit MarkdownDocument(QObject* parent = nullptr);

    QQuickTextDocument* document() const { return quick_document_; }
    void set_document(QQuickTextDocument* document);
    void set_text_document(QTextDocument* document);  // one that no TextEdit has
    QString markdown() const { return markdown_; }
    // At once, unless it grows faster than it can be laid out.
    void set_markdown(const QString& markdown);
    bool up_to_date() const { return !later_.isActive(); }
    bool plain() const { return plain_; }
    void set_plain(bool plain);
    QString find() const { return find_; }
    void set_find(const QString& find);
    QVariantList decorations() const { return decorations_; }

    QColor text_color() const { return style_.text; }
    void set_text_color(const QColor& color) { set_style(style_.text, color); }
    QColor muted_color() const { return style_.muted; }
    void set_muted_color(const QColor& color) { set_style(style_.muted, color); }
    QColor link_color() const { return style_.link; }
    void set_link_color(const QColor& color) { set_style(style_.link, color); }
    QColor code_background() const { return style_.code_background; }
    void set_code_background(const QColor& color) { set_style(style_.code_background, color); }
    QColor border_color() const { return style_.border; }
    void set_border_color(const QColor& color) { set_style(style_.border, color); }
    QColor found_color() const { return style_.found; }
    void set_found_color(const QColor& color) { set_style(style_.found, color); }
    int font_pixel_size() const { return style_.pixels; }
    void set_font_pixel_size(int pixels) { set_style(style_.pixels, pixels); }
    QString mono_family() const { return style_.mono_family; }
    void set_mono_family(const QString& family) { set_style(style_.mono_family, family); }

    void classBegin() override { complete_ = false; }
    void componentComplete() override;

Q_SIGNALS:
    void document_changed();
    void markdown_changed();
    void find_changed();
    void style_changed();
    void decorations_changed();

private:
    struct Shown {
        MarkdownPiece piece;
        int begin = 0;  // its first block's position; of a table: that of its first cell
        int text = 0;   // behind the marker
        QPointer<QTextTable> table = {};
    };

    template <typename T>
    void set_style(T& member, const T& value) {
        if (member == value)
            return;
        member = value;
        restyle_later();
        Q_EMIT style_changed();
    }
    void restyle_later();
    void render(bool all);
    bool extend_last(QTextCursor& cursor, const MarkdownPiece& piece);
    void cut_from(QTextCursor& cursor, size_t piece);
    void add(QTextCursor& cursor, const MarkdownPiece& piece);
    void add_text(QTextCursor& cursor, const MarkdownPiece& piece);
    void add_table(QTextCursor& cursor, const MarkdownPiece& piece);
    void space_last_table(qreal margin);
    void add_runs(QTextCursor& cursor, const std::vector<MarkdownRun>& runs,
                  const QTextCharFormat& format);
    QTextBlockFormat block_format(const MarkdownPiece& piece) const;
    QTextCharFormat text_format(const MarkdownPiece& piece) const;
    void highlight();
    void decorate_later();
    void decorate();
    void decorate_table(const Shown& shown, QVariantList& result) const;

    QPointer<QQuickTextDocument> quick_document_;
    QPointer<QTextDocument> document_;
    QString markdown_, find_;
    bool plain_ = false;
    bool complete_ = true;  // false while QML sets properties one by one
    MarkdownStyle style_;
    std::vector<Shown> shown_;
    bool free_block_ = true;  // the last block is empty, and the next piece's
    bool highlighted_ = false;
    bool will_restyle_ = false, will_decorate_ = false;
    QTimer later_;          // until markdown that grows is rendered
    double render_ms_ = 0;  // what the last time took
    QVariantList decorations_;
};

}  // namespace olivine::desktop
