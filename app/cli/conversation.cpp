#include "app/cli/conversation.h"

#include <algorithm>
#include <utility>

#include "app/cli/output.h"
#include "app/cli/pictures.h"
#include "engine/error.h"

namespace olivine {

Conversation::Conversation(const Flags& flags)
    : flags_(flags),
      verbose_(flags.verbose),
      trace_(open_trace(flags)),
      session_(open_session(session_options(flags, trace_.get()))),
      generator_(*session_.model, flags.context, session_.draft.get()),
      chat_(generator_, *session_.tokenizer, flags.chat_options()) {
    loading_ = session_.model->unread() > 0;
    if (verbose_)
        note("seed " + std::to_string(chat_.options().sampler.seed));
}

void Conversation::attach(std::span<const Picture> pictures, std::span<const std::string> names) {
    if (pictures.empty())
        return;
    require_vision(flags_, session_.model->config());
    EncodeProgress progress(pictures.size() > 1 ? std::to_string(pictures.size()) + " pictures"
                                                : names[0]);
    session_.model->vision(progress.loading());
    chat_.attach(pictures, names, progress.options());
    if (!verbose_)
        return;
    for (size_t i = 0; i < pictures.size(); ++i)
        note(format_text("%s: %u x %u pixels", names[i].c_str(), pictures[i].width,
                         pictures[i].height));
    note(format_text("encoded in %.2f s of the device", session_.model->vision().seconds().total()));
}

void Conversation::report() {
    const uint32_t context = generator_.context().context();
    if (chat_.forgot() > 0)
        note(
            format_text("the context of %u tokens was full: the model no longer sees the first %u "
                        "of %zu turns.",
                        context, chat_.forgotten_turns(), chat_.turns().size()));
    if (chat_.last_end() == EndReason::context_full)
        note(format_text("the answer ends here: the context of %u tokens is full.", context));
    if (!verbose_)
        return;
    const GenerateStats& stats = chat_.stats();
    const auto per_second = [](uint32_t tokens, double seconds) {
        return seconds > 0 ? tokens / seconds : 0.0;
    };
    const uint32_t run = stats.prompt_tokens - std::min(stats.cached_tokens, stats.prompt_tokens);
    // The first token is drawn from the prompt's logits: it costs no decode step.
    const uint32_t steps = stats.drawn_tokens > 0 ? stats.drawn_tokens - 1 : 0;
    note(
        format_text("prompt %u tokens (%u cached) in %.3f s%s, %.1f tokens/s, answer %u tokens at %.1f "
                    "tokens/s, context %u of %u",
                    stats.prompt_tokens, stats.cached_tokens,
                    stats.prefill_seconds,
                    std::exchange(loading_, false) ? " with reading the model" : "",
                    per_second(run, stats.prefill_seconds), stats.drawn_tokens,
                    per_second(steps, stats.decode_seconds), chat_.context_used(), context));
    if (stats.drafted_tokens > 0)
        note(format_text("%u tokens guessed, %u of them right", stats.drafted_tokens, stats.accepted_tokens));
}

}  // namespace olivine
