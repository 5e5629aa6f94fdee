// olivine tokenize: text to ids.
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/command.h"
#include "app/cli/output.h"
#include "app/cli/session.h"
#include "model/tokenizer.h"

namespace olivine {
namespace {

struct TokenizeFlags : Flags {
    std::optional<std::string> text;
    bool parse_special = false;
};

int tokenize(const TokenizeFlags& flags) {
    if (!flags.text)
        fail_usage("There is no text; give it after --.");
    const Tokenizer tokenizer = Tokenizer::open(model_path(flags.model));
    put_json(tokenizer.encode(*flags.text, flags.parse_special), false);
    return kExitDone;
}

}  // namespace

Command add_tokenize(CLI::App& app) {
    const auto flags = std::make_shared<TokenizeFlags>();
    add_model_flag(app, *flags);
    app.add_flag("--parse-special", flags->parse_special,
                 "Take the names of control tokens in the text for these tokens");
    add_text(app, "text", "TEXT", "Any text, after -- where it may begin with a dash",
             [=](const std::string& text) { flags->text = text; });
    add_verbose_flag(app, *flags);
    return [=] { return tokenize(*flags); };
}

}  // namespace olivine
