#include "app/desktop/store_json.h"

#include <QBuffer>
#include <QCryptographicHash>
#include <QDir>
#include <QFile>
#include <QHash>
#include <QJsonArray>
#include <QJsonDocument>
#include <QMap>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace olivine::desktop {

namespace {

// {"format": ..., "version": ..., "conversations": [
//   {"title", "titled_by_hand", "created_ms", "changed_ms", "leaf", "settings",
//    "messages": [{"id", "parent", "role", "text", "state", "created_ms", ...}],
//    "pictures": {HASH: {"extension", "data"}}}]}
// Ids count from 1 within a conversation, a parent before its children; bytes are base64.
constexpr const char* kFormat = "olivine-conversations";
constexpr int kVersion = 1;
constexpr qsizetype kMaxFileBytes = qsizetype{1} << 30;
constexpr qsizetype kMaxMessages = 1'000'000;   // of a conversation
constexpr qint64 kMaxMs = 253'402'300'799'999;  // the year 9999
constexpr int kMaxPixels = 1'000'000;           // of a picture's side

constexpr std::array<const char*, 2> kRoles = {"user", "model"};
constexpr std::array<const char*, 5> kStates = {"done", "unfinished", "stopped", "failed", "cut"};

// 0.95 rather than 0.949999988079071, and the same float when it is read.
double shortest(float value) {
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    double result = value;
    std::from_chars(text, end, result);
    return result;
}

// ---- Reading what may be anything ----

[[noreturn]] void refuse(const QString& where, const QString& what) {
    throw StoreError(StoreError::Kind::other,
                     QString("The file cannot be imported: %1 %2.").arg(where, what));
}

// A part of the file and where it is.
struct Part {
    QJsonValue value;
    QString where;

    Part operator[](const char* key) const {
        return {value[QLatin1String(key)], where.isEmpty() ? key : where + '.' + key};
    }
    Part operator[](qsizetype at) const {
        return {value[at], QString("%1[%2]").arg(where, QString::number(at))};
    }

