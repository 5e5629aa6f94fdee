#include "app/desktop/assistant.h"

#include <utility>

#include "app/desktop/talker.h"
#include "app/platform.h"

namespace olivine::desktop {
namespace {

constexpr int kTellMs = 33;  // words come to the screen so often

}  // namespace

Assistant::Assistant() : talker_(std::make_unique<Talker>()) {
    timer_.setInterval(kTellMs);
    connect(&timer_, &QTimer::timeout, this, &Assistant::tell_spoken);
    // What a software driver starts for its device inherits it.
    thread_.add([] { platform::give_way(); });
}

Assistant::~Assistant() {
    closing_ = true;
    thread_.add([this] { talker_.reset(); });
}

void Assistant::post(std::function<void()> on_this_thread) {
    QMetaObject::invokeMethod(this, std::move(on_this_thread), Qt::QueuedConnection);
}

void Assistant::load(const ModelWanted& wanted) {
    wanted_ = wanted;
    model_state_ = ModelState::loading;
    progress_ = 0;
    facts_ = {};
    problem_ = {};
    const int generation = ++load_generation_;
    {
        const std::lock_guard lock(mutex_);
        shared_wanted_ = wanted;
    }
    ++pending_;
    timer_.start();
    Q_EMIT model_changed();
    thread_.add([this, wanted, generation] {
        const bool loaded = generation == load_generation_ && !closing_ && load_now(wanted, generation);
        post([this, loaded, generation] {
            end_pending();
            // Given up before it began, and nothing took its place.
            if (!loaded && generation == load_generation_ && model_state_ == ModelState::loading) {
                model_state_ = ModelState::none;
                Q_EMIT model_changed();
            }
        });
    });
}

void Assistant::cancel_load() {
    if (model_state_ != ModelState::loading)
        return;
    ++load_generation_;
    for (const qint64 message : waiting_.keys())
        give_up(message);
    model_state_ = ModelState::none;
    Q_EMIT model_changed();
}

// On the thread.
bool Assistant::load_now(const ModelWanted& wanted, int generation) {
    Talker::Told told = this->told(0);
    told.loading = [this, generation](double progress) {
        {
            const std::lock_guard lock(mutex_);
            loaded_part_ = progress;
        }
        return generation == load_generation_ && !stopped();
    };
    try {
        talker_->load(wanted, told);
        talker_has_ = wanted;
        post([this, generation, facts = talker_->facts()] {
            if (generation != load_generation_)
                return;
            model_state_ = ModelState::ready;
            facts_ = facts;
            Q_EMIT model_changed();
        });
        return true;
    } catch (const std::exception& error) {  // told to the person, who may choose another model
        Problem problem = problem_of(error, {});
        if (!wanted.path.isEmpty())
            problem.details += "Model: " + wanted.path + "\n";
        if (talker_->loaded()) {
            const std::lock_guard lock(mutex_);
            if (shared_wanted_ == wanted)
                shared_wanted_ = talker_has_;
        }
        post([this, generation, problem, stays = talker_->loaded(), has = talker_has_, facts = talker_->facts()] {
            if (generation != load_generation_)
                return;
            if (stays) {
                wanted_ = has;
                facts_ = facts;
                model_state_ = ModelState::ready;
                Q_EMIT load_failed(problem);
            } else {
                model_state_ = ModelState::failed;
                problem_ = problem;
            }
            Q_EMIT model_changed();
        });
        return false;
    }
}

void Assistant::answer(const AnswerRequest& request) {
    ++pending_;
    timer_.start();
    const int number = ++answers_;
    waiting_.insert(request.message, number);
    thread_.add([this, request, number] {
        {
            const std::lock_guard lock(mutex_);
            if (given_up_.remove(number)) {
                post([this] { end_pending(); });
                return;
            }
            running_ = request.message;
            stop_running_ = false;
        }
        const AnswerEnd end = answer_now(request);
        {
            const std::lock_guard lock(mutex_);
            running_ = 0;
        }
        post([this, message = request.message, end, facts = talker_->facts()] {
            waiting_.remove(message);
            tell_spoken();
            end_pending();
            if (model_state_ == ModelState::ready) {
                facts_ = facts;
                if (facts.name.isEmpty())
                    model_state_ = ModelState::none;  // it went with its device
                Q_EMIT model_changed();
            }
            Q_EMIT ended(message, end);
        });
    });
}

Talker::Told Assistant::told(qint64 message) {
    Talker::Told told;
    told.stopped = [this] { return stopped(); };
    told.note = [this](const std::string& text) {
        // The command's notes go on behind its name; here they stand alone.
        QString sentence = QString::fromStdString(text);
        sentence.replace(0, 1, sentence.left(1).toUpper());
        post([this, sentence] { Q_EMIT note(sentence); });
    };
    told.encoding = [this, message](double progress) {
        const std::lock_guard lock(mutex_);
        spoken_[message].encoded = progress;
    };
    told.said = [this, message](const std::string& text, const AnswerStats& so_far) {
        const std::lock_guard lock(mutex_);
        Spoken& spoken = spoken_[message];
        spoken.text += QString::fromStdString(text);
        spoken.stats = so_far;
    };
    return told;
}

// On the thread.
AnswerEnd Assistant::answer_now(const AnswerRequest& request) {
    ModelWanted wanted;
    {
        const std::lock_guard lock(mutex_);
        wanted = shared_wanted_;
    }
    if (!talker_->loaded() || talker_has_ != wanted) {
        const int generation = load_generation_;
        post([this, generation] {
            if (generation != load_generation_)
                return;
            model_state_ = ModelState::loading;
            progress_ = 0;
            Q_EMIT model_changed();
        });
        if (!load_now(wanted, generation)) {
            AnswerEnd end;
            end.token_ids = request.turn.token_ids;
            end.state = stopped() || generation != load_generation_ ? State::stopped : State::failed;
            if (end.state == State::failed)
                end.problem = {tr("The model could not be loaded, so there is no answer."), {}};
            return end;
        }
    }
    return talker_->answer(request, told(request.message));
}

bool Assistant::stopped() {
    const std::lock_guard lock(mutex_);
    return closing_ || (running_ != 0 && stop_running_);
}

void Assistant::stop(qint64 message) {
    {
        const std::lock_guard lock(mutex_);
        if (running_ == message) {
            stop_running_ = true;
            return;
        }
    }
    give_up(message);
}

// An answer that has not begun ends at once.
void Assistant::give_up(qint64 message) {
    const auto waiting = waiting_.find(message);
    if (waiting == waiting_.end())
        return;
    {
        const std::lock_guard lock(mutex_);
        if (running_ == message) {  // it has, meanwhile
            stop_running_ = true;
            return;
        }
        given_up_.insert(*waiting);
    }
    waiting_.erase(waiting);
    AnswerEnd end;
    end.state = State::stopped;
    post([this, message, end] { Q_EMIT ended(message, end); });
}

void Assistant::end_pending() {
    if (--pending_ == 0)
        timer_.stop();
}

void Assistant::tell_spoken() {
    QHash<qint64, Spoken> spoken;
    double loaded = -1;
    {
        const std::lock_guard lock(mutex_);
        spoken.swap(spoken_);
        loaded = std::exchange(loaded_part_, -1);
    }
    if (loaded >= 0 && loaded != progress_) {
        progress_ = loaded;
        Q_EMIT progress_changed();
    }
    for (auto each = spoken.cbegin(); each != spoken.cend(); ++each) {
        if (each->encoded >= 0)
            Q_EMIT encoding(each.key(), each->encoded);
        if (!each->text.isEmpty())
            Q_EMIT said(each.key(), each->text, each->stats);
    }
}

}  // namespace olivine::desktop
