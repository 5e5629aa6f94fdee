// Conversations with the built-in model.
#pragma once

#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "model/chat.h"
#include "model/tokenizer.h"
#include "tests/support/loaded.h"

namespace olivine::test {

inline const std::string kPebble = std::string(OLIVINE_TEST_GOLDENS) + "/../../assets/pebble";
inline const std::string kTwoShapes =
    std::string(OLIVINE_TEST_GOLDENS) + "/../../assets/images/two-shapes.png";

// The built-in model, as a process has it.
struct Talk {
    explicit Talk(const ContextOptions& options = {.context = 900},
                  const ChatOptions& chat_options = {}, const std::string& folder = kPebble)
        : loaded(folder),
          tokenizer(Tokenizer::open(kPebble)),
          generator(loaded.model, options),
          chat(generator, tokenizer, chat_options) {}

    std::string ask(const std::string& text) {
        return chat.ask(text, [](std::string_view) {}).answer;
    }
    void show() {
        const Picture picture = two_shapes();
        const std::string name = "two shapes";
        chat.attach(std::span(&picture, 1), std::span(&name, 1));
    }
    static Picture two_shapes() {
        std::ifstream file(kTwoShapes, std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
        return decode_picture(std::as_bytes(std::span(bytes)), kTwoShapes);
    }

    Loaded loaded;
    Tokenizer tokenizer;
    Generator generator;
    Chat chat;
};

inline ChatOptions fifty(const std::string& system = "You are a kind teller.") {
    ChatOptions options;
    options.sampler.seed = 3;
    options.max_tokens = 50;
    options.system = system;
    return options;
}

}  // namespace olivine::test
