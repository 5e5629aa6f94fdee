#include "app/desktop/answers.h"

namespace olivine::desktop {
namespace {

constexpr int kSaveMs = 1000;   // an unfinished answer is saved so often
constexpr int kRetryMs = 5000;  // a full disk may have room again

}  // namespace

Answers::Answers(Assistant& assistant, StoreThread& store) : assistant_(assistant), store_(store) {
    connect(&assistant, &Assistant::said, this, &Answers::grow);
    connect(&assistant, &Assistant::ended, this, &Answers::end);
    connect(&assistant, &Assistant::encoding, this, [this](qint64 message, double progress) {
        const auto found = under_way_.find(message);
        if (found == under_way_.end())
            return;
        found->encoded = progress < 1 ? progress : -1;
        Q_EMIT changed(message);
    });
    retry_.setInterval(kRetryMs);
    connect(&retry_, &QTimer::timeout, this, [this] {
        for (const MessageRow& row : std::as_const(unsaved_))
            save_ended(row);
    });
}

void Answers::begin(const MessageRow& row, const AnswerRequest& request) {
    UnderWay& answer = under_way_[row.id];
    answer.row = answer.before = row;
    answer.row.state = State::unfinished;
    answer.row.error.clear();
    answer.saved.start();
    if (unsaved_.remove(row.id))
        Q_EMIT unsaved_changed();
    assistant_.answer(request);
    Q_EMIT conversations_changed();
}

const Answers::UnderWay* Answers::find(qint64 message) const {
    const auto found = under_way_.find(message);
    return found == under_way_.end() ? nullptr : &*found;
}

const MessageRow* Answers::unsaved_row(qint64 message) const {
    const auto found = unsaved_.find(message);
    return found == unsaved_.end() ? nullptr : &*found;
}

void Answers::stop_all(qint64 conversation) {
    for (const UnderWay& answer : std::as_const(under_way_))
        if (answer.row.conversation == conversation)
            stop(answer.row.id);
}

QList<qint64> Answers::conversations() const {
    QList<qint64> all;
    for (const UnderWay& answer : under_way_)
        all.append(answer.row.conversation);
    return all;
}

void Answers::grow(qint64 message, const QString& text, const AnswerStats& stats) {
    const auto found = under_way_.find(message);
    if (found == under_way_.end())
        return;
    found->row.text += text;
    found->row.stats = stats;
    found->encoded = -1;
    if (found->saved.elapsed() >= kSaveMs) {
        found->saved.start();
        found->row.token_ids.clear();  // they are of a shorter text
        // Only the end of an answer must reach the disk; a disk that is full is told of then.
        store_.ask(this, [row = found->row](Store& store) { store.update_message(row); }, [] {},
                   [](const QString&) {});
    }
    Q_EMIT changed(message);
}

void Answers::end(qint64 message, const AnswerEnd& end) {
    const auto found = under_way_.find(message);
    if (found == under_way_.end())
        return;
    MessageRow& row = found->row;
    if (end.stats.drawn_tokens > 0 || found->before.text.isEmpty()) {
        row.state = end.state;
        if (!end.text.isNull())
            row.text = end.text;
        row.token_ids = end.token_ids;
        row.stats = end.stats;
        row.model = end.model;
    } else {  // it did not go on
        row = found->before;
        if (end.state == State::failed || end.state == State::done)
            row.state = end.state;
    }
    row.error = end.problem.text;
    if (!end.problem.details.isEmpty())
        Q_EMIT problem(message, end.problem.details);
    if (!end.remark.isEmpty())
        Q_EMIT remark(end.remark);
    save_ended(row);
}

// What is shown as done is on the disk.
void Answers::save_ended(const MessageRow& row) {
    store_.ask(
        this,
        [row](Store& store) {
            if (store.message(row.id))  // else it has been removed
                store.update_message(row);
        },
        [this, row] { finish(row); },
        [this, row](const QString& sentence) {
            if (!unsaved_.contains(row.id))
                Q_EMIT remark(tr("The answer is not saved yet: %1").arg(sentence));
            keep_trying(row);
        });
}

void Answers::finish(const MessageRow& row) {
    if (unsaved_.remove(row.id)) {
        if (unsaved_.isEmpty())
            retry_.stop();
        Q_EMIT unsaved_changed();
        return;  // its end has been told
    }
    under_way_.remove(row.id);
    Q_EMIT ended(row);
    Q_EMIT conversations_changed();
}

void Answers::keep_trying(const MessageRow& row) {
    if (unsaved_.contains(row.id))
        return;
    unsaved_.insert(row.id, row);
    retry_.start();
    under_way_.remove(row.id);
    Q_EMIT ended(row);
    Q_EMIT conversations_changed();
    Q_EMIT unsaved_changed();
}

void Answers::save_all() {
    for (const UnderWay& answer : std::as_const(under_way_))
        store_.run([row = answer.row](Store& store) { store.update_message(row); });
    for (const MessageRow& row : std::as_const(unsaved_))
        store_.run([row](Store& store) { store.update_message(row); });
}

}  // namespace olivine::desktop
