#include "app/desktop/conversation.h"

#include <QClipboard>
#include <QGuiApplication>
#include <QUrl>
#include <algorithm>
#include <cmath>

namespace olivine::desktop {
namespace {

constexpr int kSaveSettingsMs = 400;  // a slider is let go of
constexpr int kTitleLength = 48;

const char* state_name(State state) {
    switch (state) {
    case State::done: return "done";
    case State::unfinished: return "unfinished";
    case State::stopped: return "stopped";
    case State::failed: return "failed";
    case State::cut: return "cut";
    }
    return "done";
}

// The beginning of the first question, cut between words where it has any.
QString title_of(const QString& question) {
    QString text = question.left(4 * kTitleLength).simplified();
    while (!text.isEmpty() && QString("#*>`-_ ").contains(text.front()))
        text.remove(0, 1);
    if (text.size() > kTitleLength) {
        const qsizetype blank = text.lastIndexOf(' ', kTitleLength);
        qsizetype end = blank > kTitleLength / 2 ? blank : kTitleLength;
        if (text[end - 1].isHighSurrogate())
            --end;
        text = text.left(end) + u'…';
    }
    return text.isEmpty() ? QObject::tr("New conversation") : text;
}

QString speed_text(const AnswerStats& stats) {
    if (stats.drawn_tokens == 0)
        return {};
    QStringList parts;
    if (stats.tokens_per_s > 0)
        parts << QObject::tr("%1 tokens/s").arg(stats.tokens_per_s, 0, 'f', stats.tokens_per_s < 100 ? 1 : 0);
    parts << QObject::tr("first word after %1 s").arg(stats.first_token_s, 0, 'f', 2);
    parts << QObject::tr("%n tokens", nullptr, stats.drawn_tokens);
    return parts.join(" · ");
}

}  // namespace

struct Conversation::Loaded {
    ConversationRow row;
    QList<MessageRow> messages;
    QHash<QString, QString> picture_paths;
};

Conversation::Conversation(Answers& answers, StoreThread& store, PictureTray& tray)
    : answers_(answers), store_(store), tray_(tray) {
    connect(&answers, &Answers::changed, this, &Conversation::changed);
    connect(&answers, &Answers::ended, this, &Conversation::answer_ended);
    connect(&answers, &Answers::problem, this, [this](qint64 message, const QString& details) {
        details_[message] = details;
    });
    save_settings_.setSingleShot(true);
    save_settings_.setInterval(kSaveSettingsMs);
    connect(&save_settings_, &QTimer::timeout, this, &Conversation::save_settings);
}

Conversation::~Conversation() { leave(); }

void Conversation::save_settings() {
    if (row_.id != 0)
        store_.run([id = row_.id, settings = row_.settings](Store& store) { store.set_settings(id, settings); });
}

// What is still to be saved of this one, before another one takes its place.
void Conversation::leave() {
    ++opening_;
    if (!save_settings_.isActive())
        return;
    save_settings_.stop();
    save_settings();
}

// ---- the list ----------------------------------------------------------------------------------

int Conversation::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : count();
}

const MessageRow* Conversation::at(int index) const {
    if (index < 0 || index >= count())
        return nullptr;
    const qint64 id = path_[index];
    // What is under way is further on than what is stored.
    if (const Answers::UnderWay* answer = answers_.find(id))
        return &answer->row;
    const auto found = rows_.find(id);
    return found == rows_.end() ? nullptr : &*found;
}

QVariant Conversation::data(const QModelIndex& index, int role) const {
    const MessageRow* row = at(index.row());
    if (!row)
        return {};
    const Answers::UnderWay* under_way = answers_.find(row->id);
    switch (role) {
    case IdRole: return row->id;
    case UserRole: return row->role == Role::user;
    case TextRole: return row->text;
    case StateRole: return state_name(row->state);
    case ErrorRole: return row->error;
    case DetailsRole: return details_.value(row->id, row->error);
    case PicturesRole: return pictures_of(*row);
    case SiblingRole: return siblings(row->id).indexOf(row->id) + 1;
    case SiblingsRole: return siblings(row->id).size();
    case ModelRole: return row->model;
    case SpeedRole: return speed_text(row->stats);
    case EncodingRole: return under_way ? under_way->encoded : -1.0;
    case RunningRole: return under_way != nullptr;
    case LastRole: return index.row() == count() - 1;
    default: return {};
    }
}

