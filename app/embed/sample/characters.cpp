#include "characters.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace {

void check(olv_result result) {
    if (result < 0)
        throw std::runtime_error(olv_last_error());
}

// How the text of each begins. The library computes and keeps it once for all three.
constexpr const char* kAllKnow =
    "Use simple words. Mia was a brave fox who lived in a green forest. Mia had a red kite. One "
    "windy evening, "
    "she went for a walk. The wind blew the kite onto a tall tree. Mia was very sad. A clever bear "
    "named Tom "
    "came by. Tom got the kite down for her. Mia thanked Tom, and they sang songs together.";

}  // namespace

Characters::Characters(const Options& options)
    : all_{{{.name = "Ash",
             .nature = " You tell stories.",
             .questions = {"Tell me a story about a hen.", "Tell me a story about Leo the frog.",
                           "Tell me a story about a blue boat."}},
            {.name = "Wren",
             .nature = " You talk to a child.",
             .questions = {"What happened to the kite?", "Who helped Mia?", "Where did Mia live?",
                           "How did Tom help?", "How does the story end?"}},
            {.name = "Flint",
             .nature = " You like sums.",
             .questions = {"What is 7 + 5?", "How much is 20 minus 9?", "What is 3 + 14?"}}}} {
    olv_device_options device_options = OLV_DEVICE_OPTIONS;
    device_options.device = options.device;
    device_options.cache_folder =
        options.cache_folder.empty() ? nullptr : options.cache_folder.c_str();
    device_options.log = [](void* user, const char* line) {
        *static_cast<std::string*>(user) = line;
    };
    device_options.log_user = &log_;
    olv_device* device = nullptr;
    check(olv_device_create(&device_options, &device));
    device_.reset(device);

    olv_model_options model_options = OLV_MODEL_OPTIONS;
    model_options.path = options.model.c_str();
    model_options.max_sessions = static_cast<uint32_t>(all_.size());
    check(olv_model_load(device, &model_options, &model_));

    for (Character& character : all_) {
        const std::string system = kAllKnow + character.nature;
        olv_session_options session_options = OLV_SESSION_OPTIONS;
        session_options.system = system.c_str();
        session_options.temperature = 0.7f;
        session_options.max_tokens = 200;
        session_options.forget = 1;
        session_options.seed =
            options.seed * all_.size() + static_cast<uint64_t>(&character - all_.data());
        check(olv_session_create(model_, &session_options, &character.session));
        put(character, "Hello!");  // behind the loading screen: the first answers compile pipelines
    }
}

void Characters::tick(uint32_t budget_us) {
    const auto begin = std::chrono::steady_clock::now();
    check(olv_tick(device_.get(), budget_us));
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;

    olv_stats stats = OLV_STATS;
    check(olv_device_stats(device_.get(), &stats));
    work_ = {took.count(), stats.slice_seconds * 1e3, stats.bytes_now, stats.bytes_peak};
    check(olv_model_state(model_, nullptr, &progress_));
    for (Character& character : all_)
        hear(character);
    if (ready_ || busy())
        return;
    ready_ = true;
    for (Character& character : all_) {  // nobody is to remember the loading screen
        check(olv_session_clear(character.session));
        character = {.name = character.name,
                     .nature = character.nature,
                     .questions = character.questions,
                     .session = character.session};
    }
}

void Characters::hear(Character& character) {
    olv_event event = OLV_EVENT;
    while (olv_next_event(character.session, &event) == OLV_OK) {
        switch (event.kind) {
        case OLV_EVENT_TEXT: character.answer += event.text; break;
        case OLV_EVENT_DONE:
            character.busy = false;
            character.tokens += event.drawn_tokens;
            ++(event.end == OLV_END_CANCELLED ? character.cancelled : character.answered);
            break;
        default:
            if (!ready_)
                throw std::runtime_error(event.text);
            character.busy = false;
            character.answer = event.text;
            ++character.failed;
        }
    }
}

bool Characters::busy() const {
    return std::ranges::any_of(all_, &Character::busy);
}

void Characters::ask(Character& character, const std::string& question) {
    if (ready_ && !character.busy && !question.empty())
        put(character, question);
}

void Characters::put(Character& character, const std::string& question) {
    check(olv_ask(character.session, question.c_str()));
    character.question = question;
    character.answer.clear();
    character.busy = true;
    ++character.asked;
}

void Characters::cancel(Character& character) {
    if (ready_ && character.busy)
        check(olv_cancel(character.session));
}

void Characters::set_memory_budget(uint64_t bytes) {
    check(olv_set_memory_budget(device_.get(), bytes));
}
