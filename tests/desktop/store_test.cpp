// The store: what it keeps, what it does with files that are not its own, with a full disk, with
// others that write at once, and with SIGKILL. Its helper is store_writer.cpp.
#include "app/desktop/store.h"

#include <sys/stat.h>

#include <QCryptographicHash>
#include <QDateTime>
#include <QElapsedTimer>
#include <QJsonDocument>
#include <QProcess>
#include <QRandomGenerator>
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstdio>
#include <thread>
#include <vector>

#include "tests/desktop/store_support.h"

namespace olivine::desktop {
namespace {

using Kind = StoreError::Kind;

Settings unusual_settings() {
    Settings s;
    s.system = "Réponds en français.\n";
    s.sampling = {.temperature = 0.7f,
                  .top_k = 0,
                  .top_p = 0.1f,
                  .min_p = 0.05f,
                  .repeat_penalty = 1.1f,
                  .max_tokens = 77,
                  .seed = 0xfedcba9876543210};
    s.forget = false;
    return s;
}

MessageRow full_answer(qint64 conversation, qint64 parent) {
    MessageRow m =
        answer(conversation, parent, QString("Zeile\n\nδύο 🫒 ") + QChar(0) + "end");
    m.state = State::cut;
    m.token_ids = QByteArray("\x01\0\0\0\xff\xff\x03\0", 8);
    m.error = "why";
    m.created_ms = 1'700'000'000'123;
    m.stats = {10, 5, 20, 0.25, 33.5, 30, 0xffffffffffffffff};
    return m;
}

QList<qint64> ids_of(const QList<ConversationRow>& rows) {
    QList<qint64> ids;
    for (const ConversationRow& row : rows)
        ids.append(row.id);
    return ids;
}

mode_t mode_of(const QString& path) {
    struct stat info {};
    REQUIRE(stat(path.toLocal8Bit().constData(), &info) == 0);
    return info.st_mode & 0777;
}

// `count` conversations of `each` messages of 500 characters.
void fill(Store& store, int count, int each) {
    const QString words = QString("The quick brown Fox jumps over the lazy dog, ").repeated(11);
    store.transaction([&] {
        for (int i = 0; i < count; ++i) {
            const qint64 id = store.add_conversation(QString("About %1").arg(i), {}).id;
            QList<MessageRow> messages;
            for (int k = 0; k < each; ++k) {
                MessageRow m = k % 2 ? answer(id, Store::kPrevious, words) : question(id, 0, words);
                if (k > 0)
                    m.parent = Store::kPrevious;
                m.token_ids.resize(k % 2 ? 500 : 0, 'x');
                messages.append(m);
            }
            store.add_messages(messages);
        }
    });
}

double measured_ms(const char* what, const std::function<void()>& work) {
    QElapsedTimer timer;
    timer.start();
    work();
    const double ms = timer.nsecsElapsed() / 1e6;
    std::printf("%s: %.1f ms\n", what, ms);
    return ms;
}

}  // namespace

TEST_CASE("what is stored comes back, in another program too") {
    Folder folder;
    qint64 id = 0;
    MessageRow asked, answered;
    {
        Store store(folder.path);
        id = store.add_conversation("  Title\nof two lines ", unusual_settings()).id;
        asked = question(id, 0, "Was ist das?");
        asked.created_ms = 1;
        asked.pictures = {store.add_picture("PNG one", "PNG", "ä.png", 640, 480),
                          store.add_picture("PNG two", "jpeg", "b.jpg", 1, 2)};
        answered = full_answer(id, Store::kPrevious);
        const QList<qint64> ids = store.add_messages({asked, answered});
        asked.id = ids[0];
        answered.id = ids[1];
        answered.parent = ids[0];
    }
    Store store(folder.path);
    const QList<ConversationRow> rows = store.conversations();
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].title == "Title of two lines");
    CHECK(!rows[0].titled_by_hand);
    CHECK(rows[0].settings == unusual_settings());
    CHECK(rows[0].leaf == answered.id);
    CHECK(store.messages(id) == QList<MessageRow>{asked, answered});
    CHECK(store.message(answered.id) == answered);
    CHECK(!store.message(999));
    CHECK(!store.conversation(999));
    CHECK(read_all(store.picture_path(asked.pictures[0])) == "PNG one");
    CHECK(store.picture_path(asked.pictures[0]).endsWith(asked.pictures[0].hash + ".png"));
    CHECK(read_all(store.picture_path(asked.pictures[1])) == "PNG two");

    answered.text = "Eine Olive.";
    answered.state = State::failed;
    answered.error = "The device is lost.";
    answered.stats.seed = 7;
    store.update_message(answered);
    CHECK(store.message(answered.id) == answered);
    store.rename(id, "Olives", true);
    store.set_settings(id, {});
    CHECK(store.conversation(id)->title == "Olives");
    CHECK(store.conversation(id)->titled_by_hand);
    CHECK(store.conversation(id)->settings == Settings{});

    CHECK(mode_of(folder.path) == 0700);
    CHECK(mode_of(folder.file("pictures")) == 0700);
    CHECK(mode_of(folder.file("olivine.db")) == 0600);
    CHECK(mode_of(folder.file("olivine.db-wal")) == 0600);
    CHECK(mode_of(store.picture_path(asked.pictures[0])) == 0600);
}

