// The window: the QML engine with what it shows.
#pragma once

#include <QObject>
#include <QQmlApplicationEngine>
#include <QQuickWindow>

#include "app/desktop/application.h"

namespace olivine::desktop {

// Before the QGuiApplication: Qt draws with the GPU where there is one, and by itself, without a detour
// through a software OpenGL, where there is none. QT_QUICK_BACKEND decides otherwise.
void choose_renderer();

class Window : public QObject {
    Q_OBJECT

public:
    // The application outlives it; its work starts with the first frame.
    explicit Window(Application& application);

    // False when the window cannot be made; why is on standard error.
    bool show();
    QQuickWindow* quick_window() const { return window_; }
    // Seconds from the start of the process to the first frame; 0 before it.
    double first_frame_seconds() const { return first_frame_; }

public Q_SLOTS:
    void raise();

private:
    Application& application_;
    QQmlApplicationEngine engine_;
    QQuickWindow* window_ = nullptr;
    double first_frame_ = 0;
};

}  // namespace olivine::desktop
