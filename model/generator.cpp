#include "model/generator.h"

#include <algorithm>
#include <cassert>
#include <chrono>

#include "engine/error.h"

namespace olivine {
namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

Generator::Generator(Model& model, const ContextOptions& options)
    : model_(model), context_(model, options) {
    const uint32_t vocab = model.config().vocab_size;
    allowed_.assign(Sampling::mask_words(vocab), 0xffffffffu);
    for (const std::optional<int32_t>& id :
         {model.config().boi_id, model.config().eoi_id, model.config().image_token_id})
        if (id)
            forbid(std::span(&*id, 1));
}

void Generator::forbid(std::span<const int32_t> ids) {
    for (int32_t id : ids)
        if (id >= 0 && static_cast<uint32_t>(id) < model_.config().vocab_size)
            allowed_[static_cast<uint32_t>(id) / 32] &= ~(1u << (id % 32));
}

std::vector<GenerateResult> Generator::generate(
    std::span<const GenerateRequest> requests,
    const std::function<bool(uint32_t prompt, int32_t id)>& on_token, const Cancelled& cancelled) {
    assert(!requests.empty() && requests.size() <= context_.sequences());
    stats_ = {};
    std::vector<SamplerOptions> samplers;
    for (const GenerateRequest& request : requests) {
        if (request.prompt.empty())
            fail(Fault::bad_input, "The prompt is empty.");
        if (request.prompt.size() > context_.context())
            fail(Fault::bad_input, "The prompt has %zu tokens, the context %u positions.",
                 request.prompt.size(), context_.context());
        context_.check(request.prompt);
        validate(request.sampler);
        samplers.push_back(request.sampler);
        stats_.prompt_tokens += static_cast<uint32_t>(request.prompt.size());
    }

    auto begin = std::chrono::steady_clock::now();
    for (uint32_t s = 0; s < requests.size(); ++s) {
        const std::vector<int32_t>& prompt = requests[s].prompt;
        const std::vector<int32_t>& held = context_.tokens(s);
        // The last token always runs, because its logits are wanted.
        const size_t most = std::min(prompt.size() - 1, held.size());
        const size_t shared =
            std::mismatch(prompt.begin(), prompt.begin() + static_cast<ptrdiff_t>(most), held.begin())
                .first -
            prompt.begin();
        const size_t kept = context_.rewind(s, static_cast<uint32_t>(shared));
        stats_.cached_tokens += static_cast<uint32_t>(kept);
        const std::span<const int32_t> rest = std::span(prompt).subspan(kept);
        try {
            uint32_t count = 0;
            for (size_t done = 0; done < rest.size(); done += count) {
                count = context_.chunk_at(rest.subspan(done), context_.max_chunk());
                context_.prefill(s, rest.subspan(done, count), done + count == rest.size(), cancelled);
            }
        } catch (const Error& error) {
            // A stop is an answer of no words, not a failure; the chunks that ran stay in the cache.
            if (error.fault() != Fault::cancelled)
                throw;
            stats_.prefill_seconds = seconds_since(begin);
            return std::vector<GenerateResult>(requests.size(), {{}, EndReason::caller});
        }
    }
    stats_.prefill_seconds = seconds_since(begin);

    std::vector<GenerateResult> results(requests.size());
    std::vector<bool> running(requests.size(), true);
    begin = std::chrono::steady_clock::now();
    std::span<const int32_t> drawn = context_.start(samplers, allowed_);
    for (;;) {
        bool any = false;
        for (uint32_t s = 0; s < requests.size(); ++s) {
            if (!running[s])
                continue;
            const GenerateRequest& request = requests[s];
            GenerateResult& result = results[s];
            result.ids.push_back(drawn[s]);
            ++stats_.drawn_tokens;
            const bool wanted = !on_token || on_token(s, drawn[s]);
            const bool stop = std::find(request.stop_ids.begin(), request.stop_ids.end(), drawn[s]) !=
                              request.stop_ids.end();
            if (stop)
                result.end = EndReason::stop_id;
            else if (!wanted || (cancelled && cancelled()))
                result.end = EndReason::caller;
            else if (request.max_tokens > 0 && result.ids.size() >= request.max_tokens)
                result.end = EndReason::max_tokens;
            else if (context_.tokens(s).size() >= context_.context())
                result.end = EndReason::context_full;
            else {
                any = true;
                continue;
            }
            running[s] = false;
        }
        if (!any)
            break;
        drawn = context_.step();
    }
    stats_.decode_seconds = seconds_since(begin);
    return results;
}

}  // namespace olivine
