// Export and import: what goes out comes back the same, and a file may hold anything.
#include "app/desktop/store_json.h"

#include <QJsonArray>
#include <QJsonDocument>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "tests/desktop/store_support.h"

namespace olivine::desktop {
namespace {

// A tree with a picture, siblings, all states, and a leaf that isn't the last.
ConversationRow make_tree(Store& store) {
    Settings settings;
    settings.system = "Be brief.";
    settings.sampling.seed = 0xffffffffffffffff;
    settings.sampling.temperature = 0.3f;
    const qint64 id = store.add_conversation("Trees & \"olives\" 🫒", settings).id;
    MessageRow q = question(id, 0, "What is\n```\nthis?\n```");
    q.pictures = {store.add_picture(QByteArray("\x89PNG\0\xff", 6), "png", "a b.png", 640, 480)};
    q.id = store.add_message(q);
    MessageRow a = answer(id, q.id, "An olive.");
    a.token_ids = QByteArray("\1\0\0\0\2\0\0\0", 8);
    a.stats = {5, 2, 7, 0.125, 31.7, 12, 0x8000000000000001};
    a.id = store.add_message(a);
    MessageRow stopped = answer(id, q.id, "A lem");
    stopped.state = State::stopped;
    store.add_message(stopped);
    MessageRow failed = answer(id, q.id, "");
    failed.state = State::failed;
    failed.error = "The device is lost.";
    store.add_message(failed);
    MessageRow second = question(id, a.id, "Thanks");
    second.id = store.add_message(second);
    MessageRow cut = answer(id, second.id, QString("nul ") + QChar(0) + " é");
    cut.state = State::cut;
    store.add_message(cut);
    store.set_leaf(id, second.id);
    return store.require_conversation(id);
}

// Messages as they are but for their ids, which become places.
QList<MessageRow> with_places(QList<MessageRow> messages) {
    QList<qint64> ids{0};
    for (MessageRow& m : messages) {
        ids.append(m.id);
        m.id = ids.size() - 1;
        m.parent = ids.indexOf(m.parent);
        m.conversation = 0;
    }
    return messages;
}

// Replaced once, and it must be there.
QByteArray changed(const QByteArray& file, const QByteArray& from, const QByteArray& to) {
    const qsizetype at = file.indexOf(from);
    REQUIRE(at >= 0);
    return QByteArray(file).replace(at, from.size(), to);
}

QByteArray file_of(const QByteArray& messages, const QByteArray& rest = "") {
    return R"({"format": "olivine-conversations", "version": 1, "conversations": [{"title": "t",
            "settings": {}, )" +
           rest + R"("messages": [)" + messages + "]}]}";
}

}  // namespace

TEST_CASE("an export is imported as the same conversation") {
    Folder folder, other_folder;
    Store store(folder.path), other(other_folder.path);
    const ConversationRow row = make_tree(store);
    const QByteArray file = export_json(store, row.id);
    other.add_conversation("so that ids differ", {});
    other.add_message(question(1, 0, "and these"));
    Store& to = GENERATE(true, false) ? other : store;
    const QList<ConversationRow> imported = import_json(to, file);
    REQUIRE(imported.size() == 1);
    CHECK(imported[0].id != (&to == &store ? row.id : 0));
    CHECK(to.conversation(imported[0].id) == imported[0]);
    CHECK(imported[0].title == row.title);
    CHECK(imported[0].settings == row.settings);
    CHECK(imported[0].created_ms == row.created_ms);
    CHECK(imported[0].changed_ms == row.changed_ms);
    CHECK(to.message(imported[0].leaf)->text == "Thanks");
    CHECK(with_places(to.messages(imported[0].id)) == with_places(store.messages(row.id)));
    const PictureRef picture = to.messages(imported[0].id).first().pictures[0];
    CHECK(read_all(to.picture_path(picture)) == QByteArray("\x89PNG\0\xff", 6));
    CHECK(export_json(to, imported[0].id) == file);
    CHECK(integrity(to) == "ok");
}

TEST_CASE("all conversations in one file") {
    Folder folder, other_folder;
    Store store(folder.path), other(other_folder.path);
    CHECK(import_json(other, export_all_json(store)).isEmpty());
    make_tree(store);
    store.add_conversation("Empty", {});
    make_tree(store);
    store.remove(store.add_conversation("Removed", {}).id);
    store.database().execute("UPDATE conversation SET changed_ms = 5 - id");
    const QByteArray file = export_all_json(store);
    CHECK(import_json(other, file).size() == 3);
    CHECK(export_all_json(other) == file);
}