    bool missing() const { return value.isUndefined(); }
    void expect(bool good, const char* what) const {
        if (!good)
            refuse(where, missing() ? QString("is missing") : QString("is not %1").arg(what));
    }
    QJsonObject object() const {
        expect(value.isObject(), "an object");
        return value.toObject();
    }
    QJsonArray array() const {
        expect(value.isArray(), "an array");
        return value.toArray();
    }
    QString text() const {
        expect(value.isString(), "a text");
        return value.toString();
    }
    QString text_or_empty() const { return missing() ? QString() : text(); }
    bool yes() const {
        if (!missing())
            expect(value.isBool(), "true or false");
        return value.toBool();
    }
    // Missing is 0.
    qint64 whole(qint64 max) const {
        constexpr qint64 kNone = std::numeric_limits<qint64>::min();
        if (missing())
            return 0;
        const qint64 number = value.toInteger(kNone);
        expect(number != kNone, "a whole number");
        if (number < 0 || number > max)
            refuse(where, QString("is %1 (0 to %2 are good)")
                              .arg(QString::number(number), QString::number(max)));
        return number;
    }
    int small() const { return static_cast<int>(whole(std::numeric_limits<int>::max())); }
    double real() const {
        if (missing())
            return 0;
        expect(value.isDouble() && value.toDouble() >= 0, "a number of 0 or more");
        return value.toDouble();
    }
    QByteArray bytes() const {
        const auto decoded = QByteArray::fromBase64Encoding(
            text_or_empty().toLatin1(), QByteArray::AbortOnBase64DecodingErrors);
        expect(decoded.decodingStatus == QByteArray::Base64DecodingStatus::Ok, "base64");
        return *decoded;
    }
    template <size_t n>
    int one_of(const std::array<const char*, n>& names) const {
        const QString name = text();
        const auto found = std::find(names.begin(), names.end(), name);
        if (found == names.end())
            refuse(where, QString("is \"%1\", which is unknown").arg(name.left(100)));
        return static_cast<int>(found - names.begin());
    }
};

struct PictureFile {
    QString extension;
    QByteArray bytes;  // none: the file was lost
};

struct Tree {
    ConversationRow row;
    QList<MessageRow> messages;
    QMap<QString, PictureFile> pictures;
};

QMap<QString, PictureFile> read_pictures(const Part& part) {
    QMap<QString, PictureFile> pictures;
    if (part.missing())
        return pictures;
    const QJsonObject all = part.object();
    for (auto it = all.begin(); it != all.end(); ++it) {
        const Part picture{it.value(), QString("%1[\"%2\"]").arg(part.where, it.key().left(64))};
        PictureFile file{picture["extension"].text(), picture["data"].bytes()};
        if (!Store::is_picture_name(it.key(), file.extension))
            refuse(picture.where, "is no name of a picture");
        const QByteArray hash =
            QCryptographicHash::hash(file.bytes, QCryptographicHash::Sha256).toHex();
        if (!picture["data"].missing() && hash != it.key().toLatin1())
            refuse(picture.where, "is damaged (its bytes have another hash)");
        pictures.insert(it.key(), file);
    }
    return pictures;
}

AnswerStats read_stats(const Part& part) {
    AnswerStats stats;
    if (part.missing())
        return stats;
    part.object();
    stats.prompt_tokens = part["prompt_tokens"].small();
    stats.cached_tokens = part["cached_tokens"].small();
    stats.drawn_tokens = part["drawn_tokens"].small();
    stats.first_token_s = part["first_token_s"].real();
    stats.tokens_per_s = part["tokens_per_s"].real();
    stats.context_used = part["context_used"].small();
    if (const Part seed = part["seed"]; !seed.missing()) {  // 64 bits: a text
        bool good = false;
        stats.seed = seed.text().toULongLong(&good);
        seed.expect(good, "a number of 64 bits");
    }
    return stats;
}

QList<PictureRef> read_picture_refs(const Part& part, const Tree& tree) {
    QList<PictureRef> refs;
    const qsizetype count = part.missing() ? 0 : part.array().size();
    for (qsizetype i = 0; i < count; ++i) {
        const Part picture = part[i];
        picture.object();
        refs.append({picture["hash"].text(), picture["name"].text_or_empty(),
                     static_cast<int>(picture["width"].whole(kMaxPixels)),
                     static_cast<int>(picture["height"].whole(kMaxPixels))});
        if (!tree.pictures.contains(refs.last().hash))
            refuse(picture["hash"].where, "is none of the conversation's pictures");
    }
    return refs;
}

MessageRow read_message(const Part& part, const Tree& tree) {
    part.object();
    MessageRow m;
    m.id = part["id"].whole(kMaxMs);
    m.parent = part["parent"].whole(kMaxMs);
    m.role = static_cast<Role>(part["role"].one_of(kRoles));
    m.text = part["text"].text();
    m.state = static_cast<State>(part["state"].one_of(kStates));
    m.pictures = read_picture_refs(part["pictures"], tree);
    m.token_ids = part["token_ids"].bytes();
    part["token_ids"].expect(m.token_ids.size() % 4 == 0, "a row of 32-bit numbers");
    m.model = part["model"].text_or_empty();
    m.error = part["error"].text_or_empty();
    m.created_ms = part["created_ms"].whole(kMaxMs);
    m.stats = read_stats(part["stats"]);
    return m;
}

Tree read_tree(const Part& part) {
    part.object();
    Tree tree;
    tree.row.title = part["title"].text();
    tree.row.titled_by_hand = part["titled_by_hand"].yes();
    tree.row.created_ms = part["created_ms"].whole(kMaxMs);
    tree.row.changed_ms = part["changed_ms"].whole(kMaxMs);
    tree.row.settings = Settings::from_json(part["settings"].object());
    tree.pictures = read_pictures(part["pictures"]);

    const Part messages = part["messages"];
    const qsizetype count = messages.array().size();
    if (count > kMaxMessages)
        refuse(messages.where, QString("has %1 messages (the limit is %2)")
                                   .arg(QString::number(count), QString::number(kMaxMessages)));
    QHash<qint64, bool> known;
    for (qsizetype i = 0; i < count; ++i) {
        const Part message = messages[i];
        MessageRow row = read_message(message, tree);
        if (row.id == 0 || known.contains(row.id))
            refuse(message["id"].where, QString("is %1, which is 0 or taken").arg(row.id));
        // Parents come first, so there are no circles.
        if (row.parent != 0 && !known.contains(row.parent))
            refuse(message["parent"].where,
                   QString("is %1, and no message before it is that").arg(row.parent));
        known.insert(row.id, true);
        tree.messages.append(std::move(row));
    }
    tree.row.leaf = part["leaf"].whole(kMaxMs);
    if (tree.row.leaf != 0 && !known.contains(tree.row.leaf))
        refuse(part["leaf"].where, QString("is %1, and no message is that").arg(tree.row.leaf));
    return tree;
}

QList<Tree> read_file(const QByteArray& file) {
    if (file.size() > kMaxFileBytes)
        refuse("it", QString("has %1 bytes (the limit is %2)")
                         .arg(QString::number(file.size()), QString::number(kMaxFileBytes)));
    QJsonParseError error;
    const QJsonDocument document = QJsonDocument::fromJson(file, &error);
    if (error.error != QJsonParseError::NoError)
        refuse("it", QString("is not JSON at byte %1 (%2)")
                         .arg(QString::number(error.offset), error.errorString()));
    const Part all{document.isObject() ? QJsonValue(document.object()) : QJsonValue(), {}};
    if (all.value["format"].toString() != kFormat)
        refuse("it", "does not say that it holds conversations of this program");
    if (const qint64 version = all["version"].whole(kMaxMs); version != kVersion)
        refuse("it", QString("is of version %1 (this program reads version %2)")
                         .arg(QString::number(version), QString::number(kVersion)));
    QList<Tree> trees;
    const qsizetype count = all["conversations"].array().size();
    for (qsizetype i = 0; i < count; ++i)
        trees.append(read_tree(all["conversations"][i]));
    return trees;
}

// ---- Writing ----

QJsonObject stats_json(const AnswerStats& stats) {
    return {{"prompt_tokens", stats.prompt_tokens}, {"cached_tokens", stats.cached_tokens},
            {"drawn_tokens", stats.drawn_tokens},   {"first_token_s", stats.first_token_s},
            {"tokens_per_s", stats.tokens_per_s},   {"context_used", stats.context_used},
            {"seed", QString::number(stats.seed)}};
}

QJsonObject message_json(const MessageRow& m, const QHash<qint64, qint64>& ids) {
    QJsonObject json{{"id", ids.value(m.id)},
                     {"parent", ids.value(m.parent)},
                     {"role", kRoles[static_cast<size_t>(m.role)]},
                     {"text", m.text},
                     {"state", kStates[static_cast<size_t>(m.state)]},
                     {"created_ms", m.created_ms}};
    QJsonArray pictures;
    for (const PictureRef& p : m.pictures)
        pictures.append(QJsonObject{
            {"hash", p.hash}, {"name", p.name}, {"width", p.width}, {"height", p.height}});
    if (!pictures.isEmpty())
        json["pictures"] = pictures;
    if (!m.token_ids.isEmpty())
        json["token_ids"] = QString::fromLatin1(m.token_ids.toBase64());
    if (!m.model.isEmpty())
        json["model"] = m.model;
    if (!m.error.isEmpty())
        json["error"] = m.error;
    if (m.stats != AnswerStats{})
        json["stats"] = stats_json(m.stats);
    return json;
}

QJsonObject picture_json(const QString& path) {
    QJsonObject json{{"extension", path.section('.', -1)}};
    QFile file(path);
    if (file.open(QIODevice::ReadOnly))  // a lost one does not keep the rest from being saved
        json["data"] = QString::fromLatin1(file.readAll().toBase64());
    return json;
}

QJsonObject conversation_json(Store& store, qint64 conversation) {
    ConversationRow row;
    QList<MessageRow> messages;
    store.database().snapshot([&] {
        row = store.require_conversation(conversation);
        messages = store.messages(conversation);
    });
    QHash<qint64, qint64> ids;
    QJsonArray array;
    QJsonObject pictures;
    for (const MessageRow& m : std::as_const(messages)) {
        ids.insert(m.id, ids.size() + 1);
        array.append(message_json(m, ids));
        for (const PictureRef& p : m.pictures)
            if (!pictures.contains(p.hash))
                pictures[p.hash] = picture_json(store.picture_path(p));
    }
    return {{"title", row.title},
            {"titled_by_hand", row.titled_by_hand},
            {"created_ms", row.created_ms},
            {"changed_ms", row.changed_ms},
            {"leaf", ids.value(row.leaf)},
            {"settings", row.settings.to_json()},
            {"messages", array},
            {"pictures", pictures}};
}

// ---- Markdown ----

QString message_markdown(const MessageRow& m) {
    const QString model = m.model.isEmpty() ? QString("Model") : m.model;
    QStringList parts{"**" + (m.role == Role::user ? QString("You") : model) + "**"};
    for (const PictureRef& p : m.pictures)
        parts.append(QString("- Picture: %1 (%2 × %3)")
                         .arg(p.name.isEmpty() ? p.hash : p.name.simplified(),
                              QString::number(p.width), QString::number(p.height)));
    if (!m.text.isEmpty())
        parts.append(m.text.trimmed());
    switch (m.state) {
    case State::done: break;
    case State::unfinished: parts.append("*(unfinished)*"); break;
    case State::stopped: parts.append("*(stopped)*"); break;
    case State::failed: parts.append(QString("*(failed: %1)*").arg(m.error.simplified())); break;
    case State::cut: parts.append("*(cut by the limit of tokens)*"); break;
    }
    return parts.join("\n\n");
}

}  // namespace

