#include "model/drafter.h"

#include <algorithm>
#include <cassert>

#include "engine/error.h"
#include "model/model.h"

namespace olivine {
namespace {

constexpr double kNoLimit = 1e9;  // nobody sees guesses come: all of them run in one submission

}  // namespace

Drafter::Drafter(Model& model, uint32_t context, KvType kv)
    : context_(model.device(),
               [&model, options = ContextOptions{.context = context, .chain_seconds = kNoLimit, .kv = kv}](
                   std::optional<Context>& made) { made.emplace(model, options); }),
      vocab_(model.config().vocab_size) {}

void Drafter::read(std::span<const int32_t> text, const Cancelled& cancelled) {
    if (text.size() > 1)
        run(text.first(text.size() - 1), false, cancelled);
}

std::vector<int32_t> Drafter::guess(std::span<const int32_t> text, uint32_t count,
                                    const SamplerOptions& sampler, std::span<const uint32_t> allowed,
                                    const Cancelled& cancelled) {
    assert(!text.empty());
    if (text.size() > context_->context())
        return {};
    count = static_cast<uint32_t>(std::min<size_t>(count, context_->context() - text.size() + 1));
    if (count == 0 || !run(text, true, cancelled))
        return {};
    std::vector<uint32_t> mask(allowed.begin(), allowed.end());
    mask.resize(Sampling::mask_words(vocab_));
    std::vector<int32_t> guesses = {context_->join(0, sampler, mask)};
    while (guesses.size() < count)
        guesses.push_back(context_->step(count - static_cast<uint32_t>(guesses.size())).front());
    context_->leave(0);
    return guesses;
}

// False when it was stopped.
bool Drafter::run(std::span<const int32_t> text, bool last_logits, const Cancelled& cancelled) {
    std::vector<int32_t> ids(text.begin(), text.end());
    for (int32_t& id : ids)
        if (id < 0 || static_cast<uint32_t>(id) >= vocab_)
            id = 0;  // <pad>
    if (ids.size() > context_->context())
        return false;
    // The last id runs in any case where its logits are wanted.
    const std::span<const int32_t> before = std::span(ids).first(ids.size() - last_logits);
    const uint32_t kept = context_->rewind(0, common(before, context_->tokens(0)));
    const std::span<const int32_t> rest = std::span(ids).subspan(kept);
    for (size_t done = 0; done < rest.size();) {
        const size_t count = std::min<size_t>(context_->pace(), rest.size() - done);
        const bool last = done + count == rest.size();
        try {
            context_->prefill(0, rest.subspan(done, count), last && last_logits, cancelled);
        } catch (const Error& error) {  // the large model's answer ends by itself
            if (error.fault() != Fault::cancelled)
                throw;
            return false;
        }
        done += count;
    }
    return true;
}

}  // namespace olivine