TEST_CASE("settings out of bounds become the defaults, one by one") {
    const auto parsed = [](const char* json) {
        return Settings::from_json(QJsonDocument::fromJson(json).object());
    };
    CHECK(parsed("{}") == Settings{});
    CHECK(parsed("[]") == Settings{});
    CHECK(parsed(R"({"system": [], "forget": "no", "new": 1,
                     "sampling": {"temperature": -0.1, "top_k": 1.5, "top_p": 1.01, "min_p": "0",
                                  "repeat_penalty": 0, "max_tokens": 1e12, "seed": "-1"}})") ==
          Settings{});
    Settings some;
    some.sampling.top_k = 3;
    some.sampling.seed = 5;
    CHECK(parsed(R"({"sampling": {"top_k": 3, "top_p": 7, "seed": "5"}})") == some);
    CHECK(parsed(QJsonDocument(unusual_settings().to_json()).toJson()) == unusual_settings());
}

TEST_CASE("a tree: siblings, the leaf, and branches that go") {
    Folder folder;
    Store store(folder.path);
    const qint64 id = store.add_conversation("Tree", {}).id,
                 other = store.add_conversation("", {}).id;
    // q1 - a1 - q2 - a2
    //    \ a3 - q3        q4
    const qint64 q1 = store.add_message(question(id, 0, "q1"));
    const qint64 a1 = store.add_message(answer(id, q1, "a1"));
    const qint64 q2 = store.add_message(question(id, a1, "q2"));
    const qint64 a2 = store.add_message(answer(id, q2, "a2"));
    const qint64 a3 = store.add_message(answer(id, q1, "a3"));
    const qint64 q3 = store.add_message(question(id, a3, "q3"));
    const qint64 q4 = store.add_message(question(id, 0, "q4"));
    const auto leaf = [&] { return store.conversation(id)->leaf; };
    CHECK(leaf() == q4);
    store.set_leaf(id, a2);
    CHECK(leaf() == a2);

    SECTION("what isn't there is refused") {
        CHECK_THROWS_AS(store.set_leaf(other, a2), StoreError);
        CHECK_THROWS_AS(store.set_leaf(id, 999), StoreError);
        CHECK_THROWS_AS(store.add_message(question(other, a2, "")), StoreError);
        CHECK_THROWS_AS(store.add_message(question(999, 0, "")), StoreError);
        CHECK_THROWS_AS(store.update_message(answer(id, 0, "")), StoreError);
        CHECK_THROWS_AS(store.rename(999, "", false), StoreError);
        CHECK_THROWS_AS(store.remove_branch(999), StoreError);
        // The second of two fails: the first isn't there either.
        CHECK_THROWS_AS(store.add_messages({question(id, a2, ""), question(id, 999, "")}),
                        StoreError);
        CHECK(store.messages(id).size() == 7);
        CHECK(leaf() == a2);
    }
    SECTION("a branch that is not shown") {
        CHECK(store.remove_branch(a3) == a2);
        CHECK(store.messages(id).size() == 5);
    }
    SECTION("the branch that is shown: the newest sibling's newest") {
        CHECK(store.remove_branch(a1) == q3);
        CHECK(store.messages(id).size() == 4);
        CHECK(leaf() == q3);
    }
    SECTION("no sibling: the parent") {
        CHECK(store.remove_branch(q2) == a1);
        CHECK(leaf() == a1);
    }
    SECTION("down to nothing") {
        CHECK(store.remove_branch(q1) == q4);
        CHECK(store.remove_branch(q4) == 0);
        CHECK(store.messages(id).isEmpty());
    }
    CHECK(integrity(store) == "ok");
}