Settings Settings::from_json(const QJsonObject& json) {
    Settings result;
    const auto whole = [](const QJsonValue& value, int max, int& to) {
        const qint64 number = value.toInteger(-1);
        if (number >= 0 && number <= max)
            to = static_cast<int>(number);
    };
    const auto real = [](const QJsonValue& value, double min, double max, float& to) {
        const double number = value.toDouble(-1);
        if (number >= min && number <= max)
            to = static_cast<float>(number);
    };
    constexpr int kMaxTokens = 100'000'000;
    result.system = json["system"].toString();
    result.forget = json["forget"].toBool(result.forget);

    Sampling& s = result.sampling;
    const QJsonObject sampling = json["sampling"].toObject();
    real(sampling["temperature"], 0, 100, s.temperature);
    whole(sampling["top_k"], 10'000'000, s.top_k);
    real(sampling["top_p"], 0, 1, s.top_p);
    real(sampling["min_p"], 0, 1, s.min_p);
    real(sampling["repeat_penalty"], 0.01, 100, s.repeat_penalty);
    whole(sampling["max_tokens"], kMaxTokens, s.max_tokens);
    bool good = false;
    if (const quint64 seed = sampling["seed"].toString().toULongLong(&good); good)
        s.seed = seed;
    return result;
}