QHash<int, QByteArray> Conversation::roleNames() const {
    return {{IdRole, "messageId"},   {UserRole, "fromUser"},     {TextRole, "body"},
            {StateRole, "progress"}, {ErrorRole, "error"},       {DetailsRole, "details"},
            {PicturesRole, "pictures"}, {SiblingRole, "sibling"}, {SiblingsRole, "siblings"},
            {ModelRole, "modelName"}, {SpeedRole, "speed"},      {EncodingRole, "encoding"},
            {RunningRole, "running"}, {LastRole, "last"}};
}

QVariantList Conversation::pictures_of(const MessageRow& row) const {
    QVariantList all;
    for (const PictureRef& picture : row.pictures)
        all.append(QVariantMap{{"url", QUrl::fromLocalFile(picture_paths_.value(picture.hash))},
                               {"name", picture.name}});
    return all;
}

QList<qint64> Conversation::siblings(qint64 message) const {
    return children_.value(rows_.value(message).parent);
}

qint64 Conversation::newest_below(qint64 message) const {
    for (QList<qint64> below = children_.value(message); !below.isEmpty(); below = children_.value(message))
        message = below.last();
    return message;
}

// Tells the list only what is different: what stays keeps its place on the screen.
void Conversation::set_path(QList<qint64> path) {
    const auto [ours, theirs] = std::mismatch(path_.begin(), path_.end(), path.begin(), path.end());
    const int same = static_cast<int>(ours - path_.begin());
    if (same < count()) {
        beginRemoveRows({}, same, count() - 1);
        path_.remove(same, count() - same);
        endRemoveRows();
    }
    if (same < path.size()) {
        beginInsertRows({}, same, static_cast<int>(path.size()) - 1);
        path_ = std::move(path);
        endInsertRows();
    }
    if (same > 0)  // it may not be the last any more
        Q_EMIT dataChanged(index(same - 1), index(same - 1));
    Q_EMIT count_changed();
    Q_EMIT stats_changed();
    Q_EMIT answering_changed();
}

void Conversation::show_path_to(qint64 leaf) {
    QList<qint64> path;
    for (qint64 id = leaf; rows_.contains(id); id = rows_[id].parent)
        path.prepend(id);
    set_path(std::move(path));
}

// ---- opening -----------------------------------------------------------------------------------

void Conversation::start_new() {
    leave();
    take({}, 0);
}

void Conversation::open(qint64 id, qint64 message) {
    if (id == row_.id && id != 0 && !loading_) {
        if (message != 0 && rows_.contains(message)) {
            if (!path_.contains(message))
                show_path_to(newest_below(message));
            Q_EMIT show_message(index_of(message));
        }
        return;
    }
    leave();
    load(id, message);
}

void Conversation::load(qint64 id, qint64 message) {
    const int opening = ++opening_;
    loading_ = true;
    Q_EMIT opened();
    store_.ask(
        this,
        [id](Store& store) {
            Loaded loaded;
            const std::optional<ConversationRow> row = store.conversation(id);
            if (!row)
                return loaded;
            loaded.row = *row;
            loaded.messages = store.messages(id);
            for (const MessageRow& each : loaded.messages)
                for (const PictureRef& picture : each.pictures)
                    if (!loaded.picture_paths.contains(picture.hash))
                        loaded.picture_paths[picture.hash] = store.picture_path(picture);
            return loaded;
        },
        [this, opening, message](Loaded loaded) {
            if (opening == opening_)
                take(std::move(loaded), message);
        },
        [this, opening](const QString& sentence) {
            if (opening != opening_)
                return;
            loading_ = false;
            Q_EMIT opened();
            Q_EMIT failed(sentence);
        });
}

