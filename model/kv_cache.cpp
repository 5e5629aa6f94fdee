#include "model/kv_cache.h"

#include <algorithm>
#include <cassert>
#include <cinttypes>
#include <functional>
#include <utility>

#include "engine/error.h"
#include "engine/recorder.h"

namespace olivine {
namespace {

constexpr uint32_t kPage = KvLayer::kPage;
constexpr uint32_t kGrowthPages = KvCache::kGrowth / kPage;

uint32_t pages_of(uint32_t positions) { return (positions + kPage - 1) / kPage; }

// The lowest one that is free: there is one.
uint32_t take_page(std::vector<uint32_t>& users) {
    const auto free = std::find(users.begin(), users.end(), 0u);
    assert(free != users.end());
    *free = 1;
    return static_cast<uint32_t>(free - users.begin());
}

}  // namespace

KvCache::KvCache(Device& device, const Config& config, const ContextOptions& options)
    : device_(device), config_(config),
      shape_{config.num_heads, config.num_kv_heads, config.head_dim}, type_(options.kv),
      sequences_(seats(options)), context_(context_length(config, options.context)),
      max_chunk_(chunk_length(config, options)), ring_slots_(ring_slots(config, options)),
      slot_bytes_(uint64_t{shape_.kv_heads} * kv_head_bytes(type_, shape_)) {
    ring_keys_.resize(config.num_layers);
    ring_values_.resize(config.num_layers);
    layers_.resize(config.num_layers);
    for (uint32_t i = 0; i < config.num_layers; ++i) {
        KvLayer& layer = layers_[i];
        layer.type = type_;
        if (config.global_layers[i])
            continue;
        layer.window = config.sliding_window;
        layer.capacity = ring_slots_;
        const uint64_t bytes = uint64_t{sequences_} * layer.capacity * slot_bytes_;
        if (bytes > device_.capabilities().max_range_bytes)
            fail(Fault::unsupported,
                 "The keys of layer %u take %" PRIu64 " bytes for %u sequences (the device binds %" PRIu64
                 " at most).",
                 i, bytes, sequences_, device_.capabilities().max_range_bytes);
        ring_keys_[i] = Buffer(device_, Arena::kv, bytes);
        ring_values_[i] = Buffer(device_, Arena::kv, bytes);
        layer.pieces = {{.keys = ring_keys_[i].slice(), .values = ring_values_[i].slice()}};
    }
    add_pools();
    make_pieces();
}

// As few pools as there can be, such that the device binds each.
void KvCache::add_pools() {
    if (std::ranges::none_of(config_.global_layers, std::identity{}))
        return;
    constexpr uint64_t kTableAlignment = 256;  // every device's offset_alignment divides it
    const Capabilities& caps = device_.capabilities();
    const uint64_t most = std::min(caps.max_range_bytes, caps.max_buffer_bytes);
    const uint64_t fit = most / slot_bytes_ / sequences_ / kPage * kPage;  // positions
    if (fit == 0)
        fail(Fault::unsupported,
             "The keys of %u sequences at %u positions are more than the device binds (%" PRIu64
             " bytes).",
             sequences_, kPage, most);
    const uint64_t each = std::min<uint64_t>(fit, context_);
    const uint64_t table_bytes = (uint64_t{sequences_} * pages_of(static_cast<uint32_t>(each)) * 4 +
                                  kTableAlignment - 1) /
                                 kTableAlignment * kTableAlignment;
    for (uint64_t first = 0; first < context_; first += fit) {
        Pool& pool = pools_.emplace_back();
        pool.first = static_cast<uint32_t>(first);
        pool.end = static_cast<uint32_t>(std::min<uint64_t>(first + fit, context_));
        pool.table.resize(sequences_);
        pool.keys.resize(config_.num_layers);
        pool.values.resize(config_.num_layers);
        pool.table_at = (pools_.size() - 1) * table_bytes;
    }
    tables_ = Buffer(device_, Arena::activations, pools_.size() * table_bytes);
}

uint32_t KvCache::pages_each(const Pool& pool) const { return pages_of(pool.end - pool.first); }

// What so many pages take. A single sequence has its pages in order, so that the last one is as long as
// the context needs.
uint64_t KvCache::slots(const Pool& pool, uint32_t pages) const {
    const uint64_t all = uint64_t{pages} * kPage;
    return sequences_ == 1 ? std::min<uint64_t>(all, pool.end - pool.first) : all;
}

// The pieces of global layers: the pools that have pages.
void KvCache::make_pieces() {
    ++generation_;
    for (uint32_t i = 0; i < layers_.size(); ++i) {
        if (!config_.global_layers[i])
            continue;
        KvLayer& layer = layers_[i];
        layer.pages = pages_each(pools_.front());  // of the last pool fewer are used
        layer.pieces.clear();
        for (const Pool& pool : pools_)
            if (pool.capacity > 0)
                layer.pieces.push_back(
                    {.keys = pool.keys[i].slice(),
                     .values = pool.values[i].slice(),
                     .pages = tables_.slice(pool.table_at, uint64_t{sequences_} * layer.pages * 4),
                     .first = pool.first,
                     .end = &pool == &pools_.back() ? UINT32_MAX : pool.end});
    }
}

// Makes a buffer larger, of which the first bytes are kept.
void KvCache::grow(Buffer& buffer, uint64_t kept, uint64_t bytes) {
    const uint64_t before = buffer.bytes();
    if (before >= bytes)
        return;
    try {
        Buffer larger(device_, Arena::kv, bytes);
        if (kept > 0) {
            Recorder recorder(device_, "grow");
            recorder.copy(buffer.slice(0, kept), larger.slice(0, kept));
            recorder.finish().run();
        }
        buffer = std::move(larger);
        return;
    } catch (const Error& error) {  // there may be room for the larger one alone
        if (error.fault() != Fault::out_of_memory || kept == 0)
            throw;
    }
    std::vector<std::byte> waiting(kept);
    read(device_, buffer.slice(0, kept), waiting);
    Buffer room;  // for writing it back
    if (!buffer.mapped())
        room = Buffer(device_, Arena::staging, std::min(kept, kCopyBytes), HostAccess::mapped);
    buffer = {};
    const auto again = [&](uint64_t size) {
        buffer = Buffer(device_, Arena::kv, size);
        room = {};
        write(device_, buffer.slice(0, kept), waiting);
    };
    try {
        again(bytes);
    } catch (const Error&) {  // or not: then it stays as it was
        try {
            again(before);
        } catch (const Error& error) {  // what was there is gone, as with the device
            fail(Fault::device_lost, "Keys and values do not come back to the device. %s", error.what());
        }
        throw;
    }
}

// Layer by layer, so that no more than one layer is there twice. Where memory does not suffice, those
// that have grown stay so.
void KvCache::grow(Pool& pool, uint32_t pages) {
    const uint32_t most = pages_each(pool) * sequences_;
    const uint32_t wanted = std::max(pages, std::min(pool.capacity * 2, most));
    const uint32_t capacity = std::min((wanted + kGrowthPages - 1) / kGrowthPages * kGrowthPages, most);
    const uint64_t bytes = slots(pool, capacity) * slot_bytes_;
    const uint64_t kept = slots(pool, pool.capacity) * slot_bytes_;
    ++generation_;  // also when it ends early: a buffer that has grown is another one
    for (uint32_t i = 0; i < layers_.size(); ++i) {
        if (!config_.global_layers[i])
            continue;
        grow(pool.keys[i], kept, bytes);
        grow(pool.values[i], kept, bytes);
    }
    pool.capacity = capacity;
    pool.users.resize(capacity);
    make_pieces();
}

void KvCache::copy_pages(const Pool& pool, const std::vector<std::pair<uint32_t, uint32_t>>& from_to) {
    if (from_to.empty())
        return;
    Recorder recorder(device_, "copy pages");
    const uint64_t bytes = kPage * slot_bytes_;
    for (uint32_t i = 0; i < layers_.size(); ++i)
        for (const auto& [from, to] : from_to)
            if (config_.global_layers[i])
                for (const Buffer* buffer : {&pool.keys[i], &pool.values[i]})
                    recorder.copy(buffer->slice(from * bytes, bytes), buffer->slice(to * bytes, bytes));
    recorder.finish().run();
}

void KvCache::write_table(const Pool& pool, uint32_t sequence, const std::vector<uint32_t>& own) {
    const uint64_t at = pool.table_at + uint64_t{sequence} * pages_each(pools_.front()) * 4;
    write(device_, tables_.slice(at, own.size() * 4), std::as_bytes(std::span(own)));
}

void KvCache::reserve(uint32_t sequence, uint32_t begin, uint32_t end) {
    assert(begin <= end && end <= context_);
    const uint32_t dealt = static_cast<uint32_t>(
        std::min<uint64_t>((uint64_t{end} + kGrowth - 1) / kGrowth * kGrowth, context_));
    for (Pool& pool : pools_) {
        if (end <= pool.first)
            break;
        // Hardly any step of decoding comes further than `continue`, and none of them allocates.
        const std::vector<uint32_t>& now = pool.table[sequence];
        const uint32_t wanted = pages_of(std::min(dealt, pool.end) - pool.first);
        // Those that are written, or hold what is before.
        const uint32_t first = begin > pool.first ? (begin - pool.first) / kPage : 0;
        std::vector<uint32_t> to_copy;
        for (uint32_t page = first; page < now.size(); ++page)
            if (pool.users[now[page]] > 1)
                to_copy.push_back(page);
        const size_t missing = wanted > now.size() ? wanted - now.size() : 0;
        if (missing + to_copy.size() == 0)
            continue;
        const auto used =
            std::count_if(pool.users.begin(), pool.users.end(), [](uint32_t n) { return n > 0; });
        const size_t needed = static_cast<size_t>(used) + missing + to_copy.size();
        if (needed > pool.capacity)
            grow(pool, static_cast<uint32_t>(needed));
        std::vector<uint32_t> table = now, users = pool.users;
        std::vector<std::pair<uint32_t, uint32_t>> copies;
        for (const uint32_t page : to_copy) {
            const uint32_t before = table[page];
            table[page] = take_page(users);
            --users[before];
            copies.emplace_back(before, table[page]);
        }
        while (table.size() < wanted)
            table.push_back(take_page(users));
        copy_pages(pool, copies);
        write_table(pool, sequence, table);
        pool.table[sequence] = std::move(table);
        pool.users = std::move(users);
    }
}

void KvCache::trim(uint32_t sequence, uint32_t length) {
    for (Pool& pool : pools_) {
        std::vector<uint32_t>& table = pool.table[sequence];
        const uint32_t kept = length > pool.first ? pages_of(length - pool.first) : 0;
        for (; table.size() > kept; table.pop_back())
            --pool.users[table.back()];
    }
}

void KvCache::share(uint32_t from, uint32_t to, uint32_t length) {
    assert(from != to);
    trim(to, 0);
    if (length == 0)
        return;
    Recorder recorder(device_, "share");
    for (uint32_t i = 0; i < layers_.size(); ++i)
        for (const Buffer* buffer : {&ring_keys_[i], &ring_values_[i]}) {
            const uint64_t bytes = layers_[i].capacity * slot_bytes_;
            if (*buffer)
                recorder.copy(buffer->slice(from * bytes, bytes), buffer->slice(to * bytes, bytes));
        }
    recorder.finish().run();
    for (Pool& pool : pools_) {
        if (length <= pool.first)
            break;
        const uint32_t pages = pages_of(std::min(length, pool.end) - pool.first);
        const std::vector<uint32_t> table(pool.table[from].begin(), pool.table[from].begin() + pages);
        write_table(pool, to, table);
        for (const uint32_t page : table)
            ++pool.users[page];
        pool.table[to] = table;
    }
}

bool KvCache::can_rewind(uint32_t written, uint32_t kept) const {
    assert(kept <= written);
    // A ring holds the last window + max_chunk - 1 positions before `written`; position `kept` sees
    // the window - 1 before it.
    return written - kept <= max_chunk_ || written <= ring_slots_;
}

std::vector<Slice> KvCache::stored(uint32_t sequence, uint32_t length, KvPart part) const {
    std::vector<Slice> slices;
    const auto add = [&](const Buffer& buffer, uint64_t slot, uint64_t count) {
        if (count > 0)
            slices.push_back(buffer.slice(slot * slot_bytes_, count * slot_bytes_));
    };
    for (uint32_t i = 0; i < layers_.size(); ++i) {
        if (!config_.global_layers[i]) {
            const uint32_t capacity = layers_[i].capacity, window = layers_[i].window;
            const uint32_t first = length - std::min(length, window);
            const uint32_t slot = first % capacity, to_end = std::min(length - first, capacity - slot);
            for (const Buffer* buffer : {&ring_keys_[i], &ring_values_[i]}) {
                add(*buffer, uint64_t{sequence} * capacity + slot, to_end);
                add(*buffer, uint64_t{sequence} * capacity, length - first - to_end);
            }
        } else if (part == KvPart::all) {
            for (const bool of_values : {false, true})
                for (const Pool& pool : pools_)
                    for (uint32_t at = pool.first; at < std::min(length, pool.end); at += kPage)
                        add(of_values ? pool.values[i] : pool.keys[i],
                            uint64_t{pool.table[sequence][(at - pool.first) / kPage]} * kPage,
                            std::min({kPage, length - at, pool.end - at}));
        }
    }
    return slices;
}

uint64_t KvCache::stored_bytes(uint32_t length, KvPart part) const {
    uint64_t positions = 0;
    for (uint32_t i = 0; i < layers_.size(); ++i) {
        if (!config_.global_layers[i])
            positions += std::min(length, layers_[i].window);
        else if (part == KvPart::all)
            positions += length;
    }
    return positions * 2 * slot_bytes_;
}

}  // namespace olivine
