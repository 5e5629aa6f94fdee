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
    model_state_ = ModelState::none;
    Q_EMIT model_changed();
}

// On the thread.
bool Assistant::load_now(const ModelWanted& wanted, int generation) {
    Talker::Told told = this->told(0);
    told.loading = [this, generation](double progress) {
        const std::lock_guard lock(mutex_);
        spoken_.loaded = progress;
        return generation == load_generation_ && !closing_;
    };
    try {
        talker_->load(wanted, told);
        post([this, generation, facts = talker_->facts()] {
            if (generation != load_generation_)
                return;
            model_state_ = ModelState::ready;
            facts_ = facts;
            Q_EMIT model_changed();
        });
        return true;
    } catch (const std::exception& error) {  // told to the person, who may choose another model
        post([this, generation, problem = problem_of(error, {})] {
            if (generation != load_generation_)
                return;
            model_state_ = ModelState::failed;
            problem_ = problem;
            if (!wanted_.path.isEmpty())
                problem_.details += "Model: " + wanted_.path + "\n";
            Q_EMIT model_changed();
        });
        return false;
    }
}

void Assistant::answer(const AnswerRequest& request) {
    ++pending_;
    timer_.start();
    {
        const std::lock_guard lock(mutex_);
        stopped_.removeAll(request.message);
    }
    thread_.add([this, request] {
        const AnswerEnd end = answer_now(request);
        post([this, message = request.message, end, facts = talker_->facts()] {
            tell_spoken();
            end_pending();
            if (!facts.name.isEmpty() && model_state_ == ModelState::ready) {
                facts_ = facts;
                Q_EMIT model_changed();
            } else if (facts.name.isEmpty() && model_state_ == ModelState::ready) {
                model_state_ = ModelState::none;  // it went with its device
                Q_EMIT model_changed();
            }
            Q_EMIT ended(message, end);
        });
    });
}

Talker::Told Assistant::told(qint64 message) {
    Talker::Told told;
    told.stopped = [this, message] { return stopped(message); };
    told.note = [this](const std::string& text) {
        // The command's notes go on behind its name; here they stand alone.
        QString sentence = QString::fromStdString(text);
        sentence.replace(0, 1, sentence.left(1).toUpper());
        post([this, sentence] { Q_EMIT note(sentence); });
    };
    told.encoding = [this, message](double progress) {
        const std::lock_guard lock(mutex_);
        spoken_.message = message;
        spoken_.encoded = progress;
    };
    told.said = [this, message](const std::string& text, const AnswerStats& so_far) {
        const std::lock_guard lock(mutex_);
        spoken_.message = message;
        spoken_.text += QString::fromStdString(text);
        spoken_.stats = so_far;
    };
    return told;
}

// On the thread.
AnswerEnd Assistant::answer_now(const AnswerRequest& request) {
    AnswerEnd end;
    end.token_ids = request.turn.token_ids;
    end.state = State::stopped;
    if (stopped(request.message))
        return end;
    if (!talker_->loaded()) {
        ModelWanted wanted;
        {
            const std::lock_guard lock(mutex_);
            wanted = shared_wanted_;
        }
        const int generation = load_generation_;
        post([this, generation] {
            if (generation != load_generation_)
                return;
            model_state_ = ModelState::loading;
            progress_ = 0;
            Q_EMIT model_changed();
        });
        if (!load_now(wanted, generation)) {
            end.state = stopped(request.message) || closing_ ? State::stopped : State::failed;
            end.problem = {tr("The model could not be loaded, so there is no answer."), {}};
            return end;
        }
    }
    return talker_->answer(request, told(request.message));
}

bool Assistant::stopped(qint64 message) {
    if (closing_)
        return true;
    const std::lock_guard lock(mutex_);
    return stopped_.contains(message);
}

void Assistant::stop(qint64 message) {
    const std::lock_guard lock(mutex_);
    stopped_.append(message);
}

void Assistant::end_pending() {
    if (--pending_ == 0)
        timer_.stop();
}

void Assistant::tell_spoken() {
    Spoken spoken;
    {
        const std::lock_guard lock(mutex_);
        spoken = std::exchange(spoken_, {});
    }
    if (spoken.loaded >= 0 && spoken.loaded != progress_) {
        progress_ = spoken.loaded;
        Q_EMIT progress_changed();
    }
    if (spoken.encoded >= 0)
        Q_EMIT encoding(spoken.message, spoken.encoded);
    if (!spoken.text.isEmpty())
        Q_EMIT said(spoken.message, spoken.text, spoken.stats);
}

}  // namespace olivine::desktop
