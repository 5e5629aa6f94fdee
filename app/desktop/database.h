// SQLite with destructors and exceptions, and nothing else.
#pragma once

#include <QByteArray>
#include <QString>
#include <functional>
#include <memory>
#include <stdexcept>

struct sqlite3;
struct sqlite3_stmt;

namespace olivine::desktop {

class StoreError : public std::runtime_error {
public:
    enum class Kind {
        full,     // the disk takes no more
        busy,     // another program has held the file for long
        corrupt,  // it is not a database of ours, or a damaged one
        other,
    };
    StoreError(Kind kind, const QString& text)
        : std::runtime_error(text.toStdString()), kind_(kind) {}
    Kind kind() const { return kind_; }
    // A sentence for the person; names the file.
    QString text() const { return QString::fromUtf8(what()); }

private:
    Kind kind_;
};

// Every failure of SQLite throws a StoreError.
class Database {
public:
    static constexpr int kBusyTimeoutMs = 5000;  // how long a lock is waited for

    // Opens the file; makes one that only its owner can read where none is.
    explicit Database(const QString& path);

    const QString& path() const { return path_; }
    // One statement or several, without parameters and without rows that matter.
    void execute(const char* sql);
    // The first column of the first row; 0 when there is none.
    qint64 number(const char* sql);
    qint64 last_id() const;
    int changes() const;  // rows that the last statement changed

    bool in_transaction() const;
    // Runs `work` between BEGIN IMMEDIATE and COMMIT. Whatever is thrown leaves the database as it
    // was before. Within another transaction it is a part of that one.
    void transaction(const std::function<void()>& work);
    // The same for what only reads: sees one state of the database throughout.
    void snapshot(const std::function<void()>& work);

    // Throws what SQLite's result code stands for.
    [[noreturn]] void fail(int code) const;

private:
    friend class Statement;
    void run(const char* begin, const std::function<void()>& work);

    struct Close {
        void operator()(sqlite3* database) const;
    };
    QString path_;
    std::unique_ptr<sqlite3, Close> handle_;
};

class Statement {
public:
    Statement(Database& database, const QByteArray& sql);

    // Parameters are numbered from 1, columns from 0. What is bound is copied.
    Statement& bind(int at, qint64 value);
    Statement& bind(int at, int value);
    Statement& bind(int at, double value);
    Statement& bind(int at, const QString& value);
    Statement& bind(int at, const QByteArray& value);
    Statement& bind_null(int at);

    bool step();   // true: a row is there
    void run();    // every step, and reset()
    void reset();  // ready for the next run; parameters stay

    qint64 number(int column) const;
    double real(int column) const;
    QString text(int column) const;
    QByteArray blob(int column) const;
    // Stays valid until the next step.
    QByteArrayView utf8(int column) const;

private:
    void check(int code) const;

    struct Finalize {
        void operator()(sqlite3_stmt* statement) const;
    };
    Database& database_;
    std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

}  // namespace olivine::desktop
