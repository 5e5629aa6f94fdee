// Conversations as files: Markdown to read, JSON to keep and to bring back.
#pragma once

#include <QByteArray>
#include <QIODevice>
#include <QList>
#include <QString>

#include "app/desktop/store.h"

namespace olivine::desktop {

// The path that is shown.
QString export_markdown(Store& store, qint64 conversation);

// Whole trees with settings and pictures. The device is open; it gets one conversation after
// another, so that no more than one is in memory.
void export_json(Store& store, const QList<qint64>& conversations, QIODevice& to);
QByteArray export_json(Store& store, qint64 conversation);
QByteArray export_all_json(Store& store);

// What the functions above wrote, one conversation or several, as new conversations. The file may
// be anything: a StoreError says where it is wrong, and then nothing is stored.
QList<ConversationRow> import_json(Store& store, const QByteArray& file);

}  // namespace olivine::desktop
