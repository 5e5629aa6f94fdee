#include "model/constraint.h"

#include <algorithm>
#include <cassert>

#include "engine/error.h"
#include "model/json_schema.h"
#include "model/utf8.h"

namespace olivine {
namespace {

constexpr Constraint::State kDead = UINT32_MAX, kUnknown = UINT32_MAX - 1;
constexpr size_t kMostMasks = 256;  // that are kept: 8 MiB of a real vocabulary

bool has_bit(std::span<const uint32_t> mask, int32_t id) {
    const auto at = static_cast<uint32_t>(id);
    return at / 32 < mask.size() && (mask[at / 32] >> (at % 32) & 1);
}

}  // namespace

Vocabulary::Vocabulary(const Tokenizer& tokenizer)
    : size_(static_cast<uint32_t>(tokenizer.size())) {
    std::vector<std::pair<std::string, int32_t>> all;
    for (int32_t id = 0; id < tokenizer.size(); ++id)
        if (std::string bytes = tokenizer.bytes(id); !bytes.empty())
            all.emplace_back(std::move(bytes), id);
    std::ranges::sort(all);
    place_.assign(size_, UINT32_MAX);
    std::string_view before;
    for (const auto& [bytes, id] : all) {
        const auto shared = std::ranges::mismatch(before, bytes).in1 - before.begin();
        const auto length = static_cast<uint32_t>(bytes.size());
        place_[static_cast<uint32_t>(id)] = static_cast<uint32_t>(tokens_.size());
        tokens_.push_back(
            {id, static_cast<uint32_t>(text_.size()), length, static_cast<uint32_t>(shared)});
        text_ += bytes;
        if (length == 1)
            bytes_.push_back(id);
        longest_ = std::max(longest_, length);
        before = bytes;
    }
}

std::string_view Vocabulary::bytes(int32_t id) const {
    const uint32_t place = id >= 0 && static_cast<uint32_t>(id) < size_
                               ? place_[static_cast<uint32_t>(id)]
                               : UINT32_MAX;
    return place < tokens_.size() ? text().substr(tokens_[place].begin, tokens_[place].length) : "";
}

ByteSet Vocabulary::spelled(std::span<const uint32_t> allowed) const {
    ByteSet set;
    for (const int32_t id : bytes_)
        if (allowed.empty() || has_bit(allowed, id))
            set.set(static_cast<uint8_t>(bytes(id)[0]));
    return set;
}

Constraint::Constraint(std::shared_ptr<const Vocabulary> vocabulary,
                       std::span<const uint32_t> allowed)
    : vocabulary_(std::move(vocabulary)),
      allowed_(allowed.begin(), allowed.end()),
      languages_(vocabulary_->spelled(allowed)) {}

std::shared_ptr<Constraint> Constraint::choices(std::shared_ptr<const Vocabulary> vocabulary,
                                                std::span<const std::string> texts,
                                                std::span<const uint32_t> allowed) {
    std::shared_ptr<Constraint> made(new Constraint(std::move(vocabulary), allowed));
    if (texts.empty())
        fail(Fault::bad_input, "There is no text to choose.");
    std::vector<ByteLanguages::Id> parts;
    size_t bytes = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
        if (texts[i].empty() || utf8_valid_prefix(texts[i]) != texts[i].size())
            fail(Fault::bad_input, "Choice %zu is %s.", i,
                 texts[i].empty() ? "empty" : "not valid UTF-8");
        bytes += texts[i].size();
        parts.push_back(made->languages_.literal(texts[i]));
        if (parts.back() == ByteLanguages::kNone)
            fail(Fault::bad_input, "The tokens that are allowed do not suffice for choice %zu.", i);
    }
    if (bytes > kMostChoiceBytes)
        fail(Fault::unsupported, "The choices have %zu bytes together (at most %zu).", bytes,
             kMostChoiceBytes);
    made->start(made->languages_.either(parts));
    return made;
}

std::shared_ptr<Constraint> Constraint::json(std::shared_ptr<const Vocabulary> vocabulary,
                                             std::string_view schema,
                                             std::span<const uint32_t> allowed) {
    std::shared_ptr<Constraint> made(new Constraint(std::move(vocabulary), allowed));
    const ByteLanguages::Id language = read_json_schema(made->languages_, schema);
    if (language == ByteLanguages::kNone)
        fail(Fault::bad_input,
             "The tokens that are allowed do not suffice for any value of the schema.");
    made->start(language);
    return made;
}

void Constraint::start(ByteLanguages::Id language) {
    class_of_ = languages_.classes();
    classes_ = *std::ranges::max_element(class_of_) + 1u;
    state_of(language);
}

Constraint::State Constraint::state_of(ByteLanguages::Id language) {
    if (language == ByteLanguages::kNone)
        return kDead;
    const auto [at, is_new] = state_of_.try_emplace(language, static_cast<State>(states_.size()));
    if (is_new) {
        states_.push_back(language);
        next_.resize(next_.size() + classes_, kUnknown);
    }
    return at->second;
}

Constraint::State Constraint::next(State state, uint8_t byte) {
    const size_t at = size_t{state} * classes_ + class_of_[byte];
    if (next_[at] == kUnknown) {
        const State found = state_of(languages_.derivative(states_[state], byte));
        next_[at] = found;  // which may have moved
    }
    return next_[at];
}

Constraint::Mask Constraint::mask(State state) {
    const std::lock_guard lock(mutex_);
    // No token reads further than the longest.
    const State near = state_of(languages_.as_far_as(states_[state], vocabulary_->longest()));
    if (const auto known = masks_.find(near); known != masks_.end())
        return known->second;
    if (masks_.size() == kMostMasks)
        masks_.clear();
    return masks_[near] = std::make_shared<const std::vector<uint32_t>>(make_mask(near));
}

std::vector<uint32_t> Constraint::make_mask(State state) {
    std::vector<uint32_t> mask(vocabulary_->mask_words());
    std::vector<State> reached(vocabulary_->longest() + 1);  // behind so many bytes of a token
    reached[0] = state;
    uint32_t alive = 0;  // bytes that the last token got through
    for (const Vocabulary::Token& token : vocabulary_->tokens()) {
        if (token.shared > alive)  // it has the byte that the last one failed at
            continue;
        for (alive = token.shared; alive < token.length; ++alive) {
            const State there = next(
                reached[alive], static_cast<uint8_t>(vocabulary_->text()[token.begin + alive]));
            if (there == kDead)
                break;
            reached[alive + 1] = there;
        }
        if (alive == token.length)
            mask[static_cast<uint32_t>(token.id) / 32] |= 1u << (token.id % 32);
    }
    for (size_t w = 0; !allowed_.empty() && w < mask.size(); ++w)
        mask[w] &= w < allowed_.size() ? allowed_[w] : 0;
    return mask;
}

Constraint::State Constraint::after(State state, int32_t id) {
    const std::lock_guard lock(mutex_);
    const std::string_view bytes = vocabulary_->bytes(id);
    State now = bytes.empty() ? kDead : state;
    for (const char byte : bytes)
        if (now != kDead)
            now = next(now, static_cast<uint8_t>(byte));
    if (now == kDead)
        fail(Fault::internal, "The token %d has been drawn, which the constraint does not allow.",
             id);
    return now;
}

bool Constraint::may_end(State state) const {
    const std::lock_guard lock(mutex_);
    return languages_.may_end(states_[state]);
}

bool Constraint::complete(State state) const {
    const std::lock_guard lock(mutex_);
    return states_[state] == ByteLanguages::kEmpty;
}

}  // namespace olivine
