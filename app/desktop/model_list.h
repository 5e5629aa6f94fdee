// The models there are to choose from, and what each needs beside what the device has.
#pragma once

#include <QAbstractListModel>
#include <QStringList>
#include <QUrl>
#include <QtQml/qqmlregistration.h>

#include "app/desktop/work_thread.h"

namespace olivine::desktop {

class ModelList : public QAbstractListModel {
    Q_OBJECT
    QML_ELEMENT
    QML_UNCREATABLE("There is one, App.models.")
    Q_PROPERTY(int count READ count NOTIFY listed)
    Q_PROPERTY(bool reading READ reading NOTIFY listed)
    Q_PROPERTY(QString device READ device NOTIFY listed)        // "NVIDIA H200 · 139.7 GiB free"; or why there is none
    Q_PROPERTY(QStringList places READ places NOTIFY listed)    // folders and files that were added

public:
    enum Roles {
        NameRole = Qt::UserRole,
        PathRole,     // for ModelWanted
        DetailRole,   // "3.3 MiB · text and pictures · 1,024 tokens"
        MemoryRole,   // "needs 7.8 MiB, 23.5 GiB free"
        FitRole,      // "fits", "streams", "not", "broken"
        ReasonRole,   // of "streams", "not" and "broken": a sentence
        BuiltInRole,
    };

    // What is asked of the models: the context's length (0 = the default) and the device.
    struct Asked {
        QStringList places;
        int context = 0;
        quint64 memory_budget = 0;
        int device = -1;
        quint64 ours = 0;  // bytes that the loaded model has, which the next one takes the place of
    };

    ModelList() = default;

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role) const override;
    QHash<int, QByteArray> roleNames() const override;

    int count() const { return static_cast<int>(rows_.size()); }
    bool reading() const { return reading_ > 0; }
    QString device() const { return device_; }
    QStringList places() const { return asked_.places; }

    // Reads the places again, on a thread of its own.
    void list(const Asked& asked);

Q_SIGNALS:
    void listed();

private:
    struct Row {
        QString name, path, detail, memory, fit, reason;
        bool built_in = false;
    };
    struct Result {
        QString device;
        QList<Row> rows;
    };
    static Result read(const Asked& asked);
    static Row read_model(const QString& path, const Asked& asked, quint64 free_bytes);
    static QStringList models_in(const QString& place);

    Asked asked_;
    QString device_;
    QList<Row> rows_;
    int reading_ = 0;
    WorkThread thread_{"models"};  // the last: its work uses the others
};

}  // namespace olivine::desktop