TEST_CASE("removed conversations come back until they are purged") {
    Folder folder;
    Store store(folder.path);
    const auto added = [&] { return store.add_conversation("C", {}).id; };
    const qint64 a = added(), b = added(), c = added();
    const qint64 message =
        store.add_message(answer(b, store.add_message(question(b, 0, "x")), "y"));
    store.database().execute("UPDATE conversation SET changed_ms = id");
    CHECK(ids_of(store.conversations()) == QList{c, b, a});
    store.remove(b);
    CHECK(ids_of(store.conversations()) == QList{c, a});
    CHECK(store.search("y", 9).isEmpty());
    store.purge(60);  // removed just now
    store.restore(b);
    CHECK(ids_of(store.conversations()) == QList{c, b, a});
    CHECK(store.messages(b).size() == 2);
    store.remove(b);
    store.purge();
    CHECK(ids_of(store.conversations()) == QList{c, a});
    CHECK_THROWS_AS(store.restore(b), StoreError);
    CHECK(!store.message(message));
    store.add_message(question(a, 0, "now the last to change"));
    CHECK(ids_of(store.conversations()) == QList{a, c});
    CHECK(integrity(store) == "ok");
}

TEST_CASE("purging deletes pictures that nobody has, once they are old") {
    Folder folder;
    Store store(folder.path);
    const qint64 id = store.add_conversation("P", {}).id;
    MessageRow m = question(id, 0, "with a picture");
    m.pictures = {store.add_picture("used", "png", "", 1, 1)};
    const qint64 message = store.add_message(m);
    const PictureRef old = store.add_picture("old", "png", "", 1, 1);
    store.database().execute("UPDATE picture SET added_ms = added_ms - 3700000");
    const PictureRef young = store.add_picture("young", "png", "", 1, 1);
    const PictureRef again = store.add_picture("again", "png", "", 1, 1);
    store.database().execute("UPDATE picture SET added_ms = 1 WHERE hash = '" +
                             again.hash.toLatin1() + "'");
    CHECK(store.add_picture("again", "webp", "", 1, 1) == again);  // it is young once more
    const QString stray = folder.file("pictures/") + QString(64, 'a') + ".png";
    const QString young_stray = folder.file("pictures/") + QString(64, 'b') + ".png.Xyz";
    const QString foreign = folder.file("pictures/notes.txt");
    for (const QString& path : {stray, young_stray, foreign})
        write_all(path, "x");
    for (const QString& path : {stray, foreign}) {
        QFile file(path);
        REQUIRE(file.open(QIODevice::ReadWrite));
        REQUIRE(file.setFileTime(QDateTime::currentDateTime().addSecs(-3700),
                                 QFileDevice::FileModificationTime));
    }
    const QString old_path = store.picture_path(old);
    store.purge();
    CHECK(!QFile::exists(old_path));
    CHECK(store.picture_path(old).isEmpty());
    CHECK(!QFile::exists(stray));
    for (const QString& path : {store.picture_path(m.pictures[0]), store.picture_path(young),
                                store.picture_path(again), young_stray, foreign})
        CHECK(QFile::exists(path));

    m.pictures = {old};
    CHECK_THROWS_AS(store.add_message(m), StoreError);  // it isn't there any more
    CHECK_THROWS_AS(store.add_picture("x", "../png", "", 1, 1), StoreError);
    store.remove_branch(message);
    store.database().execute("UPDATE picture SET added_ms = 1");
    store.purge();
    CHECK(QDir(folder.file("pictures")).entryList(QDir::Files) ==
          QStringList{QFileInfo(young_stray).fileName(), "notes.txt"});
}