TEST_CASE("a picture whose file is lost doesn't keep the rest from going out and in") {
    Folder folder, other_folder;
    Store store(folder.path), other(other_folder.path);
    const ConversationRow row = make_tree(store);
    const PictureRef picture = store.messages(row.id).first().pictures[0];
    const QByteArray whole = export_json(store, row.id);
    REQUIRE(QFile::remove(store.picture_path(picture)));
    const QList<ConversationRow> imported = import_json(other, export_json(store, row.id));
    CHECK(other.messages(imported.at(0).id).first().pictures.at(0) == picture);
    CHECK(!QFile::exists(other.picture_path(picture)));
    import_json(other, whole);  // brings it back for both
    CHECK(QFile::exists(other.picture_path(picture)));
}

TEST_CASE("Markdown of the path that is shown") {
    Folder folder;
    Store store(folder.path);
    const ConversationRow row = make_tree(store);
    CHECK(export_markdown(store, row.id) ==
          "# Trees & \"olives\" 🫒\n\n**You**\n\n- Picture: a b.png (640 × 480)\n\n"
          "What is\n```\nthis?\n```\n\n**Gemma 3 4B**\n\nAn olive.\n\n**You**\n\nThanks\n");
    const QList<MessageRow> messages = store.messages(row.id);
    store.set_leaf(row.id, messages[2].id);
    CHECK(export_markdown(store, row.id).endsWith("\n\nA lem\n\n*(stopped)*\n"));
    store.set_leaf(row.id, messages[3].id);
    CHECK(export_markdown(store, row.id).endsWith("**\n\n*(failed: The device is lost.)*\n"));
    store.set_leaf(row.id, 0);
    CHECK(export_markdown(store, row.id) == "# Trees & \"olives\" 🫒\n");
    CHECK_THROWS_AS(export_markdown(store, 999), StoreError);
}