void Conversation::take(Loaded loaded, qint64 message) {
    beginResetModel();
    row_ = std::move(loaded.row);
    picture_paths_ = std::move(loaded.picture_paths);
    rows_.clear();
    children_.clear();
    path_.clear();
    loading_ = sending_ = false;
    for (MessageRow& row : loaded.messages) {
        if (const MessageRow* unsaved = answers_.unsaved_row(row.id))
            row = *unsaved;
        children_[row.parent].append(row.id);
        rows_.insert(row.id, std::move(row));
    }
    const qint64 leaf = message != 0 && rows_.contains(message) ? newest_below(message) : row_.leaf;
    for (qint64 id = leaf; rows_.contains(id); id = rows_[id].parent)
        path_.prepend(id);
    endResetModel();
    Q_EMIT opened();
    Q_EMIT title_changed();
    Q_EMIT count_changed();
    Q_EMIT settings_changed();
    Q_EMIT stats_changed();
    Q_EMIT answering_changed();
    if (message != 0)
        Q_EMIT show_message(index_of(message));
}

// ---- asking ------------------------------------------------------------------------------------

bool Conversation::answering() const {
    return std::any_of(path_.begin(), path_.end(), [&](qint64 id) { return answers_.find(id) != nullptr; });
}

PastTurn Conversation::past_turn(const Row& question, const Row* answer) const {
    PastTurn turn;
    turn.question = question.text;
    for (const PictureRef& picture : question.pictures)
        turn.pictures.append({picture_paths_.value(picture.hash), picture.name});
    if (answer) {
        turn.answer = answer->text;
        turn.token_ids = answer->token_ids;
        turn.model = answer->model;
    }
    return turn;
}

// The last of the rows is the question, or the answer that is to go on.
AnswerRequest Conversation::request_along(const QList<Row>& rows) const {
    AnswerRequest request;
    request.message = rows.last().id;
    request.system = row_.settings.system;
    request.sampling = row_.settings.sampling;
    request.forget = row_.settings.forget;
    request.go_on = rows.last().role == Role::model;
    const Row* question = nullptr;
    for (const Row& row : rows) {
        if (row.role == Role::user && question)  // it has no answer
            request.past.push_back(past_turn(*question, nullptr));
        if (row.role == Role::user) {
            question = &row;
        } else if (question && &row != &rows.last()) {
            request.past.push_back(past_turn(*question, &row));
            question = nullptr;
        }
    }
    request.turn = past_turn(question ? *question : Row(), request.go_on ? &rows.last() : nullptr);
    return request;
}

QList<MessageRow> Conversation::path_until(qint64 message) const {
    QList<Row> rows;
    for (qint64 id = message; rows_.contains(id); id = rows_[id].parent)
        rows.prepend(rows_[id]);
    return rows;
}

void Conversation::add_row(const Row& row) {
    children_[row.parent].append(row.id);
    rows_.insert(row.id, row);
}

