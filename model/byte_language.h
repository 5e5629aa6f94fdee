// Regular languages over bytes: expressions, whose derivatives are the states of an automaton.
//
// The derivative of a language by a byte is what may follow that byte (Brzozowski, 1964). Equal
// expressions are one number, so the automaton is made state by state as texts are read, and a
// string of at most 200 characters costs only the states that somebody has reached. Libraries build
// the whole of it first: libfa needs minutes for 50 counted UTF-8 characters, and RE2 does not show
// its states.
//
// There is no complement and no intersection: every expression but kNone has a text, so that what
// is not kNone after some bytes can always be finished.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace olivine {

using ByteSet = std::bitset<256>;

class ByteLanguages {
public:
    using Id = uint32_t;
    static constexpr Id kNone = 0;   // no text at all
    static constexpr Id kEmpty = 1;  // only the text without bytes
    static constexpr uint32_t kUnbounded = UINT32_MAX;

    // Texts with other bytes than these are in no language.
    explicit ByteLanguages(const ByteSet& alphabet);

    Id literal(std::string_view text);
    Id one_of(const ByteSet& set);
    Id range(uint8_t first, uint8_t last);
    Id sequence(const std::vector<Id>& parts);
    Id either(const std::vector<Id>& parts);
    // times: between least and most; the empty text is not in `part`.
    Id repeat(Id part, uint32_t least, uint32_t most);
    Id optional(Id part) { return either({part, kEmpty}); }

    bool may_end(Id language) const { return nodes_[language].may_end; }
    Id derivative(Id language, uint8_t byte);
    // One that begins and ends as this does as far as `bytes` bytes tell, with smaller counts:
    // places of a text whose counts are far from their limits become one.
    Id as_far_as(Id language, uint32_t bytes);

    // Bytes that no language made so far, and no derivative of one, tells apart have the same
    // number.
    std::array<uint8_t, 256> classes() const;
    size_t size() const { return nodes_.size(); }

private:
    enum class Kind : uint8_t { none, empty, literal, set, sequence, either, repeat };
    // literal: text, offset. set: its bits. sequence: first, rest. either: parts. repeat: part,
    // least, most.
    using Key = std::pair<Kind, std::vector<uint32_t>>;
    struct Node {
        const Key* key;
        bool may_end;
    };
    Id intern(Kind kind, std::vector<uint32_t> of, bool may_end);
    Id then(Id first, Id rest);

    ByteSet alphabet_;
    std::vector<std::string> texts_;  // of literals
    std::map<Key, Id> ids_;
    std::vector<Node> nodes_;
    std::map<std::pair<Id, uint32_t>, Id> shortened_;  // as_far_as()
};

}  // namespace olivine
