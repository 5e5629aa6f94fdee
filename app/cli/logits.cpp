// olivine logits: what the model makes of token ids, to a file for numpy.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/command.h"
#include "app/cli/npy.h"
#include "app/cli/output.h"
#include "app/cli/pictures.h"
#include "app/cli/session.h"
#include "app/platform.h"
#include "engine/error.h"
#include "engine/remade.h"
#include "model/context.h"

namespace olivine {
namespace {

struct LogitsFlags : Flags {
    LogitsFlags() {
        precision = Precision::f32;
        context.kv = KvType::f32;
    }
    std::vector<int32_t> tokens;
    std::string out;
    bool last = false;
    uint32_t chunk = 0;  // 0 = as long as the context runs them
    uint32_t generate = 0;
};

// Also takes the list in brackets, as `olivine tokenize` prints it.
std::vector<int32_t> parse_tokens(std::string text) {
    if (text.size() >= 2 && text.front() == '[' && text.back() == ']')
        text = text.substr(1, text.size() - 2);
    std::erase(text, ' ');
    std::vector<int32_t> tokens;
    for (const uint32_t id : parse_list("--tokens", text, 0, INT32_MAX))
        tokens.push_back(static_cast<int32_t>(id));
    return tokens;
}

int32_t likeliest(std::span<const float> logits) {
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// The ids with every run of place holders replaced by a picture, in order.
std::vector<int32_t> place_pictures(const LogitsFlags& flags, const std::vector<Picture>& pictures,
                                    Model& model, std::vector<PictureRef>& encoded) {
    std::vector<int32_t> tokens = flags.tokens;
    const Config& config = model.config();
    if (!config.image_token_id)
        return tokens;
    const auto holders = static_cast<size_t>(
        std::count(tokens.begin(), tokens.end(), *config.image_token_id));
    const size_t wanted = pictures.size() * config.mm_tokens_per_image;
    if (holders != wanted)
        fail(Fault::bad_input,
             "--tokens holds %zu place holders (id %d), and %zu pictures of %u soft tokens are given, "
             "which take %zu.",
             holders, *config.image_token_id, pictures.size(), config.mm_tokens_per_image, wanted);
    if (pictures.empty())
        return tokens;
    EncodeProgress progress(pictures.size() > 1 ? "pictures" : flags.images[0]);
    model.vision(progress.loading());
    encoded = model.encode(pictures, progress.options());
    size_t soft = 0;
    for (int32_t& id : tokens)
        if (id == *config.image_token_id)
            id = encoded[soft++ / config.mm_tokens_per_image]->id;
    return tokens;
}

int logits(const LogitsFlags& flags) {
    platform::watch_interrupts();
    const std::vector<Picture> pictures = read_pictures(flags);
    NpyWriter file(flags.out);  // before the work, which would be lost
    const std::unique_ptr<TraceFile> trace = open_trace(flags);
    SessionOptions options = session_options(flags, trace.get());
    options.tokenizer = false;
    Session session = open_session(options);
    Model& model = *session.model;
    Remade<Context> context(*session.device,
                            [&](std::optional<Context>& made) { made.emplace(model, flags.context); });
    const size_t vocab = model.config().vocab_size;
    std::vector<PictureRef> encoded;  // holds them as long as they are needed
    const std::vector<int32_t> with_pictures = place_pictures(flags, pictures, model, encoded);
    const std::span<const int32_t> tokens = with_pictures;
    if (tokens.size() + flags.generate > context->context())
        fail(Fault::bad_input,
             "%zu tokens and %u to generate are more than the context holds (%u).", tokens.size(),
             flags.generate, context->context());
    file.begin((flags.last ? 1 : tokens.size()) + flags.generate, vocab);

    // Chunk by chunk, so that the host holds the rows of one chunk only.
    const uint32_t most =
        std::min(flags.chunk > 0 ? flags.chunk : UINT32_MAX, context->max_chunk());
    // Logits of the last `count` of these ids; where the device is lost, the others run again before them.
    const auto forward = [&](std::span<const int32_t> ids, size_t count) {
        return session.device->surviving([&] {
            const size_t held = context->tokens(0).size(), before = ids.size() - count;
            if (held < before)
                model.forward(*context, 0, ids.subspan(held, before - held), true, most,
                              platform::interrupted);
            return model.forward(*context, 0, ids.last(count), flags.last, 0, platform::interrupted);
        });
    };
    std::vector<float> rows;
    uint32_t chunk = 0;
    for (size_t done = 0; done < tokens.size(); done += chunk) {
        chunk = context->chunk_at(tokens.subspan(done), most);
        rows = forward(tokens.first(done + chunk), chunk);
        if (!flags.last)
            file.write(rows);
    }
    std::span<const float> last = std::span(rows).last(vocab);
    if (flags.last)
        file.write(last);

    std::vector<int32_t> generated, all(tokens.begin(), tokens.end());
    for (uint32_t i = 0; i < flags.generate; ++i) {
        generated.push_back(likeliest(last));
        all.push_back(generated.back());
        rows = forward(all, 1);
        last = rows;
        file.write(last);
    }
    file.finish();
    if (flags.generate > 0)
        put_json(generated, false);
    return kExitDone;
}

}  // namespace

Command add_logits(CLI::App& app) {
    const auto flags = std::make_shared<LogitsFlags>();
    flags->as_needed = true;
    add_model_flag(app, *flags);
    add_text(app, "--tokens", "ID,...", "Token ids, the beginning-of-text token included",
             [=](const std::string& text) { flags->tokens = parse_tokens(text); })
        ->required();
    add_image_flag(app, *flags);
    add_text(app, "--out", "FILE.npy", "Where to write float32 logits [tokens, vocabulary]",
             [=](const std::string& text) { flags->out = text; })
        ->required();
    app.add_flag("--last", flags->last, "Write the last token's row only");
    add_text(app, "--chunk", "N", "Run N tokens at a time; 1 = each through the cache",
             [=](const std::string& text) {
                 flags->chunk = static_cast<uint32_t>(parse_count("--chunk", text, 1, 1'000'000));
             });
    add_text(app, "--gen", "N", "Go on with the N likeliest ids, print them and append their rows",
             [=](const std::string& text) {
                 flags->generate = static_cast<uint32_t>(parse_count("--gen", text, 0, 1'000'000));
             });
    add_context_flags(app, *flags);
    add_device_flags(app, *flags);
    add_verbose_flag(app, *flags);
    return [=] { return logits(*flags); };
}

}  // namespace olivine
