#include "app/desktop/window.h"

#include <QGuiApplication>
#include <QIcon>
#include <QOffscreenSurface>
#include <QOpenGLContext>
#include <QOpenGLFunctions>
#include <QQuickStyle>
#include <cstdio>

#include "app/platform.h"

void qml_register_types_Olivine();  // of the module's own types: made by CMake

namespace olivine::desktop {

void choose_renderer() {
    if (!qEnvironmentVariableIsEmpty("QT_QUICK_BACKEND") || platform::has_render_node())
        return;
    QQuickWindow::setGraphicsApi(QSGRendererInterface::Software);
}

Window::Window(Application& application) : application_(application) {
    QQuickStyle::setStyle("Basic");
    qml_register_types_Olivine();
    qmlRegisterSingletonInstance("Olivine", 1, 0, "App", &application);
    engine_.addImportPath("qrc:/qt/qml");
    QGuiApplication::setWindowIcon(QIcon(":/qt/qml/Olivine/icons/olivine.svg"));
}

bool Window::show() {
    engine_.load(QUrl("qrc:/qt/qml/Olivine/qml/Main.qml"));
    if (engine_.rootObjects().isEmpty())
        return false;
    window_ = qobject_cast<QQuickWindow*>(engine_.rootObjects().first());
    if (!window_)
        return false;
    QObject::connect(window_, &QQuickWindow::sceneGraphError, this, [](QQuickWindow::SceneGraphError, const QString& text) {
        std::fprintf(stderr, "olivine-chat: %s\n", text.toUtf8().constData());
        std::fprintf(stderr, "olivine-chat: QT_QUICK_BACKEND=software draws without the GPU.\n");
        QGuiApplication::exit(1);
    });
    // The first frame comes from the thread that draws.
    QObject::connect(
        window_, &QQuickWindow::frameSwapped, this,
        [this] {
            if (first_frame_ > 0)
                return;
            first_frame_ = platform::process_seconds();
            application_.start();
        },
        Qt::QueuedConnection);
    window_->show();
    return true;
}

void Window::raise() {
    window_->show();
    window_->raise();
    window_->requestActivate();
}

}  // namespace olivine::desktop
