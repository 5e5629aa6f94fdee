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
    "Use simple words. You are a kind helper by a fire in a green forest. You talk to a child.";

// What Wren has to tell, in the words that the built-in model knows.
constexpr const char* kTheKite =
    " Mia was a brave fox who lived in a green forest. Mia had a red kite. One windy evening, she "
    "went for a walk. The wind blew the kite onto a tall tree. Mia was very sad. A clever bear "
    "named Tom came by. Tom got the kite down for her. Mia thanked Tom, and they sang songs "
    "together.";

}  // namespace

Characters::Characters(Vulkan& vulkan, const Painting& painting, const Options& options)
    : painting_(painting),
      all_{{{.name = "Ash",
             .nature = " You tell stories.",
             .questions = {"Tell me a story about a hen.", "Tell me a story about Leo the frog.",
                           "Tell me a story about a blue boat."}},
            {.name = "Wren",
             .nature = kTheKite,
             .questions = {"What happened to the kite?", "Who helped Mia?", "Where did Mia live?",
                           "How did Tom help?", "What is 7 + 5?"}},
            {.name = "Flint",
             .nature = " You look at pictures.",
             .questions = {"What do you see?", "How many shapes are there?"},
             .sees = true}}} {
    make_device(vulkan, options.cache_folder);
    olv_model_options model_options = OLV_MODEL_OPTIONS;
    model_options.path = options.model.c_str();
    model_options.max_sessions = static_cast<uint32_t>(all_.size());
    check(olv_model_load(device_.get(), &model_options, &model_));

    uint64_t seed = options.seed * all_.size();
    for (Character& character : all_) {
        const std::string system = kAllKnow + character.nature;
        olv_session_options session_options = OLV_SESSION_OPTIONS;
        session_options.system = system.c_str();
        session_options.temperature = character.sees ? 0 : 0.7f;  // no guesses about what is there
        session_options.max_tokens = 200;
        session_options.forget = 1;
        session_options.seed = seed++;
        check(olv_session_create(model_, &session_options, &character.session));
    }
}

// The library works on the game's device, in its queue, and takes its turn there by the lock.
void Characters::make_device(Vulkan& vulkan, const std::string& cache_folder) {
    olv_vulkan host = OLV_VULKAN;
    host.queue_family = vulkan.queue_family();
    host.instance = vulkan.instance();
    host.physical_device = vulkan.physical();
    host.device = vulkan.device();
    host.queue = vulkan.queue();
    host.created_with = &vulkan.device_info();
    host.lock = [](void* mutex) { static_cast<std::mutex*>(mutex)->lock(); };
    host.unlock = [](void* mutex) { static_cast<std::mutex*>(mutex)->unlock(); };
    host.user = &vulkan.queue_mutex();

    olv_device_options options = OLV_DEVICE_OPTIONS;
    options.vulkan = &host;
    options.cache_folder = cache_folder.empty() ? nullptr : cache_folder.c_str();
    options.log = [](void* log, const char* line) { *static_cast<std::string*>(log) = line; };
    options.log_user = &log_;
    olv_device* device = nullptr;
    check(olv_device_create(&options, &device));
    device_.reset(device);
}

void Characters::tick(uint32_t budget_us) {
    for (Character& character : all_)
        if (character.waits)
            put(character);
    const auto start = std::chrono::steady_clock::now();
    check(olv_tick(device_.get(), budget_us));
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;

    olv_stats stats = OLV_STATS;
    check(olv_device_stats(device_.get(), &stats));
    work_ = {took.count(), stats.slice_seconds * 1e3, stats.bytes_now, stats.bytes_peak};
    for (Character& character : all_)
        hear(character);
    if (!ready_)
        begin();
}

// Loading ends with a question to each, as the first answers compile pipelines.
void Characters::begin() {
    olv_state state{};
    check(olv_model_state(model_, &state, &progress_));
    if (state != OLV_READY || busy())
        return;
    if (!warm_) {
        warm_ = true;
        for (Character& character : all_)
            note(character, character.sees ? character.questions.front() : "Hello!");
        return;
    }
    ready_ = true;
    shown_ = 0;
    for (Character& character : all_) {  // nobody is to remember that
        check(olv_session_clear(character.session));
        character = {.name = character.name,
                     .nature = character.nature,
                     .questions = character.questions,
                     .sees = character.sees,
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
        case OLV_EVENT_ERROR:
            character.busy = false;
            character.answer = event.text;
            ++character.failed;
            break;
        }
    }
}

bool Characters::busy() const {
    return std::ranges::any_of(all_, &Character::busy);
}

void Characters::ask(Character& character, const std::string& question) {
    if (ready_ && !character.busy && !question.empty())
        note(character, question);
}

void Characters::note(Character& character, const std::string& question) {
    character.question = question;
    character.answer.clear();
    character.busy = character.waits = true;
    ++character.asked;
}

void Characters::put(Character& character) {
    character.waits = false;
    if (character.sees && shown_ != painting_.number())
        show_painting(character);
    check(olv_ask(character.session, character.question.c_str()));
}

// The image goes into the next question as the GPU has drawn it; the host never sees it. A new one
// begins a new conversation, as the built-in model knows one picture at a time.
void Characters::show_painting(Character& character) {
    shown_ = painting_.number();
    check(olv_session_clear(character.session));
    olv_vulkan_image image = OLV_VULKAN_IMAGE;
    image.format = painting_.image().format;
    image.layout = Painting::kLayout;
    image.width = painting_.image().extent.width;
    image.height = painting_.image().extent.height;
    image.image = reinterpret_cast<uint64_t>(painting_.image().image.get());
    const olv_result pushed = olv_push_vulkan_image(character.session, &image);
    if (pushed == OLV_UNSUPPORTED)
        character.sees = false;  // a model that reads text only
    else
        check(pushed);
}

void Characters::cancel(Character& character) {
    if (ready_ && character.busy && !character.waits)
        check(olv_cancel(character.session));  // within a slice, and then it says so
}

void Characters::set_memory_budget(uint64_t bytes) {
    check(olv_set_memory_budget(device_.get(), bytes));
}
