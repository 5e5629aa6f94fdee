// Pictures that go with the next question.
#pragma once

#include <QAbstractListModel>
#include <QHash>
#include <QList>
#include <QUrl>
#include <QtQml/qqmlregistration.h>

#include "app/desktop/store_thread.h"

namespace olivine::desktop {

class PictureTray : public QAbstractListModel {
    Q_OBJECT
    QML_ELEMENT
    QML_UNCREATABLE("There is one, App.tray.")
    Q_PROPERTY(int count READ count NOTIFY count_changed)
    Q_PROPERTY(bool reading READ reading NOTIFY reading_changed)  // some are still on their way

public:
    enum Roles { UrlRole = Qt::UserRole, NameRole };

    explicit PictureTray(StoreThread& store) : store_(store) {}

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role) const override;
    QHash<int, QByteArray> roleNames() const override;

    int count() const { return static_cast<int>(items_.size()); }
    bool reading() const { return reading_ > 0; }
    QList<PictureRef> pictures() const;
    QString path(const QString& hash) const;

    // Files of any format that Qt reads; others, and damaged ones, are refused() with a sentence.
    Q_INVOKABLE void add_files(const QList<QUrl>& files);
    // The picture, or the picture files, of the clipboard. False: there is none.
    Q_INVOKABLE bool add_clipboard();
    Q_INVOKABLE void remove(int index);
    Q_INVOKABLE void clear();

Q_SIGNALS:
    void count_changed();
    void reading_changed();
    void refused(const QString& sentence);

private:
    struct Item {
        PictureRef picture;
        QString path;
    };
    void add(std::function<Item(Store&)> read);

    StoreThread& store_;
    QList<Item> items_;
    int reading_ = 0;
};

}  // namespace olivine::desktop
