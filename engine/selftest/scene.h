// One operation on one device: its buffers, what it should write, and how far off it may be.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/ops/kv_layer.h"
#include "engine/ops/ops.h"
#include "engine/selftest/guarded.h"
#include "engine/selftest/random.h"
#include "engine/selftest/reference.h"

namespace olivine::selftest {

// How far off a result may be. Zeros: not at all.
struct Bar {
    double nmse = 0;     // sum (got - want)^2 / sum want^2
    double largest = 0;  // |got - want| of any element, as a multiple of the root mean square of want
};

// What came out of a run.
struct Measured {
    std::string failure;  // empty: all is as expected
    bool by_check = false;  // it is the scene's check that failed
    double nmse = 0;      // the worst of all outputs
    double max_abs = 0;
    double seconds = 0;   // on the device, where it has timestamps; of the last run
};

// Memory of a scene, between canaries.
struct Block {
    enum class Role : uint8_t { input, output, scratch };
    std::string name;
    Role role{};
    std::unique_ptr<Guarded> memory;
    std::vector<uint32_t> before;  // all its words at the start of a run
    // Of an output:
    uint32_t rows = 1, cols = 0, stride = 0;  // 32-bit words; words between cols and stride stay
    std::vector<double> want;                 // [rows][cols] as floats ...
    std::vector<uint32_t> want_words;         // ... or as words, bit for bit
    Bar bar;
};

// What is wrong with an output that holds `words` after a run, or nothing; adds its errors to
// `measured`.
std::string compare_output(const Block& block, const std::vector<uint32_t>& words,
                           Measured& measured);

class Scene {
public:
    Scene(Device& on, Ops& with, uint32_t from_seed) : device(on), ops(with), seed(from_seed) {}

    Device& device;
    Ops& ops;
    const uint32_t seed;

    // Read only: a run that changes a word of it fails.
    template <typename T>
    Slice input(const std::string& name, const std::vector<T>& values) {
        return add(name, Block::Role::input, std::as_bytes(std::span(values)));
    }
    Activation input_rows(const std::string& name, uint32_t rows, uint32_t cols,
                          const std::vector<float>& values);  // [rows][cols]
    const Matrix& weight(const FileRows& rows);
    // Free to use; what is in it at the start, and canaries around it.
    template <typename T>
    Slice scratch(const std::string& name, const std::vector<T>& values) {
        return add(name, Block::Role::scratch, std::as_bytes(std::span(values)));
    }
    // Poisoned before each run. want: [rows][cols].
    Activation output_rows(const std::string& name, uint32_t rows, uint32_t cols,
                           std::vector<double> want, Bar bar);
    // The same, over values that are there before: those it is added to.
    Activation output_rows(const std::string& name, uint32_t rows, uint32_t cols,
                           const std::vector<float>& before, std::vector<double> want, Bar bar);
    Slice output(const std::string& name, std::vector<double> want, Bar bar);  // floats
    Slice output_words(const std::string& name, std::vector<uint32_t> want);
    Slice output_words(const std::string& name, const std::vector<uint32_t>& before,
                       std::vector<uint32_t> want);

    // What the scene does.
    void record(std::function<void(Recorder&)> commands) { record_ = std::move(commands); }
    // What else must hold after a run: an explanation, or nothing.
    void check(std::function<std::string()> holds) { check_ = std::move(holds); }
    // For GB/s and GFLOP/s.
    void cost(double bytes, double flops) { bytes_ = bytes, flops_ = flops; }
    double bytes() const { return bytes_; }
    double flops() const { return flops_; }

    // Runs it twice, from the same state, and compares. Throws what the engine throws.
    Measured run();
    // Records it without running it, so that its pipelines are compiled.
    void compile();

    // For the report of a failure: everything that a run depends on, as it stands before one.
    void restore();
    const std::vector<Block>& blocks() const { return blocks_; }
    const std::vector<Dispatch>& dispatches() const { return dispatches_; }

    template <typename T>
    std::vector<T> read(const std::string& name) const {
        return block(name).memory->template read<T>();
    }

private:
    Slice add(const std::string& name, Block::Role role, std::span<const std::byte> before);
    const Block& block(const std::string& name) const;
    void compare(Measured& measured) const;

    std::vector<Block> blocks_;
    std::vector<std::unique_ptr<Matrix>> matrices_;
    std::function<void(Recorder&)> record_;
    std::function<std::string()> check_;
    std::vector<Dispatch> dispatches_;
    double bytes_ = 0, flops_ = 0;
};

}  // namespace olivine::selftest