// The rows, the first below `parent` and each next one below the one before, become the end of the path. Where
// they end with an unfinished answer, it is asked for, whatever conversation is open by then.
void Conversation::store_rows(qint64 parent, QList<Row> rows, bool from_composer) {
    QList<Row> along = path_until(parent);
    for (Row& row : rows) {
        row.conversation = row_.id;
        row.parent = &row == &rows.front() ? parent : Store::kPrevious;
        if (row.state != State::unfinished)
            along.append(row);
    }
    const bool ask = rows.last().state == State::unfinished;
    AnswerRequest request;
    if (ask)
        request = request_along(along);
    sending_ = true;
    Q_EMIT answering_changed();
    struct Stored {
        ConversationRow conversation;
        QList<Row> rows;
    };
    const int opening = opening_;
    store_.ask(
        this,
        [rows, conversation = row_](Store& store) {
            Stored stored{conversation, rows};
            store.transaction([&] {
                if (stored.conversation.id == 0) {
                    const bool by_hand = conversation.titled_by_hand;
                    stored.conversation = store.add_conversation(
                        by_hand ? conversation.title : title_of(rows.first().text), conversation.settings);
                    if (by_hand)
                        store.rename(stored.conversation.id, conversation.title, true);
                }
                for (Row& row : stored.rows)
                    row.conversation = stored.conversation.id;
                const QList<qint64> ids = store.add_messages(stored.rows);
                for (qsizetype i = 0; i < ids.size(); ++i) {
                    stored.rows[i].id = ids[i];
                    if (stored.rows[i].parent == Store::kPrevious)
                        stored.rows[i].parent = ids[i - 1];
                }
            });
            return stored;
        },
        [this, opening, ask, request, from_composer](Stored stored) mutable {
            Q_EMIT this->stored();
            if (from_composer)
                Q_EMIT sent();
            const Row& last = stored.rows.last();
            request.message = last.id;
            if (opening != opening_) {  // another one is open, where the rows will be read
                if (ask)
                    answers_.begin(last, request);
                return;
            }
            sending_ = false;
            const bool fresh = row_.id == 0;
            if (fresh) {
                row_.id = stored.conversation.id;
                row_.title = stored.conversation.title;
            }
            for (const Row& row : stored.rows)
                add_row(row);
            row_.leaf = last.id;
            if (ask)
                answers_.begin(last, request);
            show_path_to(row_.leaf);
            if (fresh) {
                Q_EMIT opened();
                Q_EMIT title_changed();
            }
            Q_EMIT asked();
        },
        [this, opening](const QString& sentence) {
            if (opening == opening_) {
                sending_ = false;
                Q_EMIT answering_changed();
            }
            Q_EMIT not_sent(sentence);
        });
}

void Conversation::send(const QString& text) {
    if (!can_ask() || tray_.reading())
        return;
    Row question;
    question.text = text;
    question.pictures = tray_.pictures();
    Row answer;
    answer.role = Role::model;
    answer.state = State::unfinished;
    for (const PictureRef& picture : question.pictures)
        picture_paths_[picture.hash] = tray_.path(picture.hash);
    store_rows(path_.isEmpty() ? 0 : path_.last(), {question, answer}, true);
}

void Conversation::stop() {
    for (const qint64 id : path_)
        if (answers_.find(id))
            answers_.stop(id);
}

void Conversation::regenerate(int index) {
    const Row* row = at(index);
    if (!row || !can_ask())
        return;
    Row answer;
    answer.role = Role::model;
    answer.state = State::unfinished;
    store_rows(row->role == Role::user ? row->id : row->parent, {answer}, false);
}

bool Conversation::edit(int index, const QString& text) {
    const Row* row = at(index);
    if (!row || !can_ask() || text == row->text)
        return false;
    Row edited;
    edited.role = row->role;
    edited.text = text;
    edited.pictures = row->pictures;
    edited.model = row->model;
    QList<Row> rows{edited};
    if (row->role == Role::user) {
        Row answer;
        answer.role = Role::model;
        answer.state = State::unfinished;
        rows.append(answer);
    }
    store_rows(row->parent, rows, false);
    return true;
}

void Conversation::go_on() {
    const Row* row = at(count() - 1);
    if (!row || !can_ask())
        return;
    if (row->role == Role::user)
        return regenerate(count() - 1);
    const Row answer = *row;
    answers_.begin(answer, request_along(path_until(answer.id)));
    changed(answer.id);
    Q_EMIT answering_changed();
}

void Conversation::show_sibling(int index, int step) {
    const Row* row = at(index);
    if (!row || !can_ask())
        return;
    const QList<qint64> all = siblings(row->id);
    const qsizetype wanted = all.indexOf(row->id) + step;
    if (wanted < 0 || wanted >= all.size())
        return;
    row_.leaf = newest_below(all[wanted]);
    show_path_to(row_.leaf);
    store_.run([id = row_.id, leaf = row_.leaf](Store& store) { store.set_leaf(id, leaf); });
}

void Conversation::remove_turn(int index) {
    const Row* row = at(index);
    if (!row || !can_ask() || answers_.conversations().contains(row_.id))
        return;
    store_.ask(
        this, [id = row->id](Store& store) { store.remove_branch(id); },
        [this, id = row_.id] {
            if (row_.id == id)
                load(id, 0);
            Q_EMIT stored();
        });
}

