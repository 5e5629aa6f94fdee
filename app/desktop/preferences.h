// What the person has chosen for the program as a whole; kept in a file.
#pragma once

#include <QObject>
#include <QRect>
#include <QSettings>
#include <QStringList>
#include <QtQml/qqmlregistration.h>

namespace olivine::desktop {

class Preferences : public QObject {
    Q_OBJECT
    QML_ELEMENT
    QML_UNCREATABLE("There is one, App.preferences.")
    Q_PROPERTY(QString theme READ theme WRITE set_theme NOTIFY changed)     // "system", "light", "dark"
    Q_PROPERTY(double zoom READ zoom WRITE set_zoom NOTIFY changed)         // 0.5 to 3
    Q_PROPERTY(bool sidebar READ sidebar WRITE set_sidebar NOTIFY changed)  // shown
    Q_PROPERTY(bool enterSends READ enter_sends WRITE set_enter_sends NOTIFY changed)  // else Ctrl+Enter does
    Q_PROPERTY(int width READ width NOTIFY never)   // of the window, as it was left
    Q_PROPERTY(int height READ height NOTIFY never)

public:
    static constexpr double kLeastZoom = 0.5, kMostZoom = 3;

    explicit Preferences(const QString& file);

    QString theme() const { return theme_; }
    void set_theme(const QString& theme);
    double zoom() const { return zoom_; }
    void set_zoom(double zoom);
    bool sidebar() const { return sidebar_; }
    void set_sidebar(bool shown);
    bool enter_sends() const { return enter_sends_; }
    void set_enter_sends(bool sends);
    int width() const;
    int height() const;
    Q_INVOKABLE void keep_size(int width, int height);

    // Of the model; not for the window.
    QString model() const { return file_.value("model").toString(); }
    int context() const { return file_.value("context").toInt(); }
    void set_model(const QString& path, int context);
    QStringList places() const { return file_.value("places").toStringList(); }
    void set_places(const QStringList& places) { file_.setValue("places", places); }
    qint64 conversation() const { return file_.value("conversation").toLongLong(); }
    void set_conversation(qint64 id) { file_.setValue("conversation", id); }
    void save() { file_.sync(); }

Q_SIGNALS:
    void changed();
    void never();

private:
    QSettings file_;
    QString theme_;
    double zoom_;
    bool sidebar_, enter_sends_;
};

}  // namespace olivine::desktop
