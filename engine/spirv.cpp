#include "engine/spirv.h"

#include <algorithm>
#include <unordered_map>

#include "engine/error.h"

namespace olivine {
namespace {

// Opcodes and enumerants of the SPIR-V specification, section 3, by their names there.
enum Op : uint32_t {
    OpCapability = 17,
    OpTypeInt = 21,
    OpTypeFloat = 22,
    OpTypeVector = 23,
    OpTypeArray = 28,
    OpTypeStruct = 30,
    OpTypePointer = 32,
    OpConstant = 43,
    OpVariable = 59,
    OpDecorate = 71,
    OpMemberDecorate = 72,
};
enum Decoration : uint32_t { NonWritable = 24, NonReadable = 25, Binding = 33, Offset = 35 };
enum Capability : uint32_t { PhysicalStorageBufferAddresses = 5347 };
enum StorageClass : uint32_t { Uniform = 2, PushConstant = 9, StorageBuffer = 12 };

struct Type {
    uint32_t bytes = 0;            // scalars, vectors and arrays of them without gaps
    std::vector<uint32_t> members; // structs
    uint32_t pointee = 0;          // pointers
};

struct Decorated {
    bool has_binding = false;
    uint32_t binding = 0;
    bool non_writable = false, non_readable = false;
    std::unordered_map<uint32_t, uint32_t> member_offset;
    uint32_t members_non_writable = 0, members_non_readable = 0;
};

}  // namespace

ShaderInterface reflect(std::span<const uint32_t> words) {
    constexpr uint32_t kMagic = 0x07230203, kHeaderWords = 5;
    if (words.size() < kHeaderWords || words[0] != kMagic)
        fail(Fault::internal, "A shader of %zu words is not SPIR-V.", words.size());
    std::unordered_map<uint32_t, Type> types;
    std::unordered_map<uint32_t, Decorated> decorated;
    std::unordered_map<uint32_t, uint32_t> constants;
    ShaderInterface interface;
    bool reads_addresses = false;

    for (size_t at = kHeaderWords; at < words.size();) {
        const uint32_t length = words[at] >> 16, op = words[at] & 0xffff;
        if (length == 0 || length > words.size() - at)
            fail(Fault::internal, "A shader's instruction at word %zu is cut off.", at);
        const auto arg = [&](uint32_t i) { return i < length ? words[at + i] : 0; };
        switch (op) {
        case OpTypeInt:
        case OpTypeFloat: types[arg(1)].bytes = arg(2) / 8; break;
        case OpTypeVector: types[arg(1)].bytes = types[arg(2)].bytes * arg(3); break;
        case OpCapability: reads_addresses |= arg(1) == PhysicalStorageBufferAddresses; break;
        case OpConstant: constants[arg(2)] = arg(3); break;
        case OpTypeArray: types[arg(1)].bytes = types[arg(2)].bytes * constants[arg(3)]; break;
        case OpTypeStruct:
            for (uint32_t i = 2; i < length; ++i)
                types[arg(1)].members.push_back(arg(i));
            break;
        case OpTypePointer: types[arg(1)].pointee = arg(3); break;
        case OpDecorate: {
            Decorated& target = decorated[arg(1)];
            if (arg(2) == Binding) {
                target.has_binding = true;
                target.binding = arg(3);
            }
            target.non_writable |= arg(2) == NonWritable;
            target.non_readable |= arg(2) == NonReadable;
            break;
        }
        case OpMemberDecorate: {
            Decorated& target = decorated[arg(1)];
            if (arg(3) == Offset)
                target.member_offset[arg(2)] = arg(4);
            target.members_non_writable += arg(3) == NonWritable;
            target.members_non_readable += arg(3) == NonReadable;
            break;
        }
        case OpVariable: {
            const uint32_t storage = arg(3);
            const uint32_t pointee = types[arg(1)].pointee;
            const Type& type = types[pointee];
            const Decorated& block = decorated[pointee];
            const Decorated& variable = decorated[arg(2)];
            if (storage == PushConstant) {
                for (uint32_t i = 0; i < type.members.size(); ++i) {
                    const Type& member = types[type.members[i]];
                    uint32_t bytes = member.bytes;
                    const auto& inner = decorated[type.members[i]].member_offset;
                    for (uint32_t j = 0; j < member.members.size(); ++j) {
                        const auto found = inner.find(j);
                        bytes = std::max(bytes, (found == inner.end() ? 0 : found->second) +
                                                    types[member.members[j]].bytes);
                    }
                    const auto offset = block.member_offset.find(i);
                    interface.push_bytes =
                        std::max(interface.push_bytes,
                                 (offset == block.member_offset.end() ? 0 : offset->second) + bytes);
                }
            } else if (storage == StorageBuffer || storage == Uniform) {
                if (!variable.has_binding || variable.binding > 31)
                    fail(Fault::internal, "A shader's buffer has no binding below 32.");
                if (interface.bindings.size() <= variable.binding)
                    interface.bindings.resize(variable.binding + 1);
                const uint32_t members = static_cast<uint32_t>(type.members.size());
                ShaderBinding& binding = interface.bindings[variable.binding];
                binding.used = true;
                binding.writes = !variable.non_writable && block.members_non_writable < members;
                binding.reads = !variable.non_readable && block.members_non_readable < members;
            }
            break;
        }
        default: break;
        }
        at += length;
    }
    for (ShaderBinding& binding : interface.bindings)
        if (reads_addresses && !binding.used) {
            binding = {.used = true, .reads = true, .by_address = true};
            interface.address_bytes += 8;
        }
    if (interface.push_bytes < interface.address_bytes)
        fail(Fault::internal, "A shader has no push constants for the addresses that it reads.");
    interface.push_bytes -= interface.address_bytes;
    return interface;
}

}  // namespace olivine