QJsonObject Settings::to_json() const {
    QJsonObject s{{"temperature", shortest(sampling.temperature)},
                  {"top_k", sampling.top_k},
                  {"top_p", shortest(sampling.top_p)},
                  {"min_p", shortest(sampling.min_p)},
                  {"repeat_penalty", shortest(sampling.repeat_penalty)},
                  {"max_tokens", sampling.max_tokens}};
    if (sampling.seed)
        s["seed"] = QString::number(*sampling.seed);  // JSON's numbers have 53 bits
    return {{"system", system}, {"sampling", s}, {"forget", forget}};
}

QString export_markdown(Store& store, qint64 conversation) {
    ConversationRow row;
    QHash<qint64, MessageRow> messages;
    store.database().snapshot([&] {
        row = store.require_conversation(conversation);
        for (const MessageRow& m : store.messages(conversation))
            messages.insert(m.id, m);
    });
    QStringList parts;
    for (qint64 id = row.leaf; id != 0;) {
        const MessageRow message = messages.take(id);  // a damaged file has no circles then
        parts.prepend(message_markdown(message));
        id = message.parent;
    }
    parts.prepend("# " + row.title.simplified());
    return parts.join("\n\n") + '\n';
}

void export_json(Store& store, const QList<qint64>& conversations, QIODevice& to) {
    const auto write = [&to](const QByteArray& bytes) {
        if (to.write(bytes) != bytes.size())
            throw StoreError(StoreError::Kind::full,
                             QString("The disk is full: the export is not complete (%1).")
                                 .arg(to.errorString()));
    };
    write(QString("{\n\"format\": \"%1\",\n\"version\": %2,\n\"conversations\": [")
              .arg(QString(kFormat), QString::number(kVersion))
              .toUtf8());
    QByteArray between = "\n";
    for (const qint64 id : conversations) {
        write(between + QJsonDocument(conversation_json(store, id)).toJson().trimmed());
        between = ",\n";
    }
    write("\n]\n}\n");
}

QByteArray export_json(Store& store, qint64 conversation) {
    QBuffer buffer;
    buffer.open(QIODevice::WriteOnly);
    export_json(store, {conversation}, buffer);
    return buffer.data();
}

QByteArray export_all_json(Store& store) {
    QList<qint64> ids;
    for (const ConversationRow& row : store.conversations())
        ids.append(row.id);
    QBuffer buffer;
    buffer.open(QIODevice::WriteOnly);
    export_json(store, ids, buffer);
    return buffer.data();
}

QList<ConversationRow> import_json(Store& store, const QByteArray& file) {
    const QList<Tree> trees = read_file(file);
    QList<ConversationRow> rows;
    store.transaction([&] {
        for (const Tree& tree : trees) {
            for (auto it = tree.pictures.begin(); it != tree.pictures.end(); ++it) {
                if (it->bytes.isEmpty())
                    store.add_lost_picture(it.key(), it->extension);
                else
                    store.add_picture(it->bytes, it->extension, {}, 0, 0);
            }
            rows.append(store.add_tree(tree.row, tree.messages));
        }
    });
    return rows;
}

}  // namespace olivine::desktop
