#include "app/desktop/database.h"

#include <sqlite3.h>

#include <QDir>
#include <QFile>
#include <cerrno>

namespace olivine::desktop {

namespace {

bool is_no_space(int number) {
#ifdef EDQUOT
    if (number == EDQUOT)
        return true;
#endif
    return number == ENOSPC || number == EFBIG;
}

// SQLite says "disk I/O error" too when the disk is full in the middle of a write.
bool is_full(int code, int system) {
    switch (code) {
    case SQLITE_FULL:
    case SQLITE_IOERR_WRITE:
    case SQLITE_IOERR_FSYNC:
    case SQLITE_IOERR_DIR_FSYNC:
    case SQLITE_IOERR_TRUNCATE:
    case SQLITE_IOERR_SHMSIZE: return true;
    }
    const int family = code & 0xff;
    return (family == SQLITE_IOERR || family == SQLITE_CANTOPEN) && is_no_space(system);
}

StoreError error_of(int code, int system, const QString& path, const QString& reason) {
    using Kind = StoreError::Kind;
    const QString file = QDir::toNativeSeparators(path);
    if (is_full(code, system))
        return {Kind::full, QString("The disk is full: %1 is not changed (%2).").arg(file, reason)};
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return {Kind::busy, QString("Another program has held %1 for more than %2 s.")
                                .arg(file, QString::number(Database::kBusyTimeoutMs / 1000))};
    case SQLITE_NOTADB: return {Kind::corrupt, QString("%1 is not a database.").arg(file)};
    case SQLITE_CORRUPT: return {Kind::corrupt, QString("%1 is damaged (%2).").arg(file, reason)};
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH: return {Kind::other, QString("%1 cannot be opened (%2).").arg(file, reason)};
    case SQLITE_READONLY: return {Kind::other, QString("%1 cannot be written.").arg(file)};
    default: return {Kind::other, QString("%1 cannot be used (%2).").arg(file, reason)};
    }
}

}  // namespace

void Database::Close::operator()(sqlite3* database) const {
    sqlite3_close_v2(database);
}

Database::Database(const QString& path) : path_(path) {
    // SQLite gives its other files the permissions of this one. Only a new file is opened here: to
    // close one that the process has open elsewhere would drop SQLite's locks on it.
    if (!QFile::exists(path)) {
        QFile file(path);
        static_cast<void>(file.open(QIODevice::WriteOnly | QIODevice::NewOnly,
                                    QFile::ReadOwner | QFile::WriteOwner));  // SQLite says why not
    }
    sqlite3* handle = nullptr;
    const int code = sqlite3_open_v2(
        path.toUtf8().constData(), &handle,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
    handle_.reset(handle);
    if (code != SQLITE_OK)
        fail(code);
    if (sqlite3_db_readonly(handle, "main") == 1)
        fail(SQLITE_READONLY);
    sqlite3_busy_timeout(handle, kBusyTimeoutMs);
}

void Database::fail(int code) const {
    sqlite3* const handle = handle_.get();
    throw error_of(code, handle ? sqlite3_system_errno(handle) : 0, path_,
                   QString::fromUtf8(handle && sqlite3_extended_errcode(handle) == code
                                         ? sqlite3_errmsg(handle)
                                         : sqlite3_errstr(code)));
}

void Database::execute(const char* sql) {
    const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK)
        fail(code);
}

qint64 Database::number(const char* sql) {
    Statement statement(*this, sql);
    return statement.step() ? statement.number(0) : 0;
}

qint64 Database::last_id() const {
    return sqlite3_last_insert_rowid(handle_.get());
}

int Database::changes() const {
    return sqlite3_changes(handle_.get());
}

bool Database::in_transaction() const {
    return !sqlite3_get_autocommit(handle_.get());
}

void Database::transaction(const std::function<void()>& work) {
    run("BEGIN IMMEDIATE", work);
}

void Database::snapshot(const std::function<void()>& work) {
    run("BEGIN", work);
}

void Database::run(const char* begin, const std::function<void()>& work) {
    if (in_transaction())
        return work();
    execute(begin);
    try {
        work();
        execute("COMMIT");
    } catch (...) {            // whatever it is, it goes on
        if (in_transaction())  // SQLite ends some by itself
            sqlite3_exec(handle_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
        throw;
    }
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
    sqlite3_finalize(statement);
}

Statement::Statement(Database& database, const QByteArray& sql) : database_(database) {
    sqlite3_stmt* handle = nullptr;
    const int code =
        sqlite3_prepare_v2(database.handle_.get(), sql.constData(), -1, &handle, nullptr);
    handle_.reset(handle);
    check(code);
}

void Statement::check(int code) const {
    if (code != SQLITE_OK)
        database_.fail(code);
}

Statement& Statement::bind(int at, qint64 value) {
    check(sqlite3_bind_int64(handle_.get(), at, value));
    return *this;
}

Statement& Statement::bind(int at, int value) {
    return bind(at, qint64{value});
}

Statement& Statement::bind(int at, double value) {
    check(sqlite3_bind_double(handle_.get(), at, value));
    return *this;
}

Statement& Statement::bind(int at, const QString& value) {
    const QByteArray utf8 = value.toUtf8();
    check(sqlite3_bind_text64(handle_.get(), at, utf8.constData(),
                              static_cast<sqlite3_uint64>(utf8.size()), SQLITE_TRANSIENT,
                              SQLITE_UTF8));
    return *this;
}

Statement& Statement::bind(int at, const QByteArray& value) {
    check(sqlite3_bind_blob64(handle_.get(), at, value.constData(),
                              static_cast<sqlite3_uint64>(value.size()), SQLITE_TRANSIENT));
    return *this;
}

Statement& Statement::bind_null(int at) {
    check(sqlite3_bind_null(handle_.get(), at));
    return *this;
}

bool Statement::step() {
    const int code = sqlite3_step(handle_.get());
    if (code == SQLITE_ROW)
        return true;
    if (code != SQLITE_DONE)
        database_.fail(code);
    return false;
}

void Statement::run() {
    while (step()) {
    }
    reset();
}

void Statement::reset() {
    sqlite3_reset(handle_.get());  // says again what step() has said
}

qint64 Statement::number(int column) const {
    return sqlite3_column_int64(handle_.get(), column);
}

double Statement::real(int column) const {
    return sqlite3_column_double(handle_.get(), column);
}

QString Statement::text(int column) const {
    return QString::fromUtf8(utf8(column));
}

QByteArray Statement::blob(int column) const {
    const void* const bytes = sqlite3_column_blob(handle_.get(), column);
    return {static_cast<const char*>(bytes), sqlite3_column_bytes(handle_.get(), column)};
}

QByteArrayView Statement::utf8(int column) const {
    const unsigned char* const text = sqlite3_column_text(handle_.get(), column);
    return {text, sqlite3_column_bytes(handle_.get(), column)};
}

}  // namespace olivine::desktop
