// A thread that runs what it is given, one piece after another.
#pragma once

#include <QObject>
#include <QThread>
#include <functional>

namespace olivine::desktop {

class WorkThread {
public:
    explicit WorkThread(const QString& name) {
        thread_.setObjectName(name);
        worker_.moveToThread(&thread_);
        thread_.start();
    }
    // Runs what waits, then ends.
    ~WorkThread() {
        add([this] { thread_.quit(); });
        thread_.wait();
    }
    WorkThread(const WorkThread&) = delete;
    WorkThread& operator=(const WorkThread&) = delete;

    // From any thread. Work never throws.
    void add(std::function<void()> work) {
        QMetaObject::invokeMethod(&worker_, std::move(work), Qt::QueuedConnection);
    }

private:
    QThread thread_;
    QObject worker_;
};

}  // namespace olivine::desktop
