// One program a data folder: a second one shows the window of the first.
#pragma once

#include <QLocalServer>
#include <QLockFile>
#include <QObject>
#include <QString>

namespace olivine::desktop {

class SingleInstance : public QObject {
    Q_OBJECT

public:
    enum class Outcome {
        first,      // nobody else
        asked,      // another one has taken the request
        elsewhere,  // another one, which cannot be asked: who() says where
        failed,     // the folder cannot be written: who() says why
    };

    explicit SingleInstance(const QString& folder);
    // request: what this start asks of the first one, which is told by asked_for().
    Outcome take(const QByteArray& request);
    QString who() const { return who_; }

Q_SIGNALS:
    void asked_for(const QByteArray& request);  // by another one that was started

private:
    QString name_;
    QLockFile lock_;
    QLocalServer server_;
    QString who_;
};

}  // namespace olivine::desktop
