// What a context knows of the past of its sequences: going back, checkpoints, forks, saving and loading.
#include <algorithm>
#include <cassert>
#include <cstring>
#include <functional>
#include <iterator>
#include <utility>

#include "engine/error.h"
#include "model/context.h"

namespace olivine {

uint32_t common(std::span<const int32_t> a, std::span<const int32_t> b) {
    return static_cast<uint32_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

uint32_t Context::rewind(uint32_t sequence, uint32_t length) {
    leave(sequence);
    std::vector<int32_t>& held = held_[sequence];
    length = reach(sequence, length);
    if (length < held.size()) {
        if (length > 0)
            seat(sequence);
        const auto shorten = [&](uint32_t to) {
            has_logits_[sequence] = false;
            held.resize(to);
            parked_[sequence].clear();
            if (here(sequence))
                cache_.trim(seat_of(sequence), to);
            std::erase_if(checkpoints_[sequence], [&](const Checkpoint& each) { return each.length > to; });
            if (to == 0)
                written_[sequence] = 0;
        };
        try {
            if (length > 0 && !cache_.can_rewind(written_[sequence], length))
                restore(sequence, *checkpoint(sequence, length));
        } catch (const Error&) {  // the rings are neither this nor that
            shorten(0);
            throw;
        }
        shorten(length);
    }
    const Checkpoint* const here = checkpoint(sequence, length);
    if (here && here->length == length && !here->logits.empty() && !has_logits_[sequence]) {
        seat(sequence);
        write(model_.device(), logits_row(sequence).slice, std::as_bytes(std::span(here->logits)));
        has_logits_[sequence] = true;
    }
    return length;
}

uint32_t Context::reach(uint32_t sequence, uint32_t length) const {
    const uint32_t held = static_cast<uint32_t>(held_[sequence].size());
    if (length >= held)
        return held;
    if (cache_.can_rewind(written_[sequence], length))
        return length;
    const Checkpoint* const before = checkpoint(sequence, length);
    return before ? before->length : 0;
}

// The last one up to `length`, or null.
const Context::Checkpoint* Context::checkpoint(uint32_t sequence, uint32_t length) const {
    const std::vector<Checkpoint>& all = checkpoints_[sequence];
    const auto beyond =
        std::ranges::find_if(all, [&](const Checkpoint& each) { return each.length > length; });
    return beyond == all.begin() ? nullptr : &*std::prev(beyond);
}

// Only the rings: pages of global layers are those of the sequence's first tokens anyway.
void Context::restore(uint32_t sequence, const Checkpoint& from) {
    write(model_.device(), cache_.stored(seat_of(sequence), from.length, KvPart::rings), from.rings);
    // As if the rings had run on as far as they can without losing what is in `from`.
    written_[sequence] = from.length + max_chunk() - 1;
}

void Context::keep(uint32_t sequence) {
    const uint32_t length = static_cast<uint32_t>(held_[sequence].size());
    const uint64_t logits_bytes = has_logits_[sequence] ? logits_.cols * sizeof(float) : 0;
    const uint64_t ring_bytes = cache_.stored_bytes(length, KvPart::rings);
    // A chunk that was stopped may have taken the first of those positions.
    const bool whole = cache_.can_rewind(written_[sequence] + 1, length);
    if (length == 0 || !parked_[sequence].empty() || !whole || ring_bytes + logits_bytes > checkpoint_bytes_)
        return;
    std::vector<Checkpoint>& all = checkpoints_[sequence];
    if (all.empty() || all.back().length != length) {
        Checkpoint one{.length = length, .age = ++checkpoints_taken_, .rings = {}, .logits = {}};
        one.rings.resize(ring_bytes);
        read(model_.device(), cache_.stored(seat_of(sequence), length, KvPart::rings), one.rings);
        all.push_back(std::move(one));
    }
    if (has_logits_[sequence] && all.back().logits.empty()) {
        all.back().logits.resize(logits_.cols);
        read_logits(seat_of(sequence), 1, all.back().logits);
    }
    forget_oldest();
}

void Context::forget_oldest() {
    for (;;) {
        uint64_t bytes = 0;
        std::pair<uint64_t, uint32_t> oldest{UINT64_MAX, 0};  // age, sequence
        for (uint32_t s = 0; s < sequences_; ++s)
            for (const Checkpoint& each : checkpoints_[s]) {
                bytes += each.bytes();
                if (&each != &checkpoints_[s].front())
                    oldest = std::min(oldest, {each.age, s});
            }
        if (bytes <= checkpoint_bytes_)
            return;
        if (oldest.first == UINT64_MAX)  // one of each sequence
            for (uint32_t s = 0; s < sequences_; ++s)
                if (!checkpoints_[s].empty())
                    oldest = std::min(oldest, {checkpoints_[s].front().age, s});
        std::erase_if(checkpoints_[oldest.second],
                      [&](const Checkpoint& each) { return each.age == oldest.first; });
    }
}

uint32_t Context::fork(uint32_t from, uint32_t to, uint32_t length) {
    assert(from != to && can_fork());
    seat(from);
    rewind(to, 0);
    length = reach(from, length);
    if (length == 0)
        return 0;
    cache_.share(from, to, length);
    written_[to] = written_[from];
    if (!cache_.can_rewind(written_[from], length))
        restore(to, *checkpoint(from, length));
    held_[to].assign(held_[from].begin(), held_[from].begin() + length);
    return length;
}

namespace {

// Calls `part(slices, bytes)` with neighbours that take some MiB together.
void in_parts(const std::vector<Slice>& slices,
              const std::function<void(std::span<const Slice>, uint64_t)>& part) {
    constexpr uint64_t kPart = 8u << 20;
    for (size_t first = 0, last = 0; first < slices.size(); first = last) {
        uint64_t bytes = 0;
        for (; last < slices.size() && (last == first || bytes + slices[last].bytes <= kPart); ++last)
            bytes += slices[last].bytes;
        part(std::span(slices).subspan(first, last - first), bytes);
    }
}

}  // namespace

void Context::save(uint32_t sequence, const std::function<void(std::span<const std::byte>)>& put) const {
    if (!parked_[sequence].empty())
        return put(parked_[sequence]);
    std::vector<std::byte> bytes;
    in_parts(cache_.stored(seat_of(sequence), static_cast<uint32_t>(held_[sequence].size()), KvPart::all),
             [&](std::span<const Slice> slices, uint64_t count) {
                 bytes.resize(count);
                 read(model_.device(), slices, bytes);
                 put(bytes);
             });
}

void Context::load(uint32_t sequence, std::span<const int32_t> tokens,
                   const std::function<void(std::span<std::byte>)>& get) {
    assert(!tokens.empty() && tokens.size() <= context());
    rewind(sequence, 0);
    seat(sequence);
    held_[sequence].assign(tokens.begin(), tokens.end());
    try {
        store(sequence, get);
    } catch (...) {
        held_[sequence].clear();
        throw;
    }
}

// Writes all that a sequence holds, which is on the device from then on.
void Context::store(uint32_t sequence, const std::function<void(std::span<std::byte>)>& get) {
    const uint32_t length = static_cast<uint32_t>(held_[sequence].size());
    cache_.reserve(seat_of(sequence), 0, length);
    forget_old_plans();
    std::vector<std::byte> bytes;
    in_parts(cache_.stored(seat_of(sequence), length, KvPart::all),
             [&](std::span<const Slice> slices, uint64_t count) {
                 bytes.resize(count);
                 get(bytes);
                 write(model_.device(), slices, bytes);
             });
    written_[sequence] = length + max_chunk();  // nothing before it is sure to be there
}

// Brings a sequence to the device if it is not there, in a lean context in place of another.
void Context::seat(uint32_t sequence) {
    if (lean_ && seated_ != sequence) {
        park(seated_);
        seated_ = sequence;
    }
    if (parked_[sequence].empty())
        return;
    std::span<const std::byte> left = parked_[sequence];
    store(sequence, [&](std::span<std::byte> part) {
        std::memcpy(part.data(), left.data(), part.size());
        left = left.subspan(part.size());
    });
    parked_[sequence] = {};
}

// And to the host, if it holds anything there.
void Context::park(uint32_t sequence) {
    if (!held_[sequence].empty() && parked_[sequence].empty()) {
        std::vector<std::byte> bytes;
        bytes.reserve(saved_bytes(static_cast<uint32_t>(held_[sequence].size())));
        save(sequence,
             [&](std::span<const std::byte> part) { bytes.insert(bytes.end(), part.begin(), part.end()); });
        parked_[sequence] = std::move(bytes);
        written_[sequence] = static_cast<uint32_t>(held_[sequence].size()) + max_chunk();
    }
    has_logits_[sequence] = false;
    cache_.trim(seat_of(sequence), 0);
}

Context::Away Context::put_away() {
    for (uint32_t s = 0; s < sequences_; ++s)
        if (here(s))
            park(s);
    return {.held = std::move(held_),
            .parked = std::move(parked_),
            .checkpoints = std::move(checkpoints_),
            .decoding = std::move(decoding_)};
}

void Context::take(Away&& away) {
    assert(away.held.size() == sequences_);
    held_ = std::move(away.held);
    parked_ = std::move(away.parked);
    checkpoints_ = std::move(away.checkpoints);
    for (uint32_t s = 0; s < sequences_; ++s) {
        written_[s] = held_[s].empty() ? 0 : static_cast<uint32_t>(held_[s].size()) + max_chunk();
        for (const Checkpoint& each : checkpoints_[s])
            checkpoints_taken_ = std::max(checkpoints_taken_, each.age);
    }
    decoding_ = std::move(away.decoding);
    laid_out_ = false;
}

}  // namespace olivine
