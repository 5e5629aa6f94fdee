#include "model/byte_language.h"

#include <algorithm>
#include <cassert>

namespace olivine {
namespace {

std::vector<uint32_t> words_of(const ByteSet& set) {
    std::vector<uint32_t> words(8);
    for (uint32_t byte = 0; byte < 256; ++byte)
        words[byte / 32] |= uint32_t{set[byte]} << (byte % 32);
    return words;
}

bool holds(const std::vector<uint32_t>& words, uint8_t byte) {
    return words[byte / 32] >> (byte % 32) & 1;
}

}  // namespace

ByteLanguages::ByteLanguages(const ByteSet& alphabet) : alphabet_(alphabet) {
    intern(Kind::none, {}, false);
    intern(Kind::empty, {}, true);
}

ByteLanguages::Id ByteLanguages::intern(Kind kind, std::vector<uint32_t> of, bool may_end) {
    const auto [at, is_new] =
        ids_.try_emplace({kind, std::move(of)}, static_cast<Id>(nodes_.size()));
    if (is_new)
        nodes_.push_back({&at->first, may_end});  // a map moves no key
    return at->second;
}

ByteLanguages::Id ByteLanguages::literal(std::string_view text) {
    if (text.empty())
        return kEmpty;
    if (!std::ranges::all_of(text,
                             [&](char byte) { return alphabet_[static_cast<uint8_t>(byte)]; }))
        return kNone;
    texts_.emplace_back(text);
    return intern(Kind::literal, {static_cast<uint32_t>(texts_.size() - 1), 0}, false);
}

ByteLanguages::Id ByteLanguages::one_of(const ByteSet& set) {
    const ByteSet ours = set & alphabet_;
    return ours.none() ? kNone : intern(Kind::set, words_of(ours), false);
}

ByteLanguages::Id ByteLanguages::range(uint8_t first, uint8_t last) {
    ByteSet set;
    for (uint32_t byte = first; byte <= last; ++byte)
        set.set(byte);
    return one_of(set);
}

ByteLanguages::Id ByteLanguages::then(Id first, Id rest) {
    if (first == kNone || rest == kNone)
        return kNone;
    if (first == kEmpty)
        return rest;
    if (rest == kEmpty)
        return first;
    return intern(Kind::sequence, {first, rest}, may_end(first) && may_end(rest));
}

ByteLanguages::Id ByteLanguages::sequence(const std::vector<Id>& parts) {
    Id all = kEmpty;
    for (auto part = parts.rbegin(); part != parts.rend(); ++part)
        all = then(*part, all);
    return all;
}

ByteLanguages::Id ByteLanguages::either(const std::vector<Id>& parts) {
    std::vector<Id> flat;
    for (const Id part : parts) {
        const Key& key = *nodes_[part].key;
        if (key.first == Kind::either)
            flat.insert(flat.end(), key.second.begin(), key.second.end());
        else if (part != kNone)
            flat.push_back(part);
    }
    std::ranges::sort(flat);
    flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
    if (flat.size() < 2)
        return flat.empty() ? kNone : flat.front();
    const bool ends = std::ranges::any_of(flat, [&](Id part) { return may_end(part); });
    return intern(Kind::either, std::move(flat), ends);
}

ByteLanguages::Id ByteLanguages::repeat(Id part, uint32_t least, uint32_t most) {
    assert(least <= most && !may_end(part));
    if (most == 0 || part == kNone)
        return least == 0 ? kEmpty : kNone;
    if (least == 1 && most == 1)
        return part;
    return intern(Kind::repeat, {part, least, most}, least == 0);
}

ByteLanguages::Id ByteLanguages::derivative(Id language, uint8_t byte) {
    const auto& [kind, of] = *nodes_[language].key;
    switch (kind) {
    case Kind::none:
    case Kind::empty: return kNone;
    case Kind::literal: {
        const std::string& text = texts_[of[0]];
        if (static_cast<uint8_t>(text[of[1]]) != byte)
            return kNone;
        return of[1] + 1 == text.size() ? kEmpty : intern(kind, {of[0], of[1] + 1}, false);
    }
    case Kind::set: return holds(of, byte) ? kEmpty : kNone;
    case Kind::sequence: {
        const Id within = then(derivative(of[0], byte), of[1]);
        return may_end(of[0]) ? either({within, derivative(of[1], byte)}) : within;
    }
    case Kind::either: {
        std::vector<Id> parts;
        for (const Id part : of)
            parts.push_back(derivative(part, byte));
        return either(parts);
    }
    case Kind::repeat: {
        const Id begun = derivative(of[0], byte);
        if (begun == kNone)
            return kNone;
        return then(begun, repeat(of[0], of[1] > 0 ? of[1] - 1 : 0,
                                  of[2] == kUnbounded ? kUnbounded : of[2] - 1));
    }
    }
    return kNone;
}

ByteLanguages::Id ByteLanguages::as_far_as(Id language, uint32_t bytes) {
    assert(bytes > 0);
    const auto& [kind, of] = *nodes_[language].key;
    if (kind != Kind::sequence && kind != Kind::either && kind != Kind::repeat)
        return language;
    if (const auto known = shortened_.find({language, bytes}); known != shortened_.end())
        return known->second;
    Id result = kNone;
    if (kind == Kind::repeat) {
        // So many bytes hold at most as many parts.
        result = repeat(as_far_as(of[0], bytes), std::min(of[1], bytes),
                        of[2] >= bytes ? kUnbounded : of[2]);
    } else {
        std::vector<Id> parts;
        for (const Id part : of)
            parts.push_back(as_far_as(part, bytes));
        result = kind == Kind::either ? either(parts) : sequence(parts);
    }
    shortened_.emplace(std::pair(language, bytes), result);
    return result;
}

std::array<uint8_t, 256> ByteLanguages::classes() const {
    std::array<uint8_t, 256> number{};
    const auto tell_apart = [&](const auto& in_set) {
        std::map<std::pair<uint8_t, bool>, uint8_t> finer;
        for (uint32_t byte = 0; byte < 256; ++byte)
            number[byte] = finer
                               .try_emplace({number[byte], in_set(static_cast<uint8_t>(byte))},
                                            static_cast<uint8_t>(finer.size()))
                               .first->second;
    };
    ByteSet alone;
    for (const std::string& text : texts_)
        for (const char byte : text)
            alone.set(static_cast<uint8_t>(byte));
    for (uint32_t one = 0; one < 256; ++one)
        if (alone[one])
            tell_apart([&](uint8_t byte) { return byte == one; });
    for (const Node& node : nodes_)
        if (node.key->first == Kind::set)
            tell_apart([&](uint8_t byte) { return holds(node.key->second, byte); });
    return number;
}

}  // namespace olivine