TEST_CASE("a transaction that fails takes its pictures along") {
    Folder folder;
    Store store(folder.path);
    const PictureRef before = store.add_picture("before", "png", "", 1, 1);
    QString path;
    CHECK_THROWS_AS(store.transaction([&] {
        store.add_picture("before", "png", "", 1, 1);
        path = store.picture_path(store.add_picture("within", "png", "", 1, 1));
        CHECK(QFile::exists(path));
        store.restore(999);
    }),
                    StoreError);
    CHECK(!QFile::exists(path));
    CHECK(QFile::exists(store.picture_path(before)));
}

TEST_CASE("searching, in several scripts") {
    Folder folder;
    Store store(folder.path);
    const auto [text, needle, matched] = GENERATE(table<QString, QString, QString>({
        {"Die Ölmühle steht.", "ÖLMÜHLE", "Ölmühle"},
        {"Große Straße", "STRAßE", "Straße"},
        {"Ο Οδυσσεύς έφυγε", "ΟΔΥΣΣΕΎΣ", "Οδυσσεύς"},
        {"İSTANBUL'da IŞIK var", "istanbul", "İSTANBUL"},
        {"Istanbul'da ışık var", "IŞIK", "ışık"},
        {"Привет, мир", "МИР", "мир"},
        {"我们在橄榄树下。", "橄榄", "橄榄"},
        {"一 olive 🫒 a day", "🫒", "🫒"},
        {"𐐀𐐁 Deseret", "𐐨𐐩", "𐐀𐐁"},
        {"تحت شجرة الزيتون", "الزيتون", "الزيتون"},
        {"50% of a_b", "0% OF A_", "0% of a_"},
        {"an \u00e9 of one", "e\u0301", "\u00e9"},
        {"two\nlines", "two\nlines", "two lines"},
    }));
    CAPTURE(text, needle);
    const qint64 id = store.add_conversation("Nothing", {}).id;
    const qint64 message = store.add_message(question(id, 0, text));
    const QList<Found> found = store.search(needle, 10);
    REQUIRE(found.size() == 1);
    CHECK(found[0].conversation == id);
    CHECK(found[0].message == message);
    CHECK(found[0].title == "Nothing");
    CHECK(found[0].excerpt.mid(found[0].at, found[0].length) == matched);
}

TEST_CASE("what a search finds: titles too, newest conversation first, excerpts of one line") {
    Folder folder;
    Store store(folder.path);
    const qint64 first = store.add_conversation("All about OLIVES", {}).id;
    const qint64 second = store.add_conversation("Untitled", {}).id;
    const qint64 m1 = store.add_message(question(first, 0, "an olive"));
    const QString far =
        QString("🫒").repeated(200) + "\n\nthe Olive\t" + QString("字").repeated(900);
    const qint64 m2 = store.add_message(question(second, 0, far));
    const qint64 m3 = store.add_message(question(second, m2, "olives"));
    store.database().execute("UPDATE conversation SET changed_ms = id");
    const QList<Found> found = store.search("olive", 10);
    REQUIRE(found.size() == 4);
    CHECK((found[0].message == m2 && found[1].message == m3));
    CHECK((found[2].conversation == first && found[2].message == 0 && found[3].message == m1));
    CHECK(found[2].excerpt.mid(found[2].at, found[2].length) == "OLIVE");
    const Found& long_one = found[0];
    CHECK(long_one.excerpt.mid(long_one.at, long_one.length) == "Olive");
    CHECK(long_one.excerpt.startsWith(QChar(u'…')));
    CHECK(long_one.excerpt.endsWith(QChar(u'…')));
    CHECK(!long_one.excerpt.contains('\n'));
    CHECK(long_one.excerpt.size() < 200);
    CHECK(store.search("olive", 3).size() == 3);
    CHECK(store.search("olive", 0).isEmpty());
    CHECK(store.search("", 10).isEmpty());
    CHECK(store.search("absent", 10).isEmpty());

    for (int shift = 0; shift < 4; ++shift) {  // characters of two units are never cut
        const QString olives = QString("🫒").repeated(200);
        store.add_message(question(
            first, 0, olives + QString(shift, 'x') + "Fig" + QString(shift / 2, 'x') + olives));
        const QString cut = store.search("fig", 10).last().excerpt;
        CHECK(QString::fromUtf8(cut.toUtf8()) == cut);
    }
}

