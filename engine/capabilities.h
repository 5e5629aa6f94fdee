// What a device can do beyond the least that we require, as a ladder of named rungs.
//
// Tier 0, which every device must have: Vulkan 1.3 with a compute queue, timeline semaphores and
// synchronization2; 32-bit storage buffers, 8 of them a shader, ranges of 128 MiB, offsets aligned
// to at most 256 bytes; 128 invocations a workgroup, 16 KiB of shared memory; 128 bytes of push
// constants. Each rung is probed, can be switched off by name, and has the one below as fallback.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace olivine {

enum class Rung : uint8_t {
    subgroup,      // subgroup arithmetic and shuffles in compute shaders
    storage16,     // 16-bit values in storage buffers
    fp16,          // 16-bit float arithmetic
    int_dot,       // packed 8-bit dot products
    coopmat,       // VK_KHR_cooperative_matrix, f16 x f16 + f32
    coopmat_bf16,  // the same with bf16
    coopmat_int8,  // the same with int8 and 32-bit sums
    coopmat2,      // VK_NV_cooperative_matrix2: sizes of any multiple, sums over rows, functions of
                   // each element
};
constexpr uint32_t kRungs = 8;

// What results may differ by from those of f32 arithmetic.
enum class Precision : uint8_t {
    f32,        // operands and sums are f32: no rung above storage16
    automatic,  // operands may be rounded to 16 bits, or to 8 bits in blocks, where that is faster
};

// "subgroup", "storage16", ... as --disable takes them and `devices` prints them.
const char* name(Rung rung);

// A set of rungs.
class RungSet {
public:
    bool has(Rung rung) const { return bits_ >> static_cast<uint32_t>(rung) & 1; }
    void set(Rung rung, bool on = true);
    bool empty() const { return bits_ == 0; }
    RungSet without(const RungSet& others) const;
    RungSet up_to(Rung highest) const;  // less the rungs above
    bool operator==(const RungSet&) const = default;
    std::vector<std::string> names() const;

    // Reads "coopmat2,int_dot". Throws bad_input with the list of names on an unknown one.
    static RungSet parse(std::string_view list);

private:
    uint32_t bits_ = 0;
};

// Sizes of one cooperative matrix product, [m][k] x [k][n]; 0 = the device has none.
struct MatrixShape {
    uint32_t m = 0, n = 0, k = 0;
};

struct Capabilities {
    RungSet available;  // the device has it
    RungSet enabled;    // available, not switched off, and more than an emulation
    bool fast_int_dot = false;           // packed dot products are instructions of the hardware
    MatrixShape coopmat, coopmat_int8;  // of subgroup scope, for the rungs so called
    MatrixShape coopmat2;               // what the sizes of its matrices are multiples of
    bool software = false;               // runs on the CPU
    bool shared_memory = false;          // device memory is the host's (integrated, software)
    bool addresses = false;              // software's: shaders may read buffers at their addresses
    bool conditional = false;            // VK_EXT_conditional_rendering: Recorder::only_if
    uint32_t subgroup_size = 1;          // the size that pipelines are pinned to
    bool subgroup_size_pinned = false;   // the driver guarantees full subgroups of that size
    uint32_t max_subgroups = 0;          // of a workgroup, where their size is pinned
    uint32_t max_threads = 128;          // invocations a workgroup
    uint32_t max_shared_bytes = 16384;   // shared memory a workgroup
    uint64_t max_range_bytes = 1u << 27; // maxStorageBufferRange
    uint64_t max_buffer_bytes = 1u << 30;
    uint32_t offset_alignment = 256;     // minStorageBufferOffsetAlignment
    float timestamp_ns = 0;              // nanoseconds a timestamp tick
    uint32_t timestamp_bits = 0;         // of a timestamp that count; 0 = there are none
};

}  // namespace olivine
