#include "app/desktop/picture_tray.h"

#include <QBuffer>
#include <QClipboard>
#include <QFile>
#include <QFileInfo>
#include <QGuiApplication>
#include <QImage>
#include <QMimeData>

#include "engine/error.h"
#include "model/picture.h"

namespace olivine::desktop {
namespace {

struct Encoded {
    QByteArray file;
    QString extension;
    int width = 0, height = 0;
};

bool is_png(const QByteArray& file) { return file.startsWith("\x89PNG\r\n\x1a\n"); }
bool is_jpeg(const QByteArray& file) { return file.startsWith("\xff\xd8\xff"); }

QByteArray as_png(const QImage& image) {
    QByteArray bytes;
    QBuffer buffer(&bytes);
    buffer.open(QIODevice::WriteOnly);
    image.save(&buffer, "PNG");
    return bytes;
}

// What the model will be able to read, or an Error with the sentence.
Encoded readable(QByteArray file, const QString& name) {
    if (!is_png(file) && !is_jpeg(file)) {
        const QImage image = QImage::fromData(file);
        if (image.isNull())
            fail(Fault::bad_file, "%s: the file is not a picture that can be read.", name.toUtf8().constData());
        file = as_png(image);
    }
    const Picture picture =
        decode_picture(std::as_bytes(std::span(file.constData(), static_cast<size_t>(file.size()))), name.toStdString());
    return {file, is_png(file) ? "png" : "jpg", static_cast<int>(picture.width), static_cast<int>(picture.height)};
}

QByteArray read_whole(const QString& path) {
    QFile file(path);
    if (!file.open(QIODevice::ReadOnly))
        fail(Fault::bad_file, "%s: the file does not open (%s).", path.toUtf8().constData(),
             file.errorString().toUtf8().constData());
    if (static_cast<uint64_t>(file.size()) > kMaxPictureFileBytes)
        fail(Fault::bad_file, "%s: the file has %lld bytes (a picture at most %llu).", path.toUtf8().constData(),
             static_cast<long long>(file.size()), static_cast<unsigned long long>(kMaxPictureFileBytes));
    return file.readAll();
}

}  // namespace

int PictureTray::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : count();
}

QVariant PictureTray::data(const QModelIndex& index, int role) const {
    if (index.row() < 0 || index.row() >= count())
        return {};
    const Item& item = items_[index.row()];
    switch (role) {
    case UrlRole: return QUrl::fromLocalFile(item.path);
    case NameRole: return item.picture.name;
    default: return {};
    }
}

QHash<int, QByteArray> PictureTray::roleNames() const {
    return {{UrlRole, "url"}, {NameRole, "name"}};
}

QList<PictureRef> PictureTray::pictures() const {
    QList<PictureRef> all;
    for (const Item& item : items_)
        all.append(item.picture);
    return all;
}

QString PictureTray::path(const QString& hash) const {
    for (const Item& item : items_)
        if (item.picture.hash == hash)
            return item.path;
    return {};
}

// Reading and decoding take a while: they are the store's thread's.
void PictureTray::add(std::function<Item(Store&)> read) {
    ++reading_;
    Q_EMIT reading_changed();
    const auto done = [this] {
        --reading_;
        Q_EMIT reading_changed();
    };
    store_.ask(
        this, std::move(read),
        [this, done](Item item) {
            beginInsertRows({}, count(), count());
            items_.append(std::move(item));
            endInsertRows();
            Q_EMIT count_changed();
            done();
        },
        [this, done](const QString& sentence) {
            Q_EMIT refused(sentence);
            done();
        });
}

void PictureTray::add_files(const QList<QUrl>& files) {
    for (const QUrl& url : files) {
        if (!url.isLocalFile()) {
            Q_EMIT refused(tr("%1 is not a file on this computer.").arg(url.toDisplayString()));
            continue;
        }
        add([path = url.toLocalFile()](Store& store) {
            const QString name = QFileInfo(path).fileName();
            const Encoded encoded = readable(read_whole(path), name);
            Item item;
            item.picture =
                store.add_picture(encoded.file, encoded.extension, name, encoded.width, encoded.height);
            item.path = store.picture_path(item.picture);
            return item;
        });
    }
}

bool PictureTray::add_clipboard() {
    const QMimeData* data = QGuiApplication::clipboard()->mimeData();
    if (!data)
        return false;
    if (data->hasImage() && !data->hasText()) {  // a copied table is both
        const QImage image = qvariant_cast<QImage>(data->imageData());
        if (image.isNull())
            return false;
        add([image, name = tr("pasted picture")](Store& store) {
            const Encoded encoded = readable(as_png(image), name);
            Item item;
            item.picture =
                store.add_picture(encoded.file, encoded.extension, name, encoded.width, encoded.height);
            item.path = store.picture_path(item.picture);
            return item;
        });
        return true;
    }
    if (!data->hasUrls())
        return false;
    add_files(data->urls());
    return true;
}

void PictureTray::remove(int index) {
    if (index < 0 || index >= count())
        return;
    beginRemoveRows({}, index, index);
    items_.removeAt(index);
    endRemoveRows();
    Q_EMIT count_changed();
}

void PictureTray::clear() {
    beginResetModel();
    items_.clear();
    endResetModel();
    Q_EMIT count_changed();
}

}  // namespace olivine::desktop
