// The model, on a thread of its own that gives way to everything else: loading, answering, stopping.
//
// The window calls, from its own thread, and is told by signals; none of the calls waits. Answers come
// one after another. What a driver gives up is set up anew by the layers below; where that fails too,
// the answer ends with what was said so far, and the next one loads the model again.
#pragma once

#include <QHash>
#include <QObject>
#include <QSet>
#include <QTimer>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "app/desktop/talk_types.h"
#include "app/desktop/talker.h"
#include "app/desktop/work_thread.h"

namespace olivine::desktop {

class Assistant : public QObject {
    Q_OBJECT

public:
    enum class ModelState { none, loading, ready, failed };

    Assistant();
    // Stops what runs, and waits for it.
    ~Assistant() override;

    // Loads in place of what is loaded.
    void load(const ModelWanted& wanted);
    // With it end the answers that wait.
    void cancel_load();
    // Queued behind what runs. Loads what was wanted last where nothing is loaded.
    void answer(const AnswerRequest& request);
    // Ends the answer for this message, within a slice, or takes it out of the queue.
    void stop(qint64 message);

    ModelState model_state() const { return model_state_; }
    const ModelWanted& wanted() const { return wanted_; }
    const ModelFacts& facts() const { return facts_; }
    const Problem& problem() const { return problem_; }  // why loading failed
    double progress() const { return progress_; }        // 0 to 1, of loading

Q_SIGNALS:
    void model_changed();     // state, facts, problem
    void load_failed(const olivine::desktop::Problem& problem);  // and the model from before stays
    void progress_changed();
    void encoding(qint64 message, double progress);  // of its pictures, 0 to 1; 1: done
    // Some more of the answer, at most so often as a screen is drawn anew.
    void said(qint64 message, const QString& text, const olivine::desktop::AnswerStats& so_far);
    void ended(qint64 message, const olivine::desktop::AnswerEnd& end);
    // What the person should know, such as that the device was lost and the answer goes on.
    void note(const QString& text);

private:
    struct Spoken {  // not yet told
        QString text;
        AnswerStats stats;
        double encoded = -1;
    };
    void tell_spoken();
    void end_pending();
    void post(std::function<void()> on_this_thread);
    void give_up(qint64 message);
    bool stopped();
    // On the thread:
    bool load_now(const ModelWanted& wanted, int generation);
    AnswerEnd answer_now(const AnswerRequest& request);
    Talker::Told told(qint64 message);

    ModelState model_state_ = ModelState::none;
    ModelWanted wanted_;
    ModelFacts facts_;
    Problem problem_;
    double progress_ = 0;
    QTimer timer_;
    int pending_ = 0;  // loads and answers that have not ended
    int answers_ = 0;  // asked for so far: each has a number
    QHash<qint64, int> waiting_;  // numbers of those that have not begun, by message

    std::mutex mutex_;
    ModelWanted shared_wanted_;
    QHash<qint64, Spoken> spoken_;
    double loaded_part_ = -1;
    qint64 running_ = 0;      // message whose answer is under way
    bool stop_running_ = false;
    QSet<int> given_up_;      // answers, by their number, that are not to begin
    std::atomic<int> load_generation_ = 0;  // a load with another one is to end
    std::atomic<bool> closing_ = false;
    std::unique_ptr<Talker> talker_;  // the thread's
    ModelWanted talker_has_;          // the thread's
    WorkThread thread_{"model"};      // the last: its work uses the others
};

}  // namespace olivine::desktop