TEST_CASE("damaged and hostile files are refused with their place, and nothing is stored") {
    Folder folder, source_folder;
    Store store(folder.path), source(source_folder.path);
    const QByteArray good = export_json(source, make_tree(source).id);
    const QByteArray one = R"({"id": 1, "role": "user", "state": "done", "text": "x"})";
    const auto with = [](const QByteArray& more) {
        return R"({"id": 2, "role": "user", "state": "done", "text": "x", )" + more + "}";
    };
    const QByteArray hash(64, 'a');
    struct Case {
        QByteArray file;
        const char* says;
    };
    const QList<Case> cases{
        {"", "is not JSON at byte 0"},
        {"\xff\xfe\x00{", "is not JSON"},
        {good.left(good.size() / 2), "is not JSON at byte"},
        {QByteArray(100'000, '['), "is not JSON at byte"},
        {"[]", "does not say that it holds conversations"},
        {"{\"format\": 7}", "does not say that it holds conversations"},
        {changed(good, "\"version\": 1", "\"version\": 2"), "is of version 2"},
        {changed(good, "\"version\": 1", "\"version\": {}"), "version is not a whole number"},
        {R"({"format": "olivine-conversations", "version": 1})", "conversations is missing"},
        {R"({"format": "olivine-conversations", "version": 1, "conversations": [7]})",
         "conversations[0] is not an object"},
        {changed(good, "\"title\": ", "\"title\": 5, \"x\": "),
         "conversations[0].title is not a text"},
        {changed(good, "\"settings\": ", "\"settings\": [], \"x\": "), "settings is not an object"},
        {changed(good, "\"messages\": ", "\"messages\": 1, \"x\": "), "messages is not an array"},
        {changed(good, "\"role\": \"model\"", "\"role\": \"root\""),
         "conversations[0].messages[1].role is \"root\", which is unknown"},
        {changed(good, "\"stopped\"", "\"paused\""),
         "conversations[0].messages[2].state is \"paused\", which is unknown"},
        {changed(good, "\"data\": \"iV", "\"data\": \"!V"), "data is not base64"},
        {changed(good, "\"data\": \"iV", "\"data\": \"jV"),
         "is damaged (its bytes have another hash)"},
        {changed(good, "\"extension\": \"png", "\"extension\": \"/../x"),
         "is no name of a picture"},
        {file_of("", R"("pictures": {"../evil": {"extension": "png"}}, )"),
         "is no name of a picture"},
        {file_of("", R"("pictures": [], )"), "pictures is not an object"},
        {file_of("null"), "messages[0] is not an object"},
        {file_of(one + "," + one), "messages[1].id is 1, which is 0 or taken"},
        {file_of(R"({"role": "user", "state": "done", "text": "x"})"), "messages[0].id is 0"},
        {file_of(R"({"id": 1, "state": "done", "text": "x"})"), "messages[0].role is missing"},
        {file_of(R"({"id": 1, "role": "user", "state": "done"})"), "messages[0].text is missing"},
        {file_of(one + "," + with(R"("parent": 3)")), "messages[1].parent is 3, and no message"},
        {file_of(with(R"("parent": 2)")), "messages[0].parent is 2, and no message"},  // itself
        {file_of(with(R"("parent": 1)") + "," + one), "messages[0].parent is 1"},      // a circle
        {file_of(with(R"("parent": -1)")), "messages[0].parent is -1 (0 to"},
        {file_of(with(R"("parent": 0.5)")), "messages[0].parent is not a whole number"},
        {file_of(with(R"("parent": 1e300)")), "messages[0].parent is not a whole number"},
        {file_of(with(R"("created_ms": 9e15)")),
         "messages[0].created_ms is 9000000000000000 (0 to"},
        {file_of(with(R"("token_ids": "AAAA")")), "messages[0].token_ids is not a row of 32-bit"},
        {file_of(with(R"("token_ids": [1])")), "messages[0].token_ids is not a text"},
        {file_of(with(R"("token_ids": "AA!A")")), "messages[0].token_ids is not base64"},
        {file_of(with(R"("stats": {"drawn_tokens": 3000000000})")),
         "drawn_tokens is 3000000000 (0 to"},
        {file_of(with(R"("stats": {"tokens_per_s": -1})")), "tokens_per_s is not a number of 0"},
        {file_of(with(R"("stats": {"seed": "99999999999999999999"})")),
         "seed is not a number of 64"},
        {file_of(with(R"("pictures": [{"hash": ")" + hash + "\"}]")),
         "pictures[0].hash is none of the conversation's pictures"},
        {file_of(with(R"("pictures": [{"hash": 1}])")), "pictures[0].hash is not a text"},
        {file_of(one, R"("leaf": 2, )"), "conversations[0].leaf is 2, and no message is that"},
        {file_of(one, R"("titled_by_hand": 1, )"), "titled_by_hand is not true or false"},
        // The second conversation fails: the first, with its picture, isn't there either.
        {changed(good, "\n]\n}", ",\n{\"title\": \"t\", \"settings\": {}, \"messages\": 1}\n]\n}"),
         "conversations[1].messages is not an array"},
    };
    for (const Case& c : cases) {
        CAPTURE(c.says, c.file.left(300).toStdString());
        const StoreError error = error_of([&] { import_json(store, c.file); });
        CHECK(error.kind() == StoreError::Kind::other);
        CHECK(error.text().startsWith("The file cannot be imported: "));
        INFO(error.what());
        CHECK(error.text().contains(c.says));
    }
    CHECK(store.database().number("SELECT count(*) FROM conversation") == 0);
    CHECK(store.database().number("SELECT count(*) FROM picture") == 0);
    CHECK(!QDir(folder.file("pictures")).exists());
    import_json(store, good);
    import_json(store, file_of(one + "," + with(R"("parent": 1, "unknown": [[]])")));
    CHECK(store.conversations().size() == 2);
}

TEST_CASE("an import that the disk has no room for stores nothing") {
    Folder folder, source_folder;
    Store store(folder.path), source(source_folder.path);
    const qint64 id = make_tree(source).id;
    source.add_message(question(id, 0, QString(100'000, 'x')));
    store.add_conversation("Here before", {});
    store.database().execute("PRAGMA max_page_count = 1");  // as many as there are
    CHECK(error_of([&] { import_json(store, export_json(source, id)); }).kind() ==
          StoreError::Kind::full);
    CHECK(store.conversations().size() == 1);
    CHECK(store.database().number("SELECT count(*) FROM picture") == 0);
    CHECK(QDir(folder.file("pictures")).entryList(QDir::Files).isEmpty());
}

TEST_CASE("files with any byte changed are read or refused, never worse") {
    Folder folder, source_folder;
    Store store(folder.path), source(source_folder.path);
    const QByteArray good = export_json(source, make_tree(source).id);
    for (qsizetype i = 0; i < good.size(); i += 3) {
        QByteArray bad = good;
        bad[i] = "0{}[]\",\\-x\xff"[i % 11];
        try {
            import_json(store, bad);
        } catch (const StoreError&) {  // either is right
        }
    }
    CHECK(integrity(store) == "ok");
}

}  // namespace olivine::desktop