void Conversation::changed(qint64 message) {
    const int row = index_of(message);
    if (row < 0)
        return;
    Q_EMIT dataChanged(index(row), index(row), {TextRole, StateRole, ErrorRole, EncodingRole, RunningRole, SpeedRole});
    if (row == count() - 1)
        Q_EMIT stats_changed();
}

void Conversation::answer_ended(const MessageRow& row) {
    if (row.conversation != row_.id || !rows_.contains(row.id))
        return;
    rows_[row.id] = row;
    if (const int at = index_of(row.id); at >= 0)
        Q_EMIT dataChanged(index(at), index(at));
    Q_EMIT stats_changed();
    Q_EMIT answering_changed();
}

// ---- what is read off it -----------------------------------------------------------------------

int Conversation::context_used() const {
    for (int i = count() - 1; i >= 0; --i)
        if (const Row* row = at(i); row->stats.context_used > 0)
            return row->stats.context_used;
    return 0;
}

QString Conversation::speed() const {
    const Row* row = at(count() - 1);
    return row ? speed_text(row->stats) : QString();
}

int Conversation::last_question() const {
    for (int i = count() - 1; i >= 0; --i)
        if (const Row* row = at(i); row && row->role == Role::user)
            return i;
    return -1;
}

int Conversation::count_below(int index) const {
    const Row* row = at(index);
    if (!row)
        return 0;
    QList<qint64> below{row->id};
    for (qsizetype i = 0; i < below.size(); ++i)
        below.append(children_.value(below[i]));
    return static_cast<int>(below.size());
}

QString Conversation::text_at(int index) const {
    const Row* row = at(index);
    return row ? row->text : QString();
}

void Conversation::copy(const QString& text) const {
    QGuiApplication::clipboard()->setText(text);
}

void Conversation::rename(const QString& title) {
    const QString plain = title.simplified();
    if (plain.isEmpty() || plain == row_.title)
        return;
    row_.title = plain;
    row_.titled_by_hand = true;
    Q_EMIT title_changed();
    if (row_.id != 0)
        store_.ask(this, [id = row_.id, plain](Store& store) { store.rename(id, plain, true); },
                   [this] { Q_EMIT stored(); });
}

// ---- settings ----------------------------------------------------------------------------------

template <typename Value>
void Conversation::set(Value& field, Value value) {
    if (field == value)
        return;
    field = std::move(value);
    Q_EMIT settings_changed();
    save_settings_.start();
}

void Conversation::set_system_text(const QString& text) { set(row_.settings.system, text); }

void Conversation::set_temperature(double value) {
    set(row_.settings.sampling.temperature, std::clamp(static_cast<float>(value), 0.0f, 5.0f));
}

void Conversation::set_top_k(int value) { set(row_.settings.sampling.top_k, std::clamp(value, 0, 1'000'000)); }

void Conversation::set_top_p(double value) {
    set(row_.settings.sampling.top_p, std::clamp(static_cast<float>(value), 0.01f, 1.0f));
}

void Conversation::set_min_p(double value) {
    set(row_.settings.sampling.min_p, std::clamp(static_cast<float>(value), 0.0f, 1.0f));
}

void Conversation::set_repeat_penalty(double value) {
    set(row_.settings.sampling.repeat_penalty, std::clamp(static_cast<float>(value), 0.5f, 2.0f));
}

void Conversation::set_max_tokens(int value) {
    set(row_.settings.sampling.max_tokens, std::clamp(value, 0, 1'000'000));
}

QString Conversation::seed() const {
    const std::optional<quint64>& seed = row_.settings.sampling.seed;
    return seed ? QString::number(*seed) : QString();
}

void Conversation::set_seed(const QString& text) {
    bool number = false;
    const quint64 seed = text.trimmed().toULongLong(&number);
    set(row_.settings.sampling.seed, number ? std::optional(seed) : std::nullopt);
}

void Conversation::set_forget(bool forget) { set(row_.settings.forget, forget); }

void Conversation::reset_sampling() { set(row_.settings.sampling, Sampling()); }

}  // namespace olivine::desktop
