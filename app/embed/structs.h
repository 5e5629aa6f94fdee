// Structs of programs that were compiled with an older or newer header.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "engine/error.h"

namespace olivine {

// The fields of the caller's struct, which may be of an older header; the others as they are.
template <typename Struct>
Struct known(const Struct* given, Struct defaults) {
    if (!given)
        fail(Fault::bad_input, "The options are null.");
    if (given->size < sizeof(uint32_t) || given->size > 4096)
        fail(Fault::bad_input, "A struct says that it has %u bytes: it is not initialised.",
             given->size);
    std::memcpy(&defaults, given, std::min<size_t>(given->size, sizeof defaults));
    defaults.size = sizeof defaults;
    return defaults;
}

// Back into the caller's struct, as far as it knows the fields.
template <typename Struct>
void give(const Struct& from, Struct* to) {
    const uint32_t size = to->size;
    std::memcpy(to, &from, std::min<size_t>(size, sizeof from));
    to->size = size;
}

// One of an array, whose structs are as long as the first says.
template <typename Struct>
Struct* element(Struct* first, uint32_t index) {
    if (first->size % alignof(Struct) != 0)
        fail(Fault::bad_input,
             "A struct of an array says that it has %u bytes (a multiple of %zu is expected).",
             first->size, alignof(Struct));
    using Byte = std::conditional_t<std::is_const_v<Struct>, const std::byte, std::byte>;
    auto* const place =
        reinterpret_cast<Struct*>(reinterpret_cast<Byte*>(first) + size_t{first->size} * index);
    if (place->size != first->size)
        fail(Fault::bad_input, "Struct %u of an array says that it has %u bytes, the first one %u.", index,
             place->size, first->size);
    return place;
}

}  // namespace olivine
