// What the tests of the store share.
#pragma once

#include <QDir>
#include <QElapsedTimer>
#include <QFile>
#include <QString>
#include <QTemporaryDir>
#include <catch2/catch_test_macros.hpp>
#include <catch2/catch_tostring.hpp>
#include <string>

#include "app/desktop/store.h"

template <>
struct Catch::StringMaker<QString> {
    static std::string convert(const QString& text) { return '"' + text.toStdString() + '"'; }
};

namespace olivine::desktop {

// A folder that goes with the test.
struct Folder {
    QTemporaryDir parent;
    QString path = parent.path() + "/data";
    QString file(const QString& name) const { return path + '/' + name; }
};

inline QByteArray read_all(const QString& path) {
    QFile file(path);
    CHECK(file.open(QIODevice::ReadOnly));
    return file.readAll();
}

inline void write_all(const QString& path, const QByteArray& bytes) {
    QFile file(path);
    REQUIRE(file.open(QIODevice::WriteOnly));
    REQUIRE(file.write(bytes) == bytes.size());
}

inline MessageRow question(qint64 conversation, qint64 parent, const QString& text) {
    return {.conversation = conversation, .parent = parent, .role = Role::user, .text = text};
}

inline MessageRow answer(qint64 conversation, qint64 parent, const QString& text) {
    return {.conversation = conversation,
            .parent = parent,
            .role = Role::model,
            .text = text,
            .model = "Gemma 3 4B"};
}

// What a call throws; other kinds of exceptions end the test.
template <typename Call>
StoreError error_of(Call call) {
    try {
        call();
    } catch (const StoreError& error) {
        return error;
    }
    FAIL("nothing is thrown");
    throw;
}

inline QString integrity(Store& store) {
    Statement check(store.database(), "PRAGMA integrity_check");
    check.step();
    const QString result = check.text(0);
    const qint64 orphans = store.database().number("SELECT count(*) FROM pragma_foreign_key_check");
    return orphans == 0 ? result : QString("%1 foreign keys point nowhere").arg(orphans);
}

}  // namespace olivine::desktop
