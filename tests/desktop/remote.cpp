// The real window, told by lines of JSON on standard input what a person would do; a line of JSON on
// standard output answers each. tests/desktop/window.py speaks with it.
//
//   remote FOLDER [--model PATH] [--budget BYTES]
//
//   {"do": "eval", "js": "App.modelState"}        the value, in the context of Main.qml
//   {"do": "click", "name": "send", "at": -1}     the visible item of that objectName; at: of several
//   {"do": "hover", "name": "message", "at": 0}
//   {"do": "type", "text": "…"}                   through the input method
//   {"do": "key", "keys": "Ctrl+R"}
//   {"do": "drop", "files": ["…"]}                on the middle of the window
//   {"do": "wheel", "name": "messageList", "steps": -3}
//   {"do": "clip", "text": "…"} or {"do": "clip", "picture": "…"}
//   {"do": "shot", "file": "….png"}
//   {"do": "frames"}                              ms that the thread of the window was held, since the
//                                                 last time: {"held": [...], "frames": [...], "slow": ["…"]},
//                                                 the last being events that took more than 30 ms
//   {"do": "unnamed"}                             controls that a screen reader has no name for
//   {"do": "lose", "for_good": false}             the device, with the next submission; for_good: the next ones too
//   {"do": "size", "width": 800, "height": 600}
//   {"do": "spare"}                               the device, from now on
//   {"do": "first_frame"}                         seconds from the start of the process
//   {"do": "quit"}
#include <QAccessible>
#include <QClipboard>
#include <QDragEnterEvent>
#include <QDropEvent>
#include <QGuiApplication>
#include <QImage>
#include <QJSValue>
#include <QInputMethodEvent>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QMimeData>
#include <QQmlContext>
#include <QQmlEngine>
#include <QQmlExpression>
#include <QQuickItem>
#include <QTest>
#include <QThread>
#include <atomic>
#include <chrono>
#include <iostream>
#include <mutex>
#include <thread>

#include "app/desktop/application.h"
#include "app/desktop/window.h"
#include "app/platform.h"
#include "tests/faults/vulkan_faults.h"

namespace olivine::desktop {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Asks the thread of the window every 5 ms for a sign of life, and measures how long it takes.
class Heartbeat {
public:
    explicit Heartbeat(QObject& there) : there_(there), thread_([this] { beat(); }) {}
    ~Heartbeat() {
        stop_ = true;
        thread_.join();
    }
    std::vector<double> take() {
        const std::lock_guard lock(mutex_);
        return std::exchange(held_, {});
    }

private:
    void beat() {
        while (!stop_) {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
            if (waiting_.exchange(true))
                continue;
            QMetaObject::invokeMethod(
                &there_,
                [this, asked = Clock::now()] {
                    const std::lock_guard lock(mutex_);
                    held_.push_back(ms_since(asked));
                    waiting_ = false;
                },
                Qt::QueuedConnection);
        }
    }
    QObject& there_;
    std::atomic<bool> stop_ = false, waiting_ = false;
    std::mutex mutex_;
    std::vector<double> held_;
    std::thread thread_;
};

// Knows which events took long.
class Program : public QGuiApplication {
public:
    using QGuiApplication::QGuiApplication;
    bool notify(QObject* receiver, QEvent* event) override {
        const Clock::time_point start = Clock::now();
        const QByteArray name = receiver->metaObject()->className();
        const int type = event->type();
        ++depth_;
        const bool result = QGuiApplication::notify(receiver, event);
        if (--depth_ == 0 && ms_since(start) > kSlowMs && QThread::currentThread() == thread())
            slow_ << QString("%1, event %2: %3 ms").arg(name).arg(type).arg(ms_since(start), 0, 'f', 0);
        return result;
    }
    QStringList take_slow() { return std::exchange(slow_, {}); }

private:
    static constexpr double kSlowMs = 30;
    thread_local static inline int depth_ = 0;
    QStringList slow_;
};

QJsonArray numbers(const std::vector<double>& values) {
    QJsonArray all;
    for (const double value : values)
        all.append(value);
    return all;
}

void find_items(QQuickItem* below, const QString& name, QList<QQuickItem*>& found) {
    if (below->objectName() == name && below->isVisible() && below->width() > 0 && below->height() > 0)
        found.append(below);
    for (QQuickItem* child : below->childItems())
        find_items(child, name, found);
}

void find_unnamed(QAccessibleInterface* item, QStringList& found) {
    if (!item || item->state().invisible)
        return;
    const QList<QAccessible::Role> controls{QAccessible::Button, QAccessible::EditableText, QAccessible::CheckBox,
                                            QAccessible::Slider, QAccessible::List, QAccessible::ListItem,
                                            QAccessible::MenuItem, QAccessible::SpinBox};
    if (controls.contains(item->role()) && item->text(QAccessible::Name).trimmed().isEmpty() && item->object())
        found << QString("%1 %2 (role %3)")
                     .arg(item->object()->metaObject()->className(), item->object()->objectName())
                     .arg(item->role());
    for (int i = 0; i < item->childCount(); ++i)
        find_unnamed(item->child(i), found);
}

class Remote : public QObject {
public:
    Remote(Window& window) : window_(window), heartbeat_(*this) {
        connect(window.quick_window(), &QQuickWindow::beforeSynchronizing, this,
                [this] { frame_began_ = Clock::now(); }, Qt::DirectConnection);
        connect(window.quick_window(), &QQuickWindow::frameSwapped, this, [this] {
            const std::lock_guard lock(mutex_);
            frames_.push_back(ms_since(frame_began_));
        }, Qt::DirectConnection);
    }

