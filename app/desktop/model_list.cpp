#include "app/desktop/model_list.h"

#include <QDir>
#include <QFileInfo>
#include <QLocale>
#include <algorithm>

#include "app/platform.h"
#include "app/text.h"
#include "engine/device.h"
#include "engine/error.h"
#include "model/checkpoint.h"
#include "model/residency.h"
#include "model/sizes.h"

namespace olivine::desktop {
namespace {

constexpr int kDepth = 3;        // of folders below one that was added
constexpr int kMaxFolders = 2000;
constexpr int kMaxModels = 500;

// The device that would be taken; null where none is usable.
const DeviceInfo* pick(const std::vector<DeviceInfo>& all, int wanted) {
    const auto rank = [](const DeviceInfo& device) {
        const QStringList order{"discrete", "integrated", "virtual", "cpu"};
        const auto at = order.indexOf(QString::fromStdString(device.type));
        return at < 0 ? order.size() : at;
    };
    const DeviceInfo* best = nullptr;
    for (const DeviceInfo& device : all)
        if (device.unusable.empty() && (wanted < 0 || device.index == static_cast<uint32_t>(wanted)) &&
            (!best || rank(device) < rank(*best)))
            best = &device;
    return best;
}

QString bytes(quint64 count) { return QString::fromStdString(bytes_text(count)); }

void walk(const QString& folder, int depth, int& folders, QStringList& found) {
    if (++folders > kMaxFolders || found.size() >= kMaxModels)
        return;
    const QDir dir(folder);
    if (dir.exists("config.json") && !dir.entryList({"*.safetensors"}, QDir::Files).isEmpty())
        found << folder;
    for (const QFileInfo& file : dir.entryInfoList({"*.gguf"}, QDir::Files, QDir::Name))
        if (!named_mmproj(file.fileName().toStdString()))
            found << file.filePath();
    if (depth > 0)
        for (const QFileInfo& below : dir.entryInfoList(QDir::Dirs | QDir::NoDotAndDotDot, QDir::Name))
            walk(below.filePath(), depth - 1, folders, found);
}

}  // namespace

int ModelList::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : count();
}

QVariant ModelList::data(const QModelIndex& index, int role) const {
    if (index.row() < 0 || index.row() >= count())
        return {};
    const Row& row = rows_[index.row()];
    switch (role) {
    case NameRole: return row.name;
    case PathRole: return row.path;
    case DetailRole: return row.detail;
    case MemoryRole: return row.memory;
    case FitRole: return row.fit;
    case ReasonRole: return row.reason;
    case BuiltInRole: return row.built_in;
    default: return {};
    }
}

QHash<int, QByteArray> ModelList::roleNames() const {
    return {{NameRole, "name"},     {PathRole, "path"}, {DetailRole, "detail"},    {MemoryRole, "memory"},
            {FitRole, "fit"},       {ReasonRole, "reason"}, {BuiltInRole, "builtIn"}};
}

QStringList ModelList::models_in(const QString& place) {
    if (QFileInfo(place).isFile())
        return {place};
    QStringList found;
    int folders = 0;
    walk(place, kDepth, folders, found);
    return found;
}

// Headers only: what the files say of themselves, and the sums that loading would begin with.
ModelList::Row ModelList::read_model(const QString& path, const Asked& asked, quint64 free_bytes) {
    Row row;
    row.path = path;
    row.name = QFileInfo(path).fileName();
    try {
        const auto checkpoint = Checkpoint::open(path.toStdString());
        const ContextOptions context{.context = static_cast<uint32_t>(asked.context)};
        const Config& config = checkpoint->config();
        const ModelBytes needed = model_bytes(*checkpoint, context);
        const uint32_t length = context_length(config, context.context);
        row.detail = tr("%1 · %2 · %3 tokens")
                         .arg(bytes(checkpoint->weight_bytes()),
                              checkpoint->has_vision() ? tr("text and pictures") : tr("text"),
                              QLocale().toString(length));
        row.memory = tr("needs %1, %2 free").arg(bytes(needed.total()), bytes(free_bytes));
        const Residency weights = residency(config, needed, context, free_bytes);
        row.fit = !weights.fits ? "not" : weights.streams ? "streams" : "fits";
        if (weights.fits && weights.streams)
            row.reason = tr("Does not fit whole: %1 of its weights are copied to the device for each word, which is slower.")
                             .arg(bytes(weights.streamed_bytes));
        else if (!weights.fits) {
            const uint32_t longest = longest_context(config, needed, context, free_bytes);
            row.reason = longest > 0 ? tr("Does not fit with %1 tokens of context; %2 would fit.")
                                           .arg(QLocale().toString(length), QLocale().toString(longest))
                                     : tr("Does not fit with any context: at least %1 are needed.")
                                           .arg(bytes(weights.least_bytes));
        }
    } catch (const std::exception& error) {  // one bad file does not hide the others
        row.fit = "broken";
        row.reason = QString::fromUtf8(error.what());
    }
    return row;
}

ModelList::Result ModelList::read(const Asked& asked) {
    Result result;
    quint64 free_bytes = 0;
    try {
        const std::vector<DeviceInfo> devices = list_devices();
        if (const DeviceInfo* device = pick(devices, asked.device)) {
            free_bytes = std::min<quint64>(device->free_bytes + asked.ours, device->memory_bytes);
            if (asked.memory_budget > 0)
                free_bytes = std::min(free_bytes, asked.memory_budget);
            result.device = tr("%1 · %2 free").arg(QString::fromStdString(device->name), bytes(free_bytes));
        } else {
            result.device = tr("No Vulkan device can be used.");
        }
    } catch (const std::exception& error) {
        result.device = QString::fromUtf8(error.what());
    }
    try {
        Row row = read_model(QString::fromStdString(platform::built_in_model()), asked, free_bytes);
        row.name = tr("Built-in model");
        row.path.clear();
        row.built_in = true;
        result.rows.append(row);
    } catch (const std::exception&) {  // an installation without it has the others
    }
    for (const QString& place : asked.places)
        for (const QString& path : models_in(place))
            if (std::none_of(result.rows.begin(), result.rows.end(), [&](const Row& row) { return row.path == path; }))
                result.rows.append(read_model(path, asked, free_bytes));
    return result;
}

void ModelList::list(const Asked& asked) {
    asked_ = asked;
    ++reading_;
    Q_EMIT listed();
    thread_.add([this, asked] {
        Result result = read(asked);
        QMetaObject::invokeMethod(
            this,
            [this, result = std::move(result)] {
                if (--reading_ == 0) {
                    beginResetModel();
                    device_ = result.device;
                    rows_ = result.rows;
                    endResetModel();
                }
                Q_EMIT listed();
            },
            Qt::QueuedConnection);
    });
}

}  // namespace olivine::desktop
