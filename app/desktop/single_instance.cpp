#include "app/desktop/single_instance.h"

#include <QCryptographicHash>
#include <QLocalSocket>

namespace olivine::desktop {
namespace {

constexpr int kAnswerMs = 2000;
constexpr int kMaxRequest = 1 << 20;

}  // namespace

SingleInstance::SingleInstance(const QString& folder)
    // Names of sockets are short; folders are not.
    : name_("olivine-chat-" +
            QCryptographicHash::hash(folder.toUtf8(), QCryptographicHash::Sha256).toHex().left(16)),
      lock_(folder + "/olivine-chat.lock") {
    lock_.setStaleLockTime(0);  // only the end of its program frees it
    server_.setSocketOptions(QLocalServer::UserAccessOption);
    connect(&server_, &QLocalServer::newConnection, this, [this] {
        while (QLocalSocket* other = server_.nextPendingConnection()) {
            connect(other, &QLocalSocket::disconnected, other, &QObject::deleteLater);
            connect(other, &QLocalSocket::readyRead, this, [this, other] {
                if (!other->canReadLine() && other->bytesAvailable() < kMaxRequest)
                    return;
                const QByteArray request = other->readLine(kMaxRequest);
                other->write("taken");
                other->disconnectFromServer();
                Q_EMIT asked_for(request);
            });
        }
    });
}

SingleInstance::Outcome SingleInstance::take(const QByteArray& request) {
    if (lock_.tryLock(0)) {
        QLocalServer::removeServer(name_);
        server_.listen(name_);
        return Outcome::first;
    }
    if (lock_.error() != QLockFile::LockFailedError) {
        who_ = tr("The file cannot be written.");
        return Outcome::failed;
    }
    QLocalSocket first;
    first.connectToServer(name_);
    if (first.waitForConnected(kAnswerMs)) {
        first.write(request + '\n');
        if (first.waitForReadyRead(kAnswerMs) && first.readAll() == "taken")
            return Outcome::asked;
    }
    qint64 process = 0;
    QString host, program;
    lock_.getLockInfo(&process, &host, &program);
    who_ = tr("process %1 on %2").arg(process).arg(host);
    return Outcome::elsewhere;
}

}  // namespace olivine::desktop
