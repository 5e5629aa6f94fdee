// What the handles of olivine.h are.
#pragma once

#include <atomic>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "app/embed/executor.h"
#include "app/embed/olivine.h"
#include "model/chat.h"
#include "model/checkpoint.h"

struct olv_device {
    explicit olv_device(const olv_device_options& options);
    ~olv_device();

    // For jobs, between slices. Throws cancelled where loading is to end.
    void pause();
    void note_bytes();  // as the program may ask for them at any time
    // A line for the program's log, from any thread; and gives it those that there are.
    void log(std::string line);
    void tell_log();
    // Gives events to the callbacks of those sessions that have one.
    void tell_events();

    struct Bytes {
        uint64_t now = 0, peak = 0, budget = 0;
    };
    Bytes bytes();

    olv_log log_function;
    void* log_user;
    double slice_seconds;
    bool adopted;  // the program's device
    std::optional<olivine::Device> device;
    std::vector<std::unique_ptr<olv_model>> models;
    bool loading = false;   // of the jobs' thread
    std::mutex read_mutex;  // around the program's read callbacks

    std::mutex mutex;  // of what follows
    std::vector<std::string> log_lines;
    Bytes bytes_told;
    struct Budget {
        uint64_t bytes = 0;
        uint32_t asked = 0;  // times
    } budget;                // which each model follows between its steps, and when it is idle

    olivine::Executor executor;  // the last: its jobs use the others
};

struct olv_model {
    olv_model(olv_device& owner, const olv_model_options& options);
    ~olv_model();

    void cancel();  // loading, if it is not done
    // What an answer is to be; null = anything. The last ones are kept, with what they know
    // already.
    std::shared_ptr<olivine::Constraint> constraint(const olv_ask_options& options);

    // Jobs.
    void load();
    void follow_budget();  // between steps

    void open_files(const std::string& path, const olivine::FileSource& files);

    olv_device& device;
    uint32_t max_sessions;
    olivine::ContextOptions context;
    std::shared_ptr<olivine::Checkpoint> checkpoint;
    std::optional<olivine::Tokenizer> tokenizer;
    // The tokens in order, which takes a fifth of a second for Gemma's: made when they are first
    // asked for.
    const std::shared_ptr<const olivine::Vocabulary>& vocabulary() const;
    mutable std::shared_ptr<const olivine::Vocabulary> sorted;
    std::deque<std::pair<std::string, std::shared_ptr<olivine::Constraint>>>
        constraints;  // by what they are of
    std::vector<std::unique_ptr<olv_session>> sessions;

    // Of the jobs' thread.
    std::unique_ptr<olivine::Model> model;
    std::unique_ptr<olivine::Generator> generator;
    uint32_t budget_followed = 0;  // Budget::asked

    mutable std::mutex mutex;  // of what follows
    olv_state state = OLV_LOADING;
    std::exception_ptr failure;
    float progress = 0;
};

struct olv_session {
    olv_session(olv_model& owner, const olv_session_options& options, uint32_t place);
    ~olv_session();

    struct Event {
        olv_event_kind kind{};
        olv_result result = OLV_OK;
        olv_end end = OLV_END_MODEL;
        std::string text;
        uint32_t prompt_tokens = 0, cached_tokens = 0, drawn_tokens = 0, context_used = 0;
        int32_t token = 0;
    };
    // Queues work of the chat, which ends with a last event: the one that it returns.
    void queue(std::function<Event(olivine::Chat&)> work);
    void push(Event event);
    // Takes the next event out, if there is one; its text is put into `text_of`.
    bool next(olv_event& event, std::string& text_of);
    olivine::AnswerOptions answer_options(const olv_ask_options& options) const;
    void ask(std::string question, olivine::AnswerOptions answer);
    bool stopped() const;  // for jobs, between slices

    olv_model& model;
    uint32_t sequence;  // of the generator's context
    olivine::ChatOptions options;
    bool under_way = false;  // a last event is still to be read
    std::string text;        // of the event that was read last
    olv_on_event on_event;
    void* event_user;
    using Pushed = std::variant<olivine::Picture, olivine::DevicePicture>;
    std::vector<Pushed> pictures;  // for the next question
    std::atomic<bool> cancelled = false;

    // Of the jobs' thread.
    std::unique_ptr<olivine::Chat> chat;
    std::vector<Pushed> asked;  // pictures of the question under way

    std::mutex mutex;  // of what follows
    std::deque<Event> events;
    std::optional<Event> last_event;  // of the work under way, behind them
    std::vector<std::byte> saved;     // by olv_session_save_bytes()
};