    QJsonObject run(const QJsonObject& order) {
        const QString what = order["do"].toString();
        if (what == "eval")
            return eval(order["js"].toString());
        if (what == "click")
            return click(order["name"].toString(), order["at"].toInt(-1));
        if (what == "hover") {
            QQuickItem* there = item(order["name"].toString(), order["at"].toInt(-1));
            if (there)
                QTest::mouseMove(window_.quick_window(),
                                 there->mapToScene({there->width() / 2, there->height() / 2}).toPoint());
            return {{"ok", there != nullptr}};
        }
        if (what == "type")
            return type(order["text"].toString());
        if (what == "key")
            return key(order["keys"].toString());
        if (what == "drop")
            return drop(order["files"].toArray());
        if (what == "wheel")
            return wheel(order["name"].toString(), order["steps"].toInt());
        if (what == "clip")
            return clip(order);
        if (what == "shot")
            return {{"ok", window_.quick_window()->grabWindow().save(order["file"].toString())}};
        if (what == "frames") {
            std::vector<double> frames;
            {
                const std::lock_guard lock(mutex_);
                frames = std::exchange(frames_, {});
            }
            return {{"ok", true},
                    {"held", numbers(heartbeat_.take())},
                    {"frames", numbers(frames)},
                    {"slow", QJsonArray::fromStringList(static_cast<Program*>(qApp)->take_slow())}};
        }
        if (what == "unnamed") {
            QStringList found;
            QAccessible::setActive(true);
            find_unnamed(QAccessible::queryAccessibleInterface(window_.quick_window()), found);
            return {{"ok", true}, {"value", QJsonArray::fromStringList(found)}};
        }
        if (what == "lose") {
            test::go_on_watching({"vkQueueSubmit2", 1, VK_ERROR_DEVICE_LOST, order["for_good"].toBool()});
            return {{"ok", true}};
        }
        if (what == "spare") {
            test::go_on_watching();
            return {{"ok", true}};
        }
        if (what == "first_frame")
            return {{"ok", true}, {"value", window_.first_frame_seconds()}};
        if (what == "size") {
            window_.quick_window()->resize(order["width"].toInt(), order["height"].toInt());
            return {{"ok", true}};
        }
        if (what == "quit") {
            window_.quick_window()->close();
            return {{"ok", true}};
        }
        return {{"ok", false}, {"error", "no such order: " + what}};
    }

private:
    QJsonObject eval(const QString& js) {
        QQuickWindow* window = window_.quick_window();
        QQmlExpression expression(qmlContext(window), window, js);
        bool undefined = false;
        QVariant value = expression.evaluate(&undefined);
        if (value.metaType() == QMetaType::fromType<QJSValue>())
            value = value.value<QJSValue>().toVariant();
        if (expression.hasError())
            return {{"ok", false}, {"error", expression.error().toString()}};
        return {{"ok", true}, {"value", undefined ? QJsonValue() : QJsonValue::fromVariant(value)}};
    }

    QQuickItem* item(const QString& name, int at) {
        QList<QQuickItem*> found;
        // What lies over the window is not below its content, but beside.
        find_items(window_.quick_window()->contentItem(), name, found);
        if (found.isEmpty())
            return nullptr;
        const qsizetype index = at < 0 ? found.size() + at : at;
        return index >= 0 && index < found.size() ? found[index] : nullptr;
    }

    QJsonObject click(const QString& name, int at) {
        QQuickItem* there = item(name, at);
        if (!there)
            return {{"ok", false}, {"error", "nothing visible is called " + name}};
        const QPoint middle = there->mapToScene({there->width() / 2, there->height() / 2}).toPoint();
        QTest::mouseMove(window_.quick_window(), middle);
        QTest::mouseClick(window_.quick_window(), Qt::LeftButton, {}, middle);
        return {{"ok", true}};
    }

