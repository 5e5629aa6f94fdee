// A program that talks through olivine.h, for Vulkan calls that fail under it.
#pragma once

#include <cstddef>
#include <vector>

namespace olivine::test {

// Loads a model, asks, saves the conversation, asks with less memory, and again from the saved
// conversation with all of it. What finds no memory is tried once more on the same handles, and
// must then go well. adopted: on a device of the program's own.
//
// Returns the answers. Throws the first code that was not OLV_OK as its Error, once the rest went
// well; what the library must not do is an Error of the fault `internal`.
std::vector<std::byte> talk_through_c(bool adopted);

}  // namespace olivine::test
