#include "engine/selftest/scene.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/error.h"

namespace olivine::selftest {
namespace {

std::vector<uint32_t> words_of(std::span<const std::byte> bytes) {
    std::vector<uint32_t> words((bytes.size() + 3) / 4);
    std::memcpy(words.data(), bytes.data(), bytes.size());
    return words;
}

// What lies beyond the rows of an input: another poison than an output's, whose bits a product with
// it would leave as they are.
constexpr uint32_t kInputPoison = kPoison ^ 0x00010000;

// Rows with poison between cols and stride.
std::vector<uint32_t> padded(const std::vector<float>& values, uint32_t rows, uint32_t cols,
                             uint32_t stride, uint32_t poison) {
    assert(values.size() == size_t{rows} * cols);
    std::vector<uint32_t> words(size_t{rows} * stride, poison);
    for (size_t r = 0; r < rows; ++r)
        std::memcpy(words.data() + r * stride, values.data() + r * cols, size_t{cols} * 4);
    return words;
}

// A stride that is longer than it has to be, so that a shader that takes cols for it is seen.
uint32_t spare_stride(uint32_t cols) { return Activation::stride_of(cols) + 4; }

}  // namespace

Slice Scene::add(const std::string& name, Block::Role role, std::span<const std::byte> before) {
    assert(before.size() % 4 == 0);
    Block block;
    block.name = name;
    block.role = role;
    block.memory = std::make_unique<Guarded>(device, before.size());
    block.before = words_of(before);
    blocks_.push_back(std::move(block));
    return blocks_.back().memory->slice();
}

Activation Scene::input_rows(const std::string& name, uint32_t rows, uint32_t cols,
                             const std::vector<float>& values) {
    const uint32_t stride = spare_stride(cols);
    return {input(name, padded(values, rows, cols, stride, kInputPoison)), rows, cols, stride};
}

const Matrix& Scene::weight(const FileRows& rows) {
    matrices_.push_back(std::make_unique<Matrix>(upload(device, rows)));
    return *matrices_.back();
}

Activation Scene::output_rows(const std::string& name, uint32_t rows, uint32_t cols,
                              std::vector<double> want, Bar bar) {
    const std::vector<float> poison(size_t{rows} * cols, std::bit_cast<float>(kPoison));
    return output_rows(name, rows, cols, poison, std::move(want), bar);
}

Activation Scene::output_rows(const std::string& name, uint32_t rows, uint32_t cols,
                              const std::vector<float>& before, std::vector<double> want, Bar bar) {
    assert(want.size() == size_t{rows} * cols);
    const uint32_t stride = spare_stride(cols);
    const std::vector<uint32_t> words = padded(before, rows, cols, stride, kPoison);
    const Slice slice = add(name, Block::Role::output, std::as_bytes(std::span(words)));
    Block& block = blocks_.back();
    block.rows = rows;
    block.cols = cols;
    block.stride = stride;
    block.want = std::move(want);
    block.bar = bar;
    return {slice, rows, cols, stride};
}

Slice Scene::output(const std::string& name, std::vector<double> want, Bar bar) {
    const std::vector<uint32_t> poison(want.size(), kPoison);
    const Slice slice = add(name, Block::Role::output, std::as_bytes(std::span(poison)));
    Block& block = blocks_.back();
    block.cols = block.stride = static_cast<uint32_t>(want.size());
    block.want = std::move(want);
    block.bar = bar;
    return slice;
}

Slice Scene::output_words(const std::string& name, std::vector<uint32_t> want) {
    const std::vector<uint32_t> poison(want.size(), kPoison);
    return output_words(name, poison, std::move(want));
}

Slice Scene::output_words(const std::string& name, const std::vector<uint32_t>& before,
                          std::vector<uint32_t> want) {
    assert(before.size() == want.size());
    const Slice slice = add(name, Block::Role::output, std::as_bytes(std::span(before)));
    blocks_.back().cols = blocks_.back().stride = static_cast<uint32_t>(want.size());
    blocks_.back().want_words = std::move(want);
    return slice;
}

const Block& Scene::block(const std::string& name) const {
    for (const Block& each : blocks_)
        if (each.name == name)
            return each;
    fail(Fault::internal, "The scene has no buffer '%s'.", name.c_str());
}

void Scene::restore() {
    for (Block& each : blocks_) {
        each.memory->poison();
        each.memory->write(each.before);
    }
}

void Scene::compile() {
    Recorder recorder(device, "self-test");
    record_(recorder);
    dispatches_ = recorder.dispatches();
}

Measured Scene::run() {
    Recorder recorder(device, "self-test");
    record_(recorder);
    dispatches_ = recorder.dispatches();
    Plan plan = recorder.finish();
    Measured measured;
    std::vector<std::vector<uint32_t>> first;
    for (uint32_t round = 0; round < 2 && measured.failure.empty(); ++round) {
        restore();
        plan.run();
        compare(measured);
        if (measured.failure.empty() && check_) {
            measured.failure = check_();
            measured.by_check = !measured.failure.empty();
        }
        for (size_t i = 0; i < blocks_.size(); ++i) {
            if (blocks_[i].role != Block::Role::output)
                continue;
            std::vector<uint32_t> words = blocks_[i].memory->read<uint32_t>();
            if (round == 0)
                first.push_back(std::move(words));
            else if (std::vector<uint32_t> before = std::move(first.front());
                     first.erase(first.begin()), before != words && measured.failure.empty())
                measured.failure = blocks_[i].name + ": a second run gives other bits";
        }
    }
    measured.seconds = plan.gpu_seconds();
    return measured;
}

void Scene::compare(Measured& measured) const {
    const auto failed = [&](const Block& block, const std::string& what) {
        if (measured.failure.empty() && !what.empty())
            measured.failure = block.name + ": " + what;
    };
    for (const Block& block : blocks_) {
        if (!block.memory->intact())
            failed(block, "something is written beside it");
        if (block.role == Block::Role::scratch)
            continue;
        const std::vector<uint32_t> words = block.memory->read<uint32_t>();
        if (block.role == Block::Role::output)
            failed(block, compare_output(block, words, measured));
        else if (words != block.before)
            failed(block, "it is written, though only to be read");
    }
}

std::string compare_output(const Block& block, const std::vector<uint32_t>& words,
                           Measured& measured) {
    std::vector<float> got;
    for (size_t r = 0; r < block.rows; ++r) {
        for (size_t c = 0; c < block.stride; ++c) {
            const uint32_t word = words[r * block.stride + c];
            if (c < block.cols)
                got.push_back(std::bit_cast<float>(word));
            else if (word != block.before[r * block.stride + c])
                return format_text("row %zu is written beyond its end", r);
        }
    }
    if (!block.want_words.empty()) {
        const auto wrong = std::mismatch(words.begin(), words.end(), block.want_words.begin());
        if (wrong.first == words.end())
            return {};
        return format_text("word %td is %u, not %u", wrong.first - words.begin(), *wrong.first,
                           *wrong.second);
    }
    // Whether a device takes subnormal numbers for zeros is its own choice (Vulkan 1.3,
    // shaderDenormPreserveFloat32), so that all of them are equal.
    constexpr double kSmallest = std::numeric_limits<float>::min();
    std::vector<double> want = block.want;
    for (size_t i = 0; i < want.size(); ++i)
        if (std::abs(want[i]) < kSmallest && std::abs(got[i]) < kSmallest)
            want[i] = got[i] = 0;
    const double error = nmse(want, got), largest = max_abs_error(want, got);
    double squares = 0;
    for (const double value : want)
        squares += value * value;
    const double rms = std::sqrt(squares / static_cast<double>(want.size()));
    const double most = block.bar.largest * (rms > 0 ? rms : 1);
    measured.nmse = std::max(measured.nmse, error);
    measured.max_abs = std::max(measured.max_abs, largest);
    if (!(error <= block.bar.nmse))
        return format_text("the mean square error is %.2e of the values', %.1e is allowed", error,
                           block.bar.nmse);
    if (!(largest <= most))
        return format_text("one element is off by %.2e, %.2e is allowed", largest, most);
    return {};
}

}  // namespace olivine::selftest