    QJsonObject type(const QString& text) {
        QInputMethodEvent event;
        event.setCommitString(text);
        QObject* focus = QGuiApplication::focusObject();
        if (!focus)
            return {{"ok", false}, {"error", "nothing has the focus"}};
        QCoreApplication::sendEvent(focus, &event);
        return {{"ok", true}};
    }

    QJsonObject key(const QString& keys) {
        const QKeySequence sequence(keys);
        for (int i = 0; i < sequence.count(); ++i)
            QTest::keyClick(window_.quick_window(), sequence[static_cast<uint>(i)].key(),
                            sequence[static_cast<uint>(i)].keyboardModifiers());
        return {{"ok", sequence.count() > 0}};
    }

    QJsonObject drop(const QJsonArray& files) {
        QQuickWindow* window = window_.quick_window();
        QMimeData data;
        QList<QUrl> urls;
        for (const QJsonValue& file : files)
            urls.append(QUrl::fromLocalFile(file.toString()));
        data.setUrls(urls);
        const QPoint middle(window->width() / 2, window->height() / 2);
        QDragEnterEvent enter(middle, Qt::CopyAction, &data, Qt::LeftButton, {});
        QCoreApplication::sendEvent(window, &enter);
        QDragMoveEvent move(middle, Qt::CopyAction, &data, Qt::LeftButton, {});
        QCoreApplication::sendEvent(window, &move);
        QDropEvent event(middle, Qt::CopyAction, &data, Qt::LeftButton, {});
        QCoreApplication::sendEvent(window, &event);
        return {{"ok", event.isAccepted()}};
    }

    QJsonObject wheel(const QString& name, int steps) {
        QQuickItem* there = item(name, -1);
        if (!there)
            return {{"ok", false}, {"error", "nothing visible is called " + name}};
        const QPointF middle = there->mapToScene({there->width() / 2, there->height() / 2});
        QTest::mouseMove(window_.quick_window(), middle.toPoint());
        QWheelEvent event(middle, window_.quick_window()->mapToGlobal(middle), {}, {0, 120 * steps}, Qt::NoButton,
                          {}, Qt::NoScrollPhase, false);
        QCoreApplication::sendEvent(window_.quick_window(), &event);
        return {{"ok", true}};
    }

    QJsonObject clip(const QJsonObject& order) {
        if (order.contains("text"))
            QGuiApplication::clipboard()->setText(order["text"].toString());
        else if (order.contains("repeat"))  // a long one, which a line of JSON is not made for
            QGuiApplication::clipboard()->setText(QString("Lorem ipsum dolor sit amet. ").repeated(order["repeat"].toInt()));
        else
            QGuiApplication::clipboard()->setImage(QImage(order["picture"].toString()));
        return {{"ok", true}};
    }

    Window& window_;
    std::mutex mutex_;
    Clock::time_point frame_began_;
    std::vector<double> frames_;
    Heartbeat heartbeat_;  // the last: its thread uses the others
};

int run(int argc, char** argv) {
    platform::start();
    choose_renderer();
    Program program(argc, argv);
    QGuiApplication::setApplicationName("olivine-chat");
    const QStringList arguments = QCoreApplication::arguments();
    Options options;
    options.data_folder = arguments.value(1);
    if (const auto at = arguments.indexOf("--model"); at > 0)
        options.model = arguments.value(at + 1);
    if (const auto at = arguments.indexOf("--budget"); at > 0)
        options.memory_budget = arguments.value(at + 1).toULongLong();
    if (!platform::make_private_folder(options.data_folder.toStdString()))
        return 1;
    Application application(options);
    Window window(application);
    if (!window.show())
        return 1;
    Remote remote(window);
    std::thread orders([&remote, &program] {
        for (std::string line; std::getline(std::cin, line);)
            QMetaObject::invokeMethod(
                &remote,
                [&remote, line] {
                    const QJsonObject answer = remote.run(QJsonDocument::fromJson(QByteArray::fromStdString(line)).object());
                    std::cout << QJsonDocument(answer).toJson(QJsonDocument::Compact).toStdString() << std::endl;
                },
                Qt::QueuedConnection);
        QMetaObject::invokeMethod(&program, &QCoreApplication::quit, Qt::QueuedConnection);
    });
    orders.detach();
    const int code = QGuiApplication::exec();
    std::cout.flush();
    return code;
}

}  // namespace
}  // namespace olivine::desktop

int main(int argc, char** argv) {
    return olivine::desktop::run(argc, argv);
}