TEST_CASE("many conversations and long ones", "[time]") {
    Folder folder;
    Store store(folder.path);
    measured_ms("60,000 messages stored", [&] { fill(store, 1000, 60); });
    // The limits leave room for a machine that has other work.
    CHECK(measured_ms("opened", [&] { Store another(folder.path); }) < 100);
    CHECK(measured_ms("1,000 conversations listed",
                      [&] { CHECK(store.conversations().size() == 1000); }) < 200);
    CHECK(measured_ms("60,000 messages searched for what is nowhere",
                      [&] { CHECK(store.search("QUICKEST", 100).isEmpty()); }) < 1500);
    CHECK(measured_ms("searched for two Chinese letters",
                      [&] { CHECK(store.search("橄榄", 100).isEmpty()); }) < 1500);
    CHECK(measured_ms("the first 100 found",
                      [&] { CHECK(store.search("fox JUMPS", 100).size() == 100); }) < 100);

    fill(store, 1, 5000);
    const ConversationRow row = store.conversations().first();
    CHECK(measured_ms("5,000 messages loaded",
                      [&] { CHECK(store.messages(row.id).size() == 5000); }) < 500);
    MessageRow next = question(row.id, row.leaf, "next");
    CHECK(measured_ms("a message stored", [&] { store.add_message(next); }) < 500);
    const qint64 top = store.messages(row.id).first().id;
    CHECK(measured_ms("a branch of 5,001 deleted", [&] { CHECK(store.remove_branch(top) == 0); }) <
          2000);
    CHECK(integrity(store) == "ok");
}

