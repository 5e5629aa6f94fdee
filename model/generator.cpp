#include "model/generator.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <utility>

#include "engine/error.h"

namespace olivine {
namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

Generator::Generator(Model& model, const ContextOptions& options, Model* draft)
    : model_(model),
      options_(options),
      context_(model.device(), [this](std::optional<Context>& made) { made.emplace(model_, options_); }),
      drafts_(options.drafts) {
    if (draft && drafts_ > 0)
        drafter_ = std::make_unique<Drafter>(*draft, context_->context(), options.kv);
    const uint32_t vocab = model.config().vocab_size;
    allowed_.assign(Sampling::mask_words(vocab), 0xffffffffu);
    if (vocab % 32 != 0)
        allowed_.back() = (1u << (vocab % 32)) - 1;
    for (const std::optional<int32_t>& id :
         {model.config().boi_id, model.config().eoi_id, model.config().image_token_id})
        if (id)
            forbid(std::span(&*id, 1));
}

// One step of the only sequence that decodes, with guesses while they pay.
std::vector<int32_t> Generator::guess_and_step(const Answer& answer, DraftLength& length,
                                               const Cancelled& cancelled) {
    const auto& [request, sequence, result, ended, state] = answer;
    // To come, the id that the next step gives included.
    const uint32_t wanted = request.max_tokens > 0
                                ? request.max_tokens - static_cast<uint32_t>(result.ids.size())
                                : UINT32_MAX;
    // The last position is left to a step without guesses: a full context ends the answer.
    const size_t room = context_->context() - context_->tokens(sequence).size();
    // A step gives one id more than were guessed right.
    const uint32_t most = static_cast<uint32_t>(
        std::min<size_t>({length.next(), wanted - 1, room > 2 ? room - 2 : 0}));
    const uint64_t recordings = model_.device().counters().recordings;
    std::vector<int32_t> drafts, text;
    if (most > 0) {
        text = context_->tokens(sequence);
        text.push_back(result.ids.back());
        if (drafter_)
            drafter_->read(text, cancelled);  // what came while it rested, which is no cost of this step
    }
    const auto begin = std::chrono::steady_clock::now();
    if (most > 0)
        drafts = drafter_ ? drafter_->guess(text, most, request.sampler, allowed_next(answer), cancelled)
                          : look_up(text, most);
    const std::span<const int32_t> drawn =
        drafts.empty() ? context_->step(std::min(wanted, std::max(1u, length.pause())))
                       : context_->step_with(drafts);
    const std::vector<int32_t> ids(drawn.begin(), drawn.end());
    const uint32_t drafted = static_cast<uint32_t>(drafts.size());
    const uint32_t accepted = static_cast<uint32_t>(ids.size()) - 1;
    const bool recorded = model_.device().counters().recordings != recordings;
    length.measured(drafted, accepted, recorded ? 0 : seconds_since(begin));
    stats_.drafted_tokens += drafted;
    stats_.accepted_tokens += accepted;
    return ids;
}

// The sequences move by way of the host, and what decodes goes on.
void Generator::set_lean(bool lean) {
    Context::Away away = context_->put_away();
    context_.drop();
    const auto make = [&](bool how) {
        options_.lean = how;
        model_.set_context(options_);
        context_.make();
        context_->take(std::move(away));
    };
    try {
        make(lean);
    } catch (const Error&) {  // it has had room before
        make(!lean);
        throw;
    }
}

void Generator::set_budget(uint64_t bytes) {
    const bool may_be_lean = context_->decoding().size() <= 1 && !drafter_;
    const auto set = [&](bool lean) {
        ContextOptions options = options_;
        options.lean = lean;
        model_.set_context(options);
        try {
            model_.set_budget(bytes);
            return true;
        } catch (const Error& error) {
            model_.set_context(options_);
            if (error.fault() != Fault::out_of_memory || lean || !may_be_lean)
                throw;
            return false;
        }
    };
    if (set(false)) {
        if (options_.lean)
            set_lean(false);
        return;
    }
    // What waits with the host is away before the budget falls.
    const bool was_lean = options_.lean;
    if (!was_lean)
        set_lean(true);
    try {
        set(true);
    } catch (const Error&) {
        if (!was_lean)
            set_lean(false);
        throw;
    }
}

void Generator::forbid(std::span<const int32_t> ids) {
    for (int32_t id : ids)
        if (id >= 0 && static_cast<uint32_t>(id) < model_.config().vocab_size)
            allowed_[static_cast<uint32_t>(id) / 32] &= ~(1u << (id % 32));
}

// What an answer may go on with, [vocab] bits.
std::vector<uint32_t> Generator::allowed_next(const Answer& answer) const {
    const GenerateRequest& request = answer.request;
    std::vector<uint32_t> mask = allowed_;
    const auto only = [&](std::span<const uint32_t> ids) {
        for (size_t w = 0; w < mask.size(); ++w)
            mask[w] &= w < ids.size() ? ids[w] : 0;
    };
    if (!request.allowed.empty())
        only(request.allowed);
    if (request.constraint)
        only(*request.constraint->mask(answer.state));
    const bool may_end = !request.constraint || request.constraint->may_end(answer.state);
    for (const int32_t id : request.stop_ids) {
        const auto at = static_cast<uint32_t>(id);
        if (at >= model_.config().vocab_size)
            continue;
        const uint32_t bit = 1u << (at % 32);
        mask[at / 32] = (mask[at / 32] & ~bit) | (may_end ? allowed_[at / 32] & bit : 0);
    }
    if (std::ranges::none_of(mask, [](uint32_t word) { return word != 0; }))
        fail(Fault::bad_input, "No id is allowed at token %zu of the answer.", answer.result.ids.size());
    return mask;
}

// Runs what of a sequence's text is in no cache yet. False when it was stopped; the chunks that ran stay.
bool Generator::prefill(std::span<const Answer> answers, std::span<const std::vector<int32_t>> texts,
                        uint32_t prompt, const Cancelled& cancelled) {
    const GenerateRequest& request = answers[prompt].request;
    const uint32_t sequence = answers[prompt].sequence;
    const std::vector<int32_t>& text = texts[prompt];
    const std::vector<int32_t>& held = context_->tokens(sequence);
    const uint32_t all = static_cast<uint32_t>(text.size());
    // The last token runs for its logits, or the picture it is of.
    const uint32_t last = all - (text.back() < 0 ? model_.config().mm_tokens_per_image : 1);
    // What another sequence can give of this text, if it is more than this one has.
    const auto gives = [&](uint32_t s) {
        return std::min(last, context_->reach(s, common(text, context_->tokens(s))));
    };
    uint32_t donor = sequence, most_given = gives(sequence);
    for (uint32_t s = 0; s < context_->sequences() && context_->can_fork(); ++s)
        if (const uint32_t given = gives(s); given > most_given) {
            donor = s;
            most_given = given;
        }
    if (donor != sequence)
        context_->fork(donor, sequence, most_given);
    uint32_t kept = context_->rewind(sequence, common(text, held));
    if (kept == all && !context_->has_logits(sequence))  // which a checkpoint would have
        kept = context_->rewind(sequence, last);
    stats_.cached_tokens += kept;
    if (request.checkpoints)
        context_->keep(sequence);

    // Where later texts of this sequence, and those of sequences to come, go on otherwise.
    std::vector<uint32_t> branches(answers.size());
    branches[prompt] = request.checkpoints ? common(text, request.beginning) : 0;
    for (uint32_t p = prompt + 1; p < answers.size(); ++p)
        branches[p] = common(text, texts[p]);
    try {
        while (held.size() < all) {
            const uint32_t done = static_cast<uint32_t>(held.size());
            uint32_t most = context_->pace();
            for (const uint32_t branch : branches)
                if (branch > done)
                    most = std::min(most, branch - done);
            const std::span<const int32_t> rest = std::span(text).subspan(done);
            const uint32_t count = context_->chunk_at(rest, most);
            context_->prefill(sequence, rest.first(count), done + count == all, cancelled);
            if (branches[prompt] == held.size())
                context_->keep(sequence);
            for (uint32_t p = prompt + 1; p < answers.size(); ++p) {
                const uint32_t other = answers[p].sequence;
                if (branches[p] == held.size() &&
                    context_->reach(other, common(texts[p], context_->tokens(other))) < held.size())
                    context_->fork(sequence, other, branches[p]);
            }
        }
    } catch (const Error& error) {
        if (error.fault() != Fault::cancelled)
            throw;
        return false;
    }
    if (request.checkpoints)
        context_->keep(sequence);
    return true;
}

// From wherever the answers are: the context may have been made anew.
void Generator::go_on(std::span<Answer> answers, const OnToken& on_token, const Cancelled& cancelled) {
    for (const uint32_t sequence : context_->decoding())  // of a batch that an error ended
        context_->leave(sequence);
    std::vector<std::vector<int32_t>> texts;  // empty where the answer has ended
    for (const Answer& answer : answers) {
        std::vector<int32_t>& text = texts.emplace_back();
        if (answer.ended)
            continue;
        text = answer.request.prompt;
        text.insert(text.end(), answer.result.ids.begin(), answer.result.ids.end());
    }
    const auto stop_all = [&] {  // a stop is an end, not a failure
        for (Answer& answer : answers)
            if (!std::exchange(answer.ended, true)) {
                answer.result.end = EndReason::caller;
                context_->leave(answer.sequence);
            }
    };
    auto begin = std::chrono::steady_clock::now();
    for (uint32_t p = 0; p < answers.size(); ++p) {
        if (answers[p].ended)
            continue;
        const bool ran = prefill(answers, texts, p, cancelled);
        if (ran && drafter_ && answers.size() == 1)
            drafter_->read(texts[p], cancelled);
        if (ran)
            continue;
        stop_all();
        stats_.prefill_seconds += seconds_since(begin);
        return;
    }
    stats_.prefill_seconds += seconds_since(begin);

    begin = std::chrono::steady_clock::now();
    // Takes an id into a prompt's answer, and the sequence out of the batch where the answer ends.
    const auto take = [&](uint32_t p, int32_t id) {
        const GenerateRequest& request = answers[p].request;
        GenerateResult& result = answers[p].result;
        const uint32_t sequence = answers[p].sequence;
        result.ids.push_back(id);
        ++stats_.drawn_tokens;
        const bool stop_id = std::find(request.stop_ids.begin(), request.stop_ids.end(), id) !=
                             request.stop_ids.end();
        if (request.constraint && !stop_id)
            answers[p].state = request.constraint->after(answers[p].state, id);
        const bool stop =
            stop_id || (request.constraint && request.constraint->complete(answers[p].state));
        const auto leave = [&](EndReason reason) {
            result.end = reason;
            answers[p].ended = true;
            context_->leave(sequence);
        };
        // Before it is told: that may end in an error, after which the other answers go on.
        if (stop)
            leave(EndReason::stop_id);
        else if (request.max_tokens > 0 && result.ids.size() >= request.max_tokens)
            leave(EndReason::max_tokens);
        else if (context_->tokens(sequence).size() >= context_->context())
            leave(EndReason::context_full);
        const bool wanted = !on_token || on_token(p, id);
        if (!stop && (!wanted || (cancelled && cancelled())))
            leave(EndReason::caller);
        if (request.constraint && !answers[p].ended)
            context_->allow(sequence, allowed_next(answers[p]));
    };
    for (uint32_t p = 0; p < answers.size(); ++p)
        if (const GenerateRequest& request = answers[p].request; !answers[p].ended)
            take(p, context_->join(answers[p].sequence, request.sampler, allowed_next(answers[p]),
                                   request.stop_ids));
    const uint32_t first = answers.front().sequence;
    DraftLength length(drafts_);
    for (;;) {
        const std::vector<uint32_t> sequences = context_->decoding();
        if (sequences.empty())
            break;
        // What a constraint allows next hangs on what has been drawn.
        const bool one_by_one = std::ranges::any_of(
            sequences, [&](uint32_t s) { return bool(answers[s - first].request.constraint); });
        if (sequences.size() == 1 && drafts_ > 0 && !one_by_one) {
            const uint32_t prompt = sequences.front() - first;
            for (const int32_t id : guess_and_step(answers[prompt], length, cancelled)) {
                take(prompt, id);
                if (context_->decoding().empty())
                    break;  // a stop id: nothing follows it
            }
            continue;
        }
        // Until the first of them has all its tokens.
        uint32_t expected = one_by_one ? 1 : UINT32_MAX;
        for (const uint32_t s : sequences)
            if (const uint32_t most = answers[s - first].request.max_tokens; most > 0)
                expected =
                    std::min(expected, most - static_cast<uint32_t>(answers[s - first].result.ids.size()));
        std::vector<int32_t> ids;
        try {
            const std::span<const int32_t> drawn = context_->step(expected, cancelled);
            ids.assign(drawn.begin(), drawn.end());
        } catch (const Error& error) {
            if (error.fault() != Fault::cancelled)
                throw;
            stop_all();
            break;
        }
        for (size_t i = 0; i < ids.size(); ++i)
            take(sequences[i] - first, ids[i]);
    }
    stats_.decode_seconds += seconds_since(begin);
}

std::vector<GenerateResult> Generator::generate(std::span<const GenerateRequest> requests,
                                                const OnToken& on_token, const Cancelled& cancelled,
                                                uint32_t first) {
    stats_ = {};
    Device& device = model_.device();
    std::vector<Answer> answers;
    device.surviving([&] {
        assert(!requests.empty() && first + requests.size() <= context_->sequences());
        for (const GenerateRequest& request : requests) {
            if (request.prompt.empty())
                fail(Fault::bad_input, "The prompt is empty.");
            if (request.prompt.size() > context_->context())
                fail(Fault::bad_input, "The prompt has %zu tokens, the context %u positions.",
                     request.prompt.size(), context_->context());
            context_->check(request.prompt);
            validate(request.sampler);
        }
        if (answers.empty())
            for (const GenerateRequest& request : requests) {
                stats_.prompt_tokens += static_cast<uint32_t>(request.prompt.size());
                answers.push_back({.request = request,
                                   .sequence = first + static_cast<uint32_t>(answers.size()),
                                   .result = {},
                                   .state = request.constraint_state});
            }
        go_on(answers, on_token, cancelled);
    });
    std::vector<GenerateResult> results;
    for (Answer& answer : answers)
        results.push_back(std::move(answer.result));
    return results;
}

}  // namespace olivine