TEST_CASE("a search ends when it is interrupted") {
    Folder folder;
    Store store(folder.path);
    fill(store, 1, 6000);
    const qsizetype all = store.search("fox", 1 << 30).size();
    CHECK(all == 6000);
    std::atomic<bool> over = false;
    std::thread other([&] {
        while (!over) {
            store.interrupt();
            std::this_thread::sleep_for(std::chrono::milliseconds(3));
        }
    });
    QElapsedTimer timer;
    timer.start();
    qsizetype found = all;
    // In its middle; the other thread may get no core for long.
    while ((found == 0 || found == all) && timer.elapsed() < 20'000)
        found = store.search("fox", 1 << 30).size();
    CHECK((found > 0 && found < all));
    over = true;
    other.join();
    CHECK(store.search("fox", 1 << 30).size() == all);
}

TEST_CASE("files that are not ours are left alone") {
    Folder folder;
    REQUIRE(QDir().mkpath(folder.path));
    const QString path = folder.file("olivine.db");
    SECTION("a text") {
        write_all(path, "Dear diary");
    }
    SECTION("noise") {
        write_all(path, QByteArray(100'000, '\xa5'));
    }
    SECTION("a database of another program") {
        Database(path).execute("CREATE TABLE cookies (crumbs)");
    }
    const QByteArray before = read_all(path);
    const QStringList files = QDir(folder.path).entryList(QDir::Files);
    const StoreError error = error_of([&] { Store store(folder.path); });
    CHECK(error.kind() == Kind::corrupt);
    CHECK(error.text().contains(path));
    CHECK(read_all(path) == before);
    CHECK(QDir(folder.path).entryList(QDir::Files) == files);
}

TEST_CASE("a folder that can't be, a newer version, and a damaged file") {
    Folder folder;
    SECTION("a file where the folder is to be") {
        write_all(folder.path, "x");
        const StoreError error = error_of([&] { Store store(folder.path); });
        CHECK(error.kind() == Kind::other);
        CHECK(error.text().contains(folder.path));
    }
    SECTION("a folder where the file is to be") {
        REQUIRE(QDir().mkpath(folder.file("olivine.db")));
        CHECK(error_of([&] { Store store(folder.path); }).kind() == Kind::other);
    }
    SECTION("a newer version") {
        Store(folder.path).database().execute("PRAGMA user_version = 99");
        const QByteArray before = read_all(folder.file("olivine.db"));
        const StoreError error = error_of([&] { Store store(folder.path); });
        CHECK(error.kind() == Kind::other);
        CHECK(error.text().contains("newer version"));
        CHECK(error.text().contains("99"));
        CHECK(read_all(folder.file("olivine.db")) == before);
    }
    SECTION("damaged") {
        {
            Store store(folder.path);
            fill(store, 3, 100);
        }
        QByteArray bytes = read_all(folder.file("olivine.db"));
        REQUIRE(bytes.size() > 100'000);
        std::fill(bytes.begin() + 60'000, bytes.end(), '\xa5');
        write_all(folder.file("olivine.db"), bytes);
        Store store(folder.path);  // reads no more than the beginning
        const StoreError error = error_of([&] {
            for (qint64 id = 1; id <= 3; ++id)
                store.messages(id);
        });
        CHECK(error.kind() == Kind::corrupt);
        CHECK(error.text().contains("is damaged"));
    }
}

TEST_CASE("a full disk leaves everything as before") {
    Folder folder;
    Store store(folder.path);
    const qint64 id = store.add_conversation("Full", {}).id;
    const qint64 first = store.add_message(question(id, 0, "first"));
    const QList<ConversationRow> conversations = store.conversations();
    const QList<MessageRow> messages = store.messages(id);
    // The count of pages can't be limited to fewer than there are: no page more.
    store.database().execute("PRAGMA max_page_count = 1");
    const StoreError error = error_of([&] {
        store.add_messages({question(id, first, "small"), answer(id, first, QString(50'000, 'x'))});
    });
    CHECK(error.kind() == Kind::full);
    CHECK(error.text().startsWith("The disk is full: " + folder.file("olivine.db")));
    CHECK(store.conversations() == conversations);
    CHECK(store.messages(id) == messages);
    MessageRow longer = messages[0];
    longer.text = QString(50'000, 'y');
    CHECK(error_of([&] { store.update_message(longer); }).kind() == Kind::full);
    CHECK(store.messages(id) == messages);
    store.database().execute("PRAGMA max_page_count = 1000000");
    store.update_message(longer);
    CHECK(store.messages(id).first() == longer);
    CHECK(integrity(store) == "ok");
}

TEST_CASE("while another holds the file for long, the store says that it is busy") {
    Folder folder;
    Store store(folder.path), other(folder.path);
    const qint64 id = store.add_conversation("Busy", {}).id;
    store.database().execute("PRAGMA busy_timeout = 50");
    other.transaction([&] {
        other.rename(id, "Held", false);
        CHECK(error_of([&] { store.rename(id, "Late", false); }).kind() == Kind::busy);
        CHECK(store.conversations().first().title == "Busy");  // to read never waits
    });
    CHECK(store.conversations().first().title == "Held");
    CHECK(store.changed_elsewhere());
    store.rename(id, "Here", false);
    CHECK(!store.changed_elsewhere());
    CHECK(other.changed_elsewhere());
}

TEST_CASE("several stores make, write and read one database at once") {
    for (int round = 0; round < 5; ++round) {
        Folder folder;
        constexpr int kWriters = 4, kTurns = 25;
        std::vector<std::thread> writers;
        for (int i = 0; i < kWriters; ++i)
            writers.emplace_back([&, i] {
                Store store(folder.path);
                const qint64 id = store.add_conversation(QString::number(i), {}).id;
                for (int k = 0; k < kTurns; ++k) {
                    store.add_messages({question(id, 0, QString::number(k)),
                                        answer(id, Store::kPrevious, QString::number(k))});
                    store.conversations();
                }
            });
        for (std::thread& writer : writers)
            writer.join();
        Store store(folder.path);
        const QList<ConversationRow> rows = store.conversations();
        CHECK(rows.size() == kWriters);
        for (const ConversationRow& row : rows) {
            const QList<MessageRow> messages = store.messages(row.id);
            REQUIRE(messages.size() == 2 * kTurns);
            for (int k = 0; k < kTurns; ++k)
                CHECK(messages[2 * k + 1].text == QString::number(k));
        }
        CHECK(integrity(store) == "ok");
    }
}

// ---- In programs of their own ----

namespace {

struct Turn {
    qint64 id;
    QByteArray hash;
};

// The lines "done ID SHA256" that are whole; others go to `rest`.
QList<Turn> turns_of(const QByteArray& output, QList<QByteArray>* rest = nullptr) {
    QList<Turn> turns;
    QList<QByteArray> lines = output.split('\n');
    lines.removeLast();  // empty, or cut by the end
    for (const QByteArray& line : lines) {
        const QList<QByteArray> parts = line.split(' ');
        if (parts.size() == 3 && parts[0] == "done")
            turns.append({parts[1].toLongLong(), parts[2]});
        else if (rest)
            rest->append(line);
    }
    return turns;
}

bool is_whole(Store& store, const Turn& turn) {
    const std::optional<MessageRow> answered = store.message(turn.id);
    if (!answered || answered->state != State::done)
        return false;
    const std::optional<MessageRow> asked = store.message(answered->parent);
    if (!asked)
        return false;
    for (const PictureRef& picture : asked->pictures)
        if (QCryptographicHash::hash(read_all(store.picture_path(picture)),
                                     QCryptographicHash::Sha256)
                .toHex() != picture.hash.toLatin1())
            return false;
    QCryptographicHash hash(QCryptographicHash::Sha256);
    hash.addData(asked->text.toUtf8());
    hash.addData(answered->text.toUtf8());
    hash.addData(answered->token_ids);
    return hash.result().toHex() == turn.hash;
}

void start_writer(QProcess& process, const QStringList& arguments) {
    process.setProcessChannelMode(QProcess::ForwardedErrorChannel);
    process.start(STORE_WRITER, arguments);
    REQUIRE(process.waitForStarted());
}

}  // namespace

TEST_CASE("killed at 50 random moments, no turn that was finished is lost") {
    Folder folder;
    QList<Turn> turns;
    for (int round = 0; round < 50; ++round) {
        const bool two = round % 5 == 4;  // at once, on one database
        QProcess first, second;
        start_writer(first, {folder.path});
        if (two)
            start_writer(second, {folder.path});
        if (round % 2 == 1)  // others may be killed while they open the database
            REQUIRE(first.waitForReadyRead());
        std::this_thread::sleep_for(
            std::chrono::microseconds(QRandomGenerator::global()->bounded(500, 150'000)));
        for (QProcess* process : {&first, &second}) {
            if (process->state() == QProcess::NotRunning)
                continue;
            process->kill();
            REQUIRE(process->waitForFinished());
            CHECK(process->exitStatus() == QProcess::CrashExit);  // nothing else had ended it
            turns += turns_of(process->readAllStandardOutput());
        }
        CAPTURE(round);
        Store store(folder.path);
        CHECK(integrity(store) == "ok");
        if (round % 10 == 9)
            CHECK(std::all_of(turns.begin(), turns.end(),
                              [&](const Turn& turn) { return is_whole(store, turn); }));
    }
    std::printf("%d turns outlived 50 kills\n", static_cast<int>(turns.size()));
    CHECK(turns.size() >= 25);
}

TEST_CASE("a file that takes no more bytes in the middle of a write") {
    Folder folder;
    QProcess process;
    start_writer(process, {folder.path, "1000000"});
    REQUIRE(process.waitForFinished());
    CHECK(process.exitCode() == 3);
    QList<QByteArray> full;
    const QList<Turn> turns = turns_of(process.readAllStandardOutput(), &full);
    REQUIRE(full.size() == 2);  // a picture, then the database
    for (const QByteArray& line : full)
        CHECK(line.startsWith("full The disk is full: " + folder.path.toUtf8()));
    CHECK(turns.size() > 3);
    Store store(folder.path);
    CHECK(integrity(store) == "ok");
    for (const Turn& turn : turns)
        CHECK(is_whole(store, turn));
    store.add_message(question(store.conversations().first().id, 0, "and on it goes"));
}

}  // namespace olivine::desktop
